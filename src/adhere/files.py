"""Files of the user's: which of a folder count, and other people's layouts, taken as they are."""

import csv
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from adhere.errors import InputError

T = TypeVar("T")
_PASSED_OVER = (".", "~$")
"""How names begin of hidden files and of those that Word keeps beside an open document."""


def files_in(folder: Path) -> list[Path]:
    """The files of a folder and of those in it that count, in order of name."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and not any(part.startswith(_PASSED_OVER) for part in file.relative_to(folder).parts)
    )


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
