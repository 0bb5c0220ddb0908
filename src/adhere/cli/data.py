"""The data of a run: a person's corrections, out and back in, and formats that others read."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from adhere.cli.common import Flag, app, errors_in_words, saved


@app.command
def export_review(run: Path, *, out: Path) -> None:
    """Every kept row and clause as a spreadsheet, for a person to accept, edit or reject.

    Parameters
    ----------
    run
        The run's folder, with `curate` done.
    out
        The file to write: .xlsx (a sheet for each kind of row) or .csv (one table). One that is
        there already is not replaced.
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
        from adhere.store import alone_in

        saved(run)
        with alone_in(run):
            done = review.import_review(run, sheet)
        print(
            f"{done.accepted:,} accepted, {done.edited:,} edited, {done.rejected:,} rejected, "
            f"{done.undecided:,} undecided. `adhere run {run}` uses them."
        )


@app.command
def export_data(
    run: Path,
    *,
    out: Path,
    format: Literal["jsonl", "parquet"] = "jsonl",
    licence: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    push: str | None = None,
    public: Flag = False,
) -> None:
    """The kept rows as a folder for `datasets.load_dataset` and TRL, with a data card.

    Parameters
    ----------
    run
        The run's folder, with `curate` done.
    out
        The folder to write.
    format
        Of the tables.
    licence
        Of the documents, as the hub spells it (cc-by-4.0) or in words; NAME=LICENCE for one of
        several documents, by its name in the run; may be given again.
    push
        Upload it to this dataset repository of the Hugging Face hub (HF_TOKEN must allow it).
    public
        Everybody may see a repository that the push creates; else it is private.
    """
    with errors_in_words():
        from adhere import dataset, hub

        saved(run)
        tables = dataset.export_data(run, out, format, licence)
        for table in tables:
            print(f'{len(table.records):>6,} rows: load_dataset("{out}", "{table.config}")')
        if push:
            print(hub.push_dataset(out, push, private=not public))
