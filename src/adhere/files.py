"""Files of the user's: which of a folder count, and other people's layouts, taken as they are."""

import csv
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from adhere.errors import InputError

T = TypeVar("T")
_PASSED_OVER = (".", "~$")
"""How names begin of hidden files and of those that Word keeps beside an open document."""
RUN_FILE = "run.toml"
LOCK = ".lock"
"""A file of a run's folder, held by the process that works there; it is no part of the run."""
_OF_A_RUN = (RUN_FILE, "cache.sqlite", LOCK)
"""One of these tells a run's folder; before its first stage is done, it holds the lock alone."""


def files_in(folder: Path) -> list[Path]:
    """The files of a folder and of those in it that count, in order of name.

    What lies in a run's folder is the run's own and counts for nothing, unless that folder is
    the one asked for.
    """
    return _walked(folder)[0]


def runs_in(folder: Path) -> list[Path]:
    """The runs' folders in a folder, which `files_in` passes over, in order of name."""
    return _walked(folder)[1]


def _walked(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files that count, and the runs' folders."""
    files: list[Path] = []
    runs: list[Path] = []
    for place, folders, names in os.walk(folder):
        inner = [Path(place, name) for name in folders if not name.startswith(_PASSED_OVER)]
        found = [one for one in inner if any((one / name).exists() for name in _OF_A_RUN)]
        runs += found
        folders[:] = [one.name for one in inner if one not in found]
        files += [Path(place, name) for name in names if not name.startswith(_PASSED_OVER)]
    return sorted(file for file in files if file.is_file()), sorted(runs)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read_lines(path: Path, kind: type[T]) -> list[T]:
    """One JSON object a line, as `kind`; keys that it does not know are left alone.

    Raises InputError naming the file and the line for what is not such an object, and for
    a file that holds none.
    """
    lines = _text(path).split("\n")
    return _checked(path, ((n, line) for n, line in enumerate(lines, 1) if line.strip()), kind)


def read_table(path: Path, kind: type[T]) -> list[T]:
    """One row of a CSV file with a header line each, as `kind`; errors as in `read_lines`."""
    reader = csv.DictReader(_text(path).splitlines(keepends=True))
    return _checked(path, ((reader.line_num, row) for row in reader), kind)


def _checked(path: Path, rows: Iterator[tuple[int, Any]], kind: type[T]) -> list[T]:
    adapter, found = _adapter(kind), list[T]()
    for number, row in rows:
        try:
            found.append(
                adapter.validate_json(row) if isinstance(row, str) else adapter.validate_python(row)
            )
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            raise InputError(
                f"{path}: line {number}: {f'{place}: ' if place else ''}{problem['msg']}."
            ) from error
    if not found:
        raise InputError(f"{path}: nothing in it; one {kind.__name__} a line is expected.")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text.") from error
