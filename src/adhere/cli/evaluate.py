"""`adhere evaluate`: the held-out probes, and whom and what else the user wants measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from adhere.cli.common import Flag, Quiet, app, errors_in_words, keep, merged, saved, with_flags
from adhere.cli.run import work
from adhere.errors import InputError
from adhere.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Files:
    """What else is measured on, where the user gives it."""

    pairs: Path | None = None
    """Situations with good and bad answers marked by people (JSONL; docs/evaluation.md)."""
    refusals: Path | None = None
    """Prompts to answer or to decline, in the layout of XSTest (CSV: prompt, label, type)."""
    instructions: Path | None = None
    """General instructions with good answers (JSONL: question, answer), instead of adhere's."""
    harness: Path | None = None
    """Folder of lm-evaluation-harness tasks (YAML) that are asked too (docs/evaluation.md)."""


@app.command
@with_flags("models", "evaluate")
def evaluate(
    run: Path,
    *,
    system: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    files: Files = Files(),
    settings: Settings | None = None,
    again: Flag = False,
    quiet: Quiet = False,
) -> None:
    """One stage of a run: every system on the held-out probes, and on files of your own.

    What is given here is written into the run's run.toml, under [evaluate].

    Parameters
    ----------
    run
        The run's folder.
    system
        Another model to compare with, as NAME=ADDRESS; may be given again.
    again
        Do it even though it is up to date.
    quiet
        Say nothing but errors.
    """
    with errors_in_words():
        from adhere.evaluate.extras import read_extras
        from adhere.ladder import check_systems
        from adhere.store import read_object

        given: dict[str, Any] = {name: str(path) for name, path in asdict(files).items() if path}
        if settings:
            _given_once(given, settings.model_dump(exclude_unset=True).get("evaluate", {}))
        found = merged(saved(run), settings)
        found = found.merge({"evaluate": given | {"systems": named(system)}}, "flags")
        check_systems(found.evaluate.systems)
        read_extras(found.evaluate)
        keep(run, found)
        work(run, found, ["evaluate"], again=again, quiet=quiet)
        if found.evaluate.pairs and not quiet:
            show_official(read_object(run / "evaluate" / "official.json"))


def _given_once(files: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    for name, path in files.items():
        if settings.get(name, path) != path:
            raise InputError(f"--{name} and --evaluate.{name} are one setting; give one of them.")


def named(systems: Sequence[str]) -> dict[str, str]:
    """NAME=ADDRESS, split; raises InputError for another form, or one name for two."""
    named: dict[str, str] = {}
    for text in systems:
        name, _, address = text.partition("=")
        if not name or not address:
            raise InputError(f"--system {text}: write NAME=ADDRESS, such as gpt=http://host/v1#m.")
        if name in named:
            raise InputError(f"--system {text}: there is a '{name}' already; choose another name.")
        named[name] = address
    return named


def show_official(report: dict[str, Any]) -> None:
    """The tables of `official.json` on the terminal."""
    from rich.console import Console

    from adhere.report import terminal_wins

    console = Console()
    console.print(_table(report))
    if report["left_out"]:
        count = len(report["left_out"])
        console.print(f"{count} left out: near twins of training rows (evaluate/dropped.jsonl).")
    for system, note in report["notes"].items():
        console.print(f"{system}: {note}", markup=False)
    for judge in report["judges"]:
        if judge["withheld"]:
            console.print(judge["withheld"], markup=False)
    if report["win_rates"]:
        console.print(terminal_wins(report))


def _table(report: dict[str, Any]) -> "Table":
    from rich import box
    from rich.table import Table

    count = report["situations"]
    title = f"{count} situation{'' if count == 1 else 's'} with answers marked by people"
    table = Table("", "good likelier than bad", "by nats a token", title=title, box=box.SIMPLE_HEAD)
    for system, metrics in report["systems"].items():
        cells = [
            _cell(metrics.get(metric), form)
            for metric, form in (("accuracy", ".0%"), ("margin", "+.2f"))
        ]
        table.add_row(system, *cells)
    return table


def _cell(cell: dict[str, Any] | None, form: str) -> str:
    if cell is None:
        return "–"
    if cell["low"] is None:
        return f"{cell['value']:{form}}"
    return f"{cell['value']:{form}} ({cell['low']:{form}} to {cell['high']:{form}})"
