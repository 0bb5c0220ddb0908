"""A person's corrections of the data, out and back in."""

from pathlib import Path

from adhere.cli.common import app, errors_in_words, saved


@app.command
def export_review(run: Path, *, out: Path) -> None:
    """Every kept row and clause as a spreadsheet, for a person to accept, edit or reject.

    Parameters
    ----------
    run
        The run's folder, with `curate` done.
    out
        The file to write: .xlsx (a sheet for each kind of row) or .csv (one table).
    """
    with errors_in_words():
        from adhere import review

        saved(run)
        count = review.export_review(run, out)
        print(f"{out}: {count:,} rows to look at; then `adhere import-review {run} {out}`.")


@app.command
def import_review(run: Path, sheet: Path) -> None:
    """Take over the decisions of a spreadsheet that `export-review` wrote: all, or none.

    Parameters
    ----------
    run
        The run's folder.
    sheet
        The .xlsx or .csv file.
    """
    with errors_in_words():
        from adhere import review

        saved(run)
        done = review.import_review(run, sheet)
        print(
            f"{done.accepted:,} accepted, {done.edited:,} edited, {done.rejected:,} rejected, "
            f"{done.undecided:,} undecided. `adhere run {run}` uses them."
        )
