"""A run's data as a folder that `datasets.load_dataset` and TRL read, with its data card."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from adhere.dataset.card import MADE_BY, card
from adhere.dataset.rows import RunData, Split, splits
from adhere.errors import MissingExtraError
from adhere.licences import read_licences
from adhere.store import fresh_folder, refuse_strangers

__all__ = ["Format", "export_data"]

Format = Literal["jsonl", "parquet"]

_CARD = "README.md"


def export_data(
    run: Path, out: Path, format: Format = "jsonl", licence: Sequence[str] = ()
) -> list[Split]:
    """Write the folder `out`, which appears when it is whole; returns its tables.

    `licence`: of the documents, in the hub's spelling (cc-by-4.0) or in words; read by
    `read_licences`. Raises InputError for a run without `curate`, for a licence of no document
    and where `out` holds something else, MissingExtraError for parquet where `datasets` is
    not installed.
    """
    data = RunData(run)
    licences = read_licences(licence, data.documents)
    tables = splits(data)
    refuse_strangers(out, lambda folder: _is_export(folder, tables))
    paths = {split.config: _path(split, format) for split in tables}
    with fresh_folder(out) as folder:
        for split in tables:
            path = folder / paths[split.config]
            path.parent.mkdir()
            _write(path, split.table, format)
        (folder / _CARD).write_text(card(data, tables, paths, licences), encoding="utf-8")
    return tables


def _path(split: Split, format: Format) -> str:
    return f"{split.config}/{split.name}.{format}"


def _is_export(folder: Path, tables: Sequence[Split]) -> bool:
    """Whether a folder has our card, and nothing in it that an export does not write."""
    readme = folder / _CARD
    if not readme.is_file() or MADE_BY not in readme.read_text(encoding="utf-8", errors="replace"):
        return False
    written = {_path(split, format) for split in tables for format in get_args(Format)}
    written |= {_CARD, *(split.config for split in tables)}
    return all(path.relative_to(folder).as_posix() in written for path in folder.rglob("*"))


def _write(path: Path, table: list[dict[str, Any]], format: Format) -> None:
    if format == "jsonl":
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in table]
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
        return
    try:
        from datasets import Dataset
    except ImportError as error:
        raise MissingExtraError(
            "Parquet files need datasets: pip install 'adhere[train]'. JSONL needs nothing."
        ) from error
    Dataset.from_list(table).to_parquet(path)
