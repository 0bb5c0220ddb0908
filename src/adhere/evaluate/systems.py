"""The ladder: the systems that are compared, and their answers."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from adhere.engines.base import Engine
from adhere.evaluate.reading import NOTHING, Reading
from adhere.progress import Progress
from adhere.records import Answer, Completion, Dropped, Message, Request, Sampling
from adhere.settings import EvaluateSettings

Reader = Callable[[Mapping[str, str]], Mapping[str, Reading]]
"""Questions by their id -> what a system reads before each, by the same id."""


def nothing(questions: Mapping[str, str]) -> Mapping[str, Reading]:
    """Reads nothing before the question."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One rung: an engine, and what it reads before a question."""

    name: str
    engine: Engine
    read: Reader = nothing
    note: str = ""
    """What must be known to take its numbers rightly, in a sentence."""
    probes_only: bool = False
    """It reads what is known of probes alone, so it cannot be asked other questions."""


def in_turn(systems: Sequence[System], kept: Container[Engine] = ()) -> Iterator[System]:
    """The systems in their order; each engine, unless `kept`, is closed after its last system."""
    last = {system.engine: system for system in systems}
    for system in systems:
        yield system
        if last[system.engine] is system and system.engine not in kept:
            system.engine.close()


def replies(
    system: System,
    questions: Mapping[str, str],
    readings: Mapping[str, Reading],
    settings: EvaluateSettings,
    progress: Progress,
    what: str = "answers",
    most: int | None = None,
) -> dict[str, Completion]:
    """The system's greedy reply to each question, by the question's id.

    `readings`: id -> what is put before the question (nothing where it is missing). `most`:
    longest reply in tokens, instead of the settings'.
    """
    sampling = Sampling(max_tokens=most or settings.max_tokens, seed=settings.seed)
    requests = [
        Request(
            id=name,
            prompt=(Message(role="user", content=readings.get(name, NOTHING).text + question),),
            sampling=sampling,
        )
        for name, question in questions.items()
    ]
    completions = system.engine.complete(requests)
    tracked = progress.track(completions, f"{system.name}: {what}", len(requests))
    found = {completion.id: completion for completion in tracked}
    return {name: found[name] for name in questions}


def answers(
    system: System,
    questions: Mapping[str, str],
    readings: Mapping[str, Reading],
    settings: EvaluateSettings,
    progress: Progress,
) -> tuple[list[Answer], list[Dropped]]:
    """The system's answer to each question, in their order; `readings` as in `replies`.

    A request that failed becomes a Dropped instead of an Answer.
    """
    found: list[Answer] = []
    dropped: list[Dropped] = []
    for name, reply in replies(system, questions, readings, settings, progress).items():
        if reply.error is None:
            answer = Answer(
                system=system.name,
                probe=name,
                text=reply.text.strip(),
                finish=reply.finish,
                passages=readings.get(name, NOTHING).passages,
            )
            found.append(answer)
        else:
            detail = f"{system.name}: {reply.error}"
            dropped.append(
                Dropped(record_id=name, stage="evaluate", reason="no answer", detail=detail)
            )
    return found, dropped
