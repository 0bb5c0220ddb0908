"""Tables of text as a spreadsheet for a person to edit, there and back without loss.

XLSX has one sheet a table; CSV has one table whose first column names the sheet. No text
is ever a formula or a number: a cell that looks like one reaches the spreadsheet program as text.
"""

import csv
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

from adhere.errors import InputError, MissingExtraError

_SHEET = "sheet"
_LONGEST = 32_767
"""Characters that an XLSX cell can hold (Excel's limit)."""
_WIDTH = {"id": 15, "comment": 30}
_WIDE, _NARROW = 48, 13
_CODED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
"""What XML 1.0 cannot hold, and what looks like the code for it (ECMA-376, ST_Xstring)."""
_TAKEN = r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n]|\d+(?:e\d+)?\Z)"
_TAKEN_FOR_ELSE = re.compile(_TAKEN, re.IGNORECASE)
"""What a spreadsheet program takes for a formula or a number; many an id is "663e41849001"."""
_DEFUSED = re.compile(f"'{_TAKEN}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    editable: bool = False
    choices: tuple[str, ...] = ()
    """In XLSX a dropdown offers these, and takes nothing else."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table to write; `rows` have a text for every column."""

    name: str
    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Line:
    """One row as it was read, by the names of its columns."""

    sheet: str
    number: int
    """As the spreadsheet program counts: the row of names is 1."""
    cells: dict[str, str]

    @property
    def place(self) -> str:
        return f"sheet {self.sheet}, row {self.number}"


def write_sheets(path: Path, sheets: Sequence[Sheet]) -> None:
    """Write the tables; the file takes its name when it is whole.

    Raises InputError for a file that is there already, for a name that ends in neither .xlsx
    nor .csv and for a text too long for an XLSX cell, MissingExtraError where openpyxl is not
    installed.
    """
    write = {".xlsx": _write_xlsx, ".csv": _write_csv}.get(path.suffix.lower())
    if write is None:
        raise InputError(f"{path}: a spreadsheet's name ends in .xlsx or .csv.")
    if path.exists():
        raise InputError(f"{path}: there already, and perhaps filled in; choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.partial")
    write(aside, sheets)
    aside.replace(path)


def read_sheets(path: Path) -> list[Line]:
    """The rows of all tables, in their order; empty rows are left out.

    Raises InputError for a file that is no spreadsheet of these kinds.
    """
    read = {".xlsx": _read_xlsx, ".csv": _read_csv}.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path}: a spreadsheet's name ends in .xlsx or .csv.")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    return [line for line in read(path) if any(text.strip() for text in line.cells.values())]


def _write_xlsx(path: Path, sheets: Sequence[Sheet]) -> None:
    book: Any = _openpyxl().Workbook()
    book.remove(book.active)
    for sheet in sheets:
        page = book.create_sheet(sheet.name)
        for place, column in enumerate(sheet.columns, 1):
            _fill_column(page, place, column, [row[column.name] for row in sheet.rows])
        page.freeze_panes = "B2"
        page.auto_filter.ref = page.dimensions
    book.save(path)


def _fill_column(page: Any, place: int, column: Column, texts: Sequence[str]) -> None:
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    letter = get_column_letter(place)
    usual = _WIDE if any(len(text) > _WIDE for text in texts) else _NARROW
    page.column_dimensions[letter].width = _WIDTH.get(column.name, usual)
    page.cell(1, place, column.name).font = Font(bold=True)
    wrapped, grey = Alignment(wrap_text=True, vertical="top"), PatternFill("solid", "FFEEEEEE")
    for number, text in enumerate(texts, 2):
        cell = page.cell(number, place)
        cell.value = _coded(text, f"sheet {page.title}, row {number}: '{column.name}'")
        cell.data_type = "s"  # openpyxl takes what begins with "=" for a formula
        cell.number_format = "@"
        cell.quotePrefix = True
        cell.alignment = wrapped
        if not column.editable:
            cell.fill = grey
    if column.choices and texts:
        allowed = DataValidation(type="list", formula1=f'"{",".join(column.choices)}"')
        allowed.showErrorMessage = True
        allowed.error = f"Choose one of: {', '.join(column.choices)}."
        allowed.add(f"{letter}2:{letter}{len(texts) + 1}")
        page.add_data_validation(allowed)


def _coded(text: str, place: str) -> str:
    coded = _UNWRITABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
    if len(coded) > _LONGEST:
        raise InputError(
            f"{place} has {len(coded):,} characters, and XLSX holds {_LONGEST:,}; "
            "write a .csv instead."
        )
    return coded


def _read_xlsx(path: Path) -> Iterator[Line]:
    openpyxl = _openpyxl()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles that openpyxl does not know
            book: Any = openpyxl.load_workbook(path)
    except Exception as error:  # whatever its zip and XML parsers raise on damaged files
        raise InputError(f"{path}: not an XLSX file; save it as one, or as .csv.") from error
    for page in book.worksheets:
        names, *rows = [[_text(cell.value) for cell in row] for row in page.iter_rows()] or [[]]
        for number, row in enumerate(rows, 2):
            cells = dict(zip(names, row, strict=True))
            cells.pop("", None)
            yield Line(page.title, number, cells)


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return _CODED.sub(lambda found: chr(int(found[1], 16)), text)


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise MissingExtraError(
            "XLSX files need openpyxl: pip install 'adhere[review]'. A .csv needs nothing."
        ) from error
    return openpyxl


def _write_csv(path: Path, sheets: Sequence[Sheet]) -> None:
    names = dict.fromkeys(column.name for sheet in sheets for column in sheet.columns)
    last = {column.name: None for sheet in sheets for column in sheet.columns if column.choices}
    ordered = [_SHEET, *(name for name in names if name not in last), *last]
    # With the mark at its start, Excel reads the file as UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ordered, restval="", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        for sheet in sheets:
            for row in sheet.rows:
                defused = {name: _defused(text) for name, text in row.items()}
                writer.writerow({_SHEET: sheet.name, **defused})


def _read_csv(path: Path) -> Iterator[Line]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8; save it as 'CSV UTF-8'.") from error
    first = text.splitlines()[0] if text else ""
    delimiter = max(",;\t", key=first.count)  # Excel writes its language's own
    csv.field_size_limit(max(len(text), csv.field_size_limit()))
    try:
        names, *rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise InputError(f"{path}: not a CSV table with a row of names: {error}.") from error
    for number, row in enumerate(rows, 2):  # Excel leaves out the empty cells at a row's end
        cells = {name: _fused(cell) for name, cell in zip_longest(names, row, fillvalue="") if name}
        yield Line(cells.pop(_SHEET, ""), number, cells)


def _defused(text: str) -> str:
    """With a quote before what a spreadsheet program would run (OWASP, CSV injection) or round."""
    return f"'{text}" if _TAKEN_FOR_ELSE.match(text) else text


def _fused(text: str) -> str:
    return text[1:] if _DEFUSED.match(text) else text
