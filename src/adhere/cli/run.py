"""`adhere run` for everything, one command for each stage, and how a run stands.

What a flag changes is written into the run's `run.toml`, so that the file always says
what the run is.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from adhere.cli.common import (
    Flag,
    Quiet,
    app,
    errors_in_words,
    keep,
    merged,
    saved,
    with_flags,
)
from adhere.errors import AdhereError, InputError
from adhere.files import RUN_FILE
from adhere.processes import from_first, is_first
from adhere.settings import Choices, ModelSettings, RunSettings, Settings


@app.command
@with_flags(*Choices.model_fields)
def run(
    *sources: Path,
    out: Path | None = None,
    settings: Settings | None = None,
    dry_run: Flag = False,
    quiet: Quiet = False,
) -> None:
    """From documents to an aligned model and its report; goes on where it was.

    Parameters
    ----------
    sources
        Documents (files or folders), or a run.toml, or a run's folder, or the run.toml in it, to go
        on with.
    out
        The run's folder [default: runs/NAME, after the first source].
    dry_run
        Say what would run, how many requests and about how long; change nothing.
    quiet
        Say nothing but errors and the result.
    """
    with errors_in_words():
        from adhere.store import refuse_file

        if out:
            refuse_file(out)
        folder, found = _open_run(sources, out, settings)
        if dry_run:
            _forecast(folder, found)
            return
        work(folder, found, ["ingest"], quiet=quiet)  # bad documents leave nothing behind
        keep(folder, found)
        work(folder, found, _AFTER_INGEST, quiet=quiet)
        _result(folder)


@app.command
def status(run: Path) -> None:
    """Where each stage of a run stands.

    Parameters
    ----------
    run
        The run's folder.
    """
    with errors_in_words():
        from rich.console import Console
        from rich.table import Table

        from adhere.pipeline import describe, standings
        from adhere.progress import duration

        table = Table("stage", "state", "made", "took", title=str(run), title_justify="left")
        settings = saved(run)
        for standing in standings(run, settings):
            made = standing.manifest
            row = (describe(made), duration(made.seconds)) if made else ("", "")
            table.add_row(standing.stage, standing.state, *row)
        Console().print(table)
        if missing := [name for name in settings.documents if not Path(name).exists()]:
            print(
                f"Not found from this folder: {', '.join(missing)}. Paths in {run / RUN_FILE} are "
                "taken from the folder in which the command runs; what was made of these documents "
                "counts as out of date elsewhere."
            )


@app.command
def chat(run: Path) -> None:
    """Talk to the base and the aligned model side by side; an empty line ends it.

    Parameters
    ----------
    run
        The run's folder, with `dpo` done.
    """
    with errors_in_words():
        from adhere.chat import converse

        converse(run, saved(run))


def _stage_command(name: str, does: str, sections: Sequence[str]) -> Callable[..., None]:
    @with_flags(*sections)
    def command(
        run: Path,
        *,
        settings: Settings | None = None,
        again: Flag = False,
        quiet: Quiet = False,
    ) -> None:
        with errors_in_words():
            found = from_first(lambda: merged(saved(run), settings))
            keep(run, found)
            work(run, found, [name], again=again, quiet=quiet)
            if name == "clauses" and not quiet:
                _coverage(run)

    command.__doc__ = f"""One stage of a run: {does}.

    Parameters
    ----------
    run
        The run's folder.
    again
        Do it even though it is up to date.
    quiet
        Say nothing but errors.
    """
    return command


_TRAINED = ("models", "tracking")
_STAGES = {
    "ingest": ("documents to passages", ["ingest"]),
    "clauses": ("passages to clauses, what the document values", ["models", "clauses"]),
    "generate": (
        "clauses to examples, preference pairs and held-out probes",
        ["models", "generate"],
    ),
    "curate": (
        "keep the rows worth training on, and say why the others went",
        ["models", "curate"],
    ),
    "rewrite": (
        "tell the passages again from other angles, for midtrain to read",
        ["models", "clauses", "midtrain"],
    ),
    "midtrain": (
        "plain training on the documents' text, for SFT to go on from",
        ["midtrain", *_TRAINED],
    ),
    "sft": ("supervised fine-tuning on the examples", ["sft", *_TRAINED]),
    "dpo": ("preference optimisation on the pairs, from the SFT adapter", ["dpo", *_TRAINED]),
    "dpo-alone": (
        "preference optimisation of the bare student, for comparison",
        ["dpo", *_TRAINED],
    ),
    "document-lm": (
        "plain training on the documents' text, for comparison",
        ["sft", *_TRAINED],
    ),
    "evaluate": ("every system on the held-out probes", ["models", "evaluate"]),
    "report": ("everything on one page", []),
}
"""The stages, what they do, and the settings that their commands have flags for.

