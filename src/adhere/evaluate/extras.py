"""What the user gives an evaluation besides the run: files of their own, read before any work."""

from dataclasses import dataclass
from pathlib import Path

from adhere.evaluate.costs import Prompt
from adhere.evaluate.harness import Tasks, read_tasks
from adhere.evaluate.official import Situation, read_situations
from adhere.files import read_lines, read_table
from adhere.records import Instruction
from adhere.settings import EvaluateSettings

_OWN = Path(__file__).parent / "data" / "instructions.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    situations: tuple[Situation, ...]
    prompts: tuple[Prompt, ...]
    instructions: tuple[Instruction, ...]
    tasks: Tasks | None


def read_extras(settings: EvaluateSettings) -> Extras:
    """The files that the settings name; adhere's own instructions where they name none.

    Raises InputError for a file that is missing or not of its layout, and what `read_tasks`
    raises.
    """
    return Extras(
        situations=tuple(read_situations(Path(settings.pairs))) if settings.pairs else (),
        prompts=tuple(read_table(Path(settings.refusals), Prompt)) if settings.refusals else (),
        instructions=tuple(read_lines(Path(settings.instructions or _OWN), Instruction)),
        tasks=read_tasks(Path(settings.harness)) if settings.harness else None,
    )
