"""`adhere judge-export` and `adhere judge-import`: people judge, and sit the judges' exam."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from adhere.cli.common import app, errors_in_words, saved


@app.command(name="judge-export")
def judge_export(
    run: Path,
    *,
    out: Path,
    against: tuple[str, ...] = ("base",),
    pairs: Annotated[int, Parameter(validator=Number(gte=1))] = 40,
    exam: Annotated[int, Parameter(validator=Number(gte=0))] = 20,
) -> None:
    """A sheet of anonymous pairs of answers for people to judge.

    Parameters
    ----------
    run
        The run's folder, with `evaluate` done.
    out
        The sheet to write: a name that ends in .csv, or in .xlsx.
    against
        The systems whose answers stand beside the aligned one's.
    pairs
        At most so many pairs of answers.
    exam
        So many pairs with a known winner are hidden among them, to examine the people.
    """
    with errors_in_words():
        from adhere.evaluate.sheet import KEY
        from adhere.people import export_sheet
        from adhere.store import alone_in

        settings = saved(run)
        with alone_in(run):
            rows = export_sheet(run, settings, out, against=against, pairs=pairs, exam=exam)
        print(f"{out}: {rows} pairs. Write 1, 2 or tie under 'better', then")
        print(f"adhere judge-import {run} {out}")
        print(f"What each row hides is in {run / KEY.name}; do not look there before.")


@app.command(name="judge-import")
def judge_import(run: Path, *sheets: Path) -> None:
    """Read filled sheets back, as a judge named "people".

    Parameters
    ----------
    run
        The run's folder that the sheet was exported from.
    sheets
        The filled sheets, one a person; the majority decides.
    """
    with errors_in_words():
        from adhere.errors import InputError
        from adhere.people import import_sheets
        from adhere.store import alone_in

        if not sheets:
            raise InputError(f"no sheet: `adhere judge-import {run} FILE`.")
        settings = saved(run)
        with alone_in(run):
            row = import_sheets(run, settings, sheets)
        print(f"people: {row['right']} of {row['n']} exam pairs right.")
        print(row["withheld"] or f"Their win rates are in {run / 'evaluate' / 'summary.json'}.")
        print(f"`adhere report {run}` shows them on the page.")