A test holds it to `adhere.stages`, which imports much.
"""
_AFTER_INGEST = [name for name in _STAGES if name != "ingest"]

for _name, (_does, _sections) in _STAGES.items():
    if _name != "evaluate":  # which has flags of its own: adhere.cli.evaluate
        app.command(_stage_command(_name, _does, _sections), name=_name)


def _open_run(
    sources: tuple[Path, ...], out: Path | None, flags: Settings | None
) -> tuple[Path, RunSettings]:
    """The run's folder and settings: from a run folder, a run file, or documents."""
    from adhere.store import is_begun

    if not sources and out is None:
        raise InputError("nothing to read: `adhere run DOCUMENTS --out runs/NAME`.")
    first = sources[0] if sources else out
    assert first is not None
    if sources == (first.parent / RUN_FILE,) and out is None and is_begun(first.parent):
        first = first.parent
    if len(sources) <= 1 and (first / RUN_FILE).exists():
        _refuse_another_folder(first, out)
        return first, merged(saved(first), flags)
    folder = out or Path("runs") / _name_of(first)
    if first.suffix == ".toml":
        if others := sources[1:]:
            raise InputError(
                f"{first}: a run file names the documents itself, under `documents`; write "
                f"{others[0]} there, or leave it out of the command."
            )
        given, source = RunSettings.read(first).model_dump(exclude_unset=True), str(first)
    else:
        given, source = {"documents": tuple(map(str, sources))}, "documents"
    before = RunSettings.read(folder / RUN_FILE) if (folder / RUN_FILE).exists() else RunSettings()
    return folder, merged(before.merge(given, source), flags)


def _refuse_another_folder(run: Path, out: Path | None) -> None:
    if out and out.resolve() != run.resolve():
        raise InputError(
            f"{run}: a run's folder, which is gone on with where it is; leave out `--out {out}`, "
            f"or start a new run of the same settings by `adhere run {run / RUN_FILE} --out {out}`."
        )


def _name_of(source: Path) -> str:
    """The file's or folder's own name, also where it is given as `.` or `..`."""
    name = source.stem if source.stem.strip(".") else source.resolve().stem
    if not name:
        raise InputError(f"{source}: has no name for the run's folder; give one by --out.")
    return name


def work(
    folder: Path,
    settings: RunSettings,
    wanted: list[str],
    *,
    again: bool = False,
    quiet: bool,
) -> None:
    """Bring the wanted stages up to date, and say so unless `quiet`."""
    from adhere.pipeline import run_stages
    from adhere.progress import ConsoleProgress, NoProgress

    progress = ConsoleProgress() if is_first() and not quiet else NoProgress()
    run_stages(folder, settings, progress, wanted, again=again)


def _coverage(run: Path) -> None:
    from adhere.run_files import CLAUSES, DOCUMENTS, PASSAGES, SET_ASIDE, dropped_of
    from adhere.text import printable
    from adhere.text_coverage import coverage_lines, text_coverage

    rows = text_coverage(
        DOCUMENTS.read(run),
        PASSAGES.read(run),
        CLAUSES.read(run),
        dropped_of("clauses").read(run),
        SET_ASIDE.read(run),
    )
    print(*map(printable, coverage_lines(rows)), sep="\n")


def _forecast(folder: Path, settings: RunSettings) -> None:
    """Exits as the run would where it would be refused."""
    from rich.console import Console
    from rich.table import Table

    from adhere.forecast import forecast, lacking, plans, read_texts, reads, unasked
    from adhere.progress import duration

    table = Table("stage", "what", "requests", "about", title=str(folder), title_justify="left")
    texts = read_texts(folder, settings)
    rows = forecast(folder, settings, texts)
    for row in rows:
        about = "not known" if row.seconds is None else duration(row.seconds) if row.seconds else ""
        table.add_row(row.stage, row.what, row.requests, about)
    times = [row.seconds for row in rows]
    if any(times) or None in times:
        known = duration(sum(filter(None, times)))
        table.add_row("all together", "", "", f"{known} and more" if None in times else known)
    todo = [row.stage for row in rows if row.what not in ("up to date", "off")]
    refused = lacking(settings, todo)
    print(*reads(folder, texts), sep="\n")
    _listed("The run would be refused until this is mended:", refused)
    Console().print(table)
    if todo and settings.models != ModelSettings():
        print("Times of requests are those of the models that come by default; yours will differ.")
    _listed("Trainings, with rows as long as they may be:", plans(settings, todo))
    _listed("When it starts:", unasked(settings, todo))
    if refused:
        sys.exit(AdhereError.exit_code)


def _listed(title: str, lines: Sequence[str]) -> None:
    if lines:
        print(title, *(f"- {line}" for line in lines), sep="\n")


def _result(folder: Path) -> None:
    from rich.console import Console

    from adhere.report import terminal_table, terminal_wins
    from adhere.store import read_summary

    summary = read_summary(folder)
    console = Console()
    console.print(terminal_table(summary))
    if summary["win_rates"]:
        console.print(terminal_wins(summary))
    for judge in summary["judges"]:
        if judge.get("withheld"):
            console.print(judge["withheld"], markup=False)
    console.print(f"Report: {folder / 'report' / 'report.html'}", markup=False, soft_wrap=True)
    left = "model" if (folder / "dpo" / "model").exists() else "adapter"
    console.print(f"Model:  {folder / 'dpo' / left}", markup=False, soft_wrap=True)
