"""`trace`, `gate` and `diff`: where a result comes from, whether it is enough, what changed."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from adhere.cli.common import Flag, app, errors_in_words, saved
from adhere.errors import InputError
from adhere.files import RUN_FILE
from adhere.settings import GateSettings

_Rules = Annotated[GateSettings | None, Parameter(name="*")]


@app.command
def trace(run: Path, id: str, *, json: Flag = False) -> None:
    """From any id to the whole chain: the sentence, the clause, its rows, the verdicts.

    Parameters
    ----------
    run
        The run's folder.
    id
        Of a document, passage, rewriting, clause, conflict, example, pair, probe, situation, row
        of the people's sheet or dropped record, or its beginning; SYSTEM:PROBE for an answer.
    json
        All of it as JSON, for scripts.
    """
    with errors_in_words():
        from adhere.trace import read_run
        from adhere.trace import trace as follow

        saved(run)
        trail = follow(read_run(run), id)
        _say_outdated(run)
        if json:
            _print_json(trail)
            return
        from rich.console import Console

        from adhere.cli.trails import trail_lines

        Console(highlight=False).print(*trail_lines(trail), sep="\n")


@app.command
def gate(
    run: Path,
    *,
    against: Path | None = None,
    junit: Path | None = None,
    markdown: Path | None = None,
    rules: _Rules = None,
) -> None:
    """May this model go on? A line a rule.

    Exit code 0 (open), 1 (closed) or 2 (could not be judged).

    The rules are those of `[gate]` in run.toml; a flag changes one for this call alone.

    Parameters
    ----------
    run
        The run's folder, with `evaluate` done.
    against
        An older run that this one must be no worse than; RUN/previous is the evaluation before
        the documents changed.
    junit
        Write the result as JUnit XML to this file.
    markdown
        Write the result as Markdown to this file; $GITHUB_STEP_SUMMARY is added to.
    """
    with errors_in_words():
        from adhere.gate import compare, judge, opens, read_evidence, write_junit, write_markdown
        from adhere.text import printable

        settings = saved(run)
        given = rules.model_dump(exclude_unset=True) if rules else {}
        wanted = settings.merge({"gate": given}, "flags").gate
        evidence = read_evidence(run)
        checks = judge(evidence, wanted)
        if against:
            checks += compare(read_evidence(against), evidence, wanted)
        for check in checks:
            print(printable(f"{check.outcome:12}{check.rule}: {check.reason}"))
        if junit:
            write_junit(checks, wanted, run, junit)
        if markdown:
            write_markdown(checks, wanted, run, markdown)
        unknown = sum(check.outcome == "cannot tell" for check in checks)
        aside = f"; of {unknown} rules it cannot be told whether they hold" if unknown else ""
        print(f"The gate is {'open' if opens(checks, wanted) else 'closed'}{aside}.")
        if not opens(checks, wanted):
            sys.exit(1)


@app.command
def diff(old: Path, new: Path, *, json: Flag = False) -> None:
    """What changed from one document to another, or from one run to another.

    Documents are compared sentence by sentence, runs clause by clause and result by result.

    Parameters
    ----------
    old
        A document, a folder of documents, or a run's folder.
    new
        The same kind of thing, as it is now.
    json
        All of it as JSON, for scripts.
    """
    with errors_in_words():
        from adhere.diff import clauses_of, compare, sentences_of

        runs = [_is_run(path) for path in (old, new)]
        if any(runs) and not all(runs):
            raise InputError(
                f"{old if runs[1] else new} is no run, and the other is; give two runs or two "
                "documents."
            )
        read = clauses_of if all(runs) else sentences_of
        found = compare(read(old), read(new))
        if all(runs):
            _say_outdated(old)
            _say_outdated(new)
        if json:
            _print_json(found)
            return
        from rich.console import Console

        from adhere.cli.differences import difference_lines

        what = "clauses" if all(runs) else "sentences"
        Console(highlight=False).print(*difference_lines(found, what), sep="\n")


def _is_run(path: Path) -> bool:
    """Of an evaluation that was kept, its records alone are there."""
    return any((path / name).exists() for name in (RUN_FILE, "clauses/clauses.jsonl"))


def _say_outdated(run: Path) -> None:
    from adhere.evaluated import outdated

    if why := outdated(run):
        print(f"adhere: results are of an earlier state of the run: {why}", file=sys.stderr)


def _print_json(record: object) -> None:
    from pydantic_core import to_json

    print(to_json(record, indent=2).decode())
