"""Spreadsheets: any text there and back unaltered, and none of it ever a formula."""

import csv
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adhere.errors import InputError
from adhere.sheets import Column, Line, Sheet, read_sheets, write_sheets

NASTY = (
    "=1+1",
    "+49 30",
    "-5 degrees",
    "@SUM(A1)",
    "\t=1",
    "\r\n",
    "'=1",
    "''-x",
    "'tis so",
    " = 1",
    "＝1",
    "#N/A",
    "1e5",
    "579277404800",
    "663e41849001",
    "'12",
    "12\n",
    "TRUE",
    "2020-01-01",
    "_x000D_",
    "_x005F_x000D_",
    "a\rb\r\nc\nd",
    "\x00\x0b\x1f\ufffe\uffff",
    "\u2028\x85\ufeff",
    '"quoted", and; so\ton',
    "<t>&amp;]]>",
    "ليس 👩‍🚀 𝔘",
)
TEXTS = (
    st.text()
    | st.sampled_from(NASTY)
    | st.sampled_from("=+-@'").flatmap(lambda first: st.text().map(lambda rest: first + rest))
    | st.from_regex(r"\A'*[0-9]+([eE][0-9]*)?\s?\Z")
)
COLUMNS = (Column("id"), Column("text", editable=True), Column("decision", choices=("yes", "no")))


def sheet(texts: list[str], name: str = "rows") -> Sheet:
    rows = [{"id": f"r{n}", "text": text, "decision": ""} for n, text in enumerate(texts)]
    return Sheet(name, COLUMNS, rows)


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
@settings(max_examples=25)
@given(texts=st.lists(TEXTS, max_size=4), others=st.lists(TEXTS, max_size=2))
@example(texts=list(NASTY), others=[])
def test_any_text_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, texts: list[str], others: list[str]
) -> None:
    path = tmp_path_factory.mktemp("round") / f"round{suffix}"
    write_sheets(path, [sheet(texts), sheet(others, "others")])
    expected = [
        Line(name, number, {"id": f"r{number - 2}", "text": text, "decision": ""})
        for name, group in (("rows", texts), ("others", others))
        for number, text in enumerate(group, 2)
    ]
    found = read_sheets(path)
    assert [(one.sheet, one.cells) for one in found] == [(x.sheet, x.cells) for x in expected]
    if suffix == ".xlsx":
        assert found == expected


def test_no_cell_of_an_xlsx_file_is_a_formula_and_the_choices_are_a_dropdown(
    tmp_path: Path,
) -> None:
    path = tmp_path / "review.xlsx"
    write_sheets(path, [sheet(list(NASTY))])
    page = zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in page
    assert 't="e"' not in page
    assert '<dataValidation sqref="C2:C' in page
    assert '"yes,no"' in page


def test_no_cell_of_a_csv_file_begins_like_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    write_sheets(path, [sheet(list(NASTY))])
    with path.open(encoding="utf-8-sig", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert len(cells) == 4 * (len(NASTY) + 1)
    assert not [cell for cell in cells if cell.strip()[:1] in tuple("=+-@＝")]


@pytest.mark.parametrize("number", ["579277404800", "663e41849001", "1E5", "42"])
def test_no_cell_of_a_csv_file_is_a_number(tmp_path: Path, number: str) -> None:
    path = tmp_path / "review.csv"
    write_sheets(path, [sheet([number])])
    assert f'"\'{number}"' in path.read_text(encoding="utf-8-sig")


def test_a_row_that_ends_early_has_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_text("sheet;id;text;decision\r\nrows;r0;said;yes\r\nrows;r1\r\n")
    cells = {"id": "r1", "text": "", "decision": ""}
    assert read_sheets(path)[1] == Line("rows", 3, cells)


def test_what_excel_makes_of_a_csv_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    path.write_bytes("sheet;id;text;decision\r\nrows;r0;-5 °C;yes\r\n;;;\r\n".encode("utf-8-sig"))
    cells = {"id": "r0", "text": "-5 °C", "decision": "yes"}
    assert read_sheets(path) == [Line("rows", 2, cells)]


def test_numbers_and_empty_rows_of_a_spreadsheet_program_are_read(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = "rows"
    for row in (["id", "text", None], ["r0", 42, "note"], [None, None, None], ["r1", "=A1", None]):
        page.append(row)
    book.save(tmp_path / "edited.xlsx")
    assert read_sheets(tmp_path / "edited.xlsx") == [
        Line("rows", 2, {"id": "r0", "text": "42"}),
        Line("rows", 4, {"id": "r1", "text": "=A1"}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.ods", b"", "ends in .xlsx or .csv"),
        ("a.xlsx", b"no zip", "not an XLSX file"),
        ("a.csv", "sheet,id\nprobes,\xe9".encode("latin-1"), "not UTF-8; save it as 'CSV UTF-8'"),
        ("a.csv", b"", "not a CSV table"),
        ("a.csv", b'sheet,id\nprobes,"x', "not a CSV table"),
        ("none.csv", None, "no such file"),
    ],
)
def test_what_is_no_spreadsheet_is_refused_in_words(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_sheets(tmp_path / name)


@settings(max_examples=50)
@given(damage=st.dictionaries(st.integers(0, 5_000), st.integers(0, 255), min_size=1, max_size=9))
def test_a_damaged_xlsx_file_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, damage: dict[int, int]
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "review.xlsx"
    write_sheets(path, [sheet(["text"])])
    content = bytearray(path.read_bytes())
    for place, byte in damage.items():
        content[place % len(content)] = byte
    path.write_bytes(content)
    with suppress(InputError):
        read_sheets(path)


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
def test_a_spreadsheet_that_is_there_is_never_overwritten(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"review{suffix}"
    path.write_text("filled in")
    with pytest.raises(InputError, match=r"there already, and perhaps filled in; choose another"):
        write_sheets(path, [sheet(["text"])])
    assert path.read_text() == "filled in"


def test_what_cannot_be_written_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.xlsx or \.csv"):
        write_sheets(tmp_path / "a.ods", [])
    with pytest.raises(InputError, match=r"sheet rows, row 3: 'text' has 32,768 characters"):
        write_sheets(tmp_path / "a.xlsx", [sheet(["short", "x" * 32_768])])
    assert not (tmp_path / "a.xlsx").exists()
    write_sheets(tmp_path / "a.csv", [sheet(["x" * 200_000])])
    assert len(read_sheets(tmp_path / "a.csv")[0].cells["text"]) == 200_000
