"""HTML, and the two formats that are turned into HTML first: Markdown and DOCX."""

import io
import re
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adhere.errors import InputError
from adhere.readers.blocks import Block, Kind, Reading, assemble, clean, is_title
from adhere.readers.decode import decode

if TYPE_CHECKING:
    from bs4 import Tag

_SKIP = frozenset(
    re.findall(
        r"\w+",
        """head script style template noscript svg math iframe object
        button datalist input select textarea""",
    )
)
_NAVIGATION = {"nav", "navbar", "navigation", "toc", "table-of-contents", "breadcrumbs"}
_INLINE = frozenset(
    re.findall(
        r"\w+",
        """a abbr b bdi bdo cite code data del dfn em font i ins kbd label mark q ruby s samp small
        span strike strong sub sup time tt u var wbr""",
    )
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_STRONG, _EMPHASIS, _FRAGMENT = "strong", "emphasis", "fragment"
_MARKS = {"strong": _STRONG, "b": _STRONG, "em": _EMPHASIS, "i": _EMPHASIS}
_BOLD_LEVEL, _ITALIC_LEVEL = 7, 8
_BREAK = "\u2028"
_DIGITS = 10
"""More than a list's number has, and fewer than Python refuses to read."""
_NOTE_MARK = re.compile(r"[\[(]?\d{1,3}[\])]?|[↑↩↵¶#§*†^\ufe0e\s]+")


def read_html(data: bytes, name: str) -> Reading:
    """Headings h1 to h6, paragraphs, lists and tables of an HTML page, as plain text."""
    text, notes = decode(data, name, html=True)
    return _read(text, name, notes)


def read_markdown(data: bytes, name: str) -> Reading:
    """CommonMark with tables; front matter and the attribute marks of kramdown are left out."""
    from markdown_it import MarkdownIt

    text, notes = decode(data, name)
    text, fronts = _FRONT_MATTER.subn("", text, count=1)
    notes = (*notes, "front matter left out") if fronts else notes
    parser = MarkdownIt("commonmark", {"maxNesting": 100})
    # Indented text in policies is text, hardly ever code.
    parser.enable(["table", "strikethrough"]).disable("code")
    return _read(parser.render(_plain_markdown(text)), name, notes)


def read_docx(data: bytes, name: str) -> Reading:
    """A Word document, by mammoth. Raises InputError for a file that is no DOCX."""
    import mammoth

    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(
            f"{name}: an old .doc or a Word file with a password. "
            "Open it and save it as .docx without a password."
        )
    styles = "p[style-name='Title'] => h1.title:fresh"
    try:
        page = mammoth.convert_to_html(io.BytesIO(data), style_map=styles)
    except Exception as error:  # whatever its zip and XML parsers raise on damaged files
        raise InputError(
            f"{name}: not a readable DOCX file; it is damaged or another format. "
            "Open it in a word processor and save it again as .docx."
        ) from error
    return _read(page.value, name, ())


def _read(html: str, name: str, notes: tuple[str, ...]) -> Reading:
    from bs4 import BeautifulSoup

    page = BeautifulSoup(html, "lxml")
    walker = _Walker()
    try:
        walker.walk(page)
    except RecursionError as error:
        raise InputError(
            f"{name}: its elements are nested hundreds deep. Save the page as plain text."
        ) from error
    walker.flush()
    return assemble(walker.blocks, (*notes, *walker.notes()))


_FRONT_MATTER = re.compile(
    r"\A\s*(---|\+\+\+)[ \t]*\n(?:[\w\"'-][^\n]*?[:=][^\n]*\n)(?:.*?\n)?\1[ \t]*(?:\n|\Z)",
    re.DOTALL,
)
_MARKDOWN_MARKS: tuple[tuple[str, str], ...] = (
    (r"^(?:#{1,6} .*\n\s*(?:\{:.*\}\s*)?)?[-*+1.]+ TOC\s*\n\{:toc.*\}", ""),
    (r"^\s*\[\[?_?TOC_?\]?\]\s*$", ""),
    (r"^(#{1,6} .*?)[ \t]*(?<!\$)\{[#.:][^}\n]*\}[ \t]*#*[ \t]*$", r"\1"),
    (r"(?<!\$)\{:[^}\n]*\}", ""),
    (r"\{%.*?%\}", ""),
    (r'^[!?]{3}\+? +\w+ +"([^"\n]*)"[ \t]*$', r"\1:"),
    (r"^\[\^[^\]\s]+\]:[ \t]*", ""),
    (r"\[\^[^\]\s]+\]", ""),
)
"""Marks of kramdown, Liquid, MkDocs and footnotes, and what they become."""
_HEADING_ID = re.compile(r"^#{1,6} +(.+?)[ \t]*\{#([\w-]+)", re.MULTILINE)
_OPEN_REFERENCE = re.compile(r"\[\?\]\(#([^)\s]+)\)")


def _plain_markdown(text: str) -> str:
    titles = {name: title for title, name in _HEADING_ID.findall(text)}
    # A site generator would fill in the title of the section that [?](#name) points to.
    text = _OPEN_REFERENCE.sub(lambda match: f"“{titles.get(match[1], match[1])}”", text)
    for pattern, words in _MARKDOWN_MARKS:
        text = re.sub(pattern, words, text, flags=re.MULTILINE)
    return text


class _Walker:
    """Walks a page once and collects blocks.

    Inline text gathers in `_pieces`, each with the marks (bold, italic, link into
    the page) that it stands under, until a block element ends it.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._pieces: list[tuple[str, frozenset[str]]] = []
        self._marks: frozenset[str] = frozenset()
        self._depth = 0
        self._marker = ""
        self._level: int | None = None
        self._skipped: Counter[str] = Counter()
        self._narrow: dict[int, bool] = {}
        """Id of what holds rows -> whether none of them has two full cells."""

    def notes(self) -> list[str]:
        return [f"{what} left out: {count}" for what, count in sorted(self._skipped.items())]

    def walk(self, tag: "Tag") -> None:
        from bs4 import Tag
        from bs4.element import NavigableString, PreformattedString

        for child in tag.children:
            if isinstance(child, Tag):
                self._element(child)
            elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
                self._pieces.append((str(child), self._marks))

    def flush(self, kind: Kind = "paragraph") -> None:
        """End the block that has been gathering; in a heading element, the first one is it."""
        pieces, self._pieces = self._pieces, []
        lines = [clean(line) for line in "".join(text for text, _ in pieces).split(_BREAK)]
        text = ("\n" if self._level is None else " ").join(line for line in lines if line)
        if not text:
            return
        level, self._level = self._level, None
        marks = _common_marks(pieces)
        if level is not None:
            kind = "heading"
        elif self._depth and kind == "paragraph":
            kind, text = "item", self._item(text)
        elif kind == "paragraph" and is_title(text) and marks & {_STRONG, _EMPHASIS}:
            kind, level = "heading", _BOLD_LEVEL if _STRONG in marks else _ITALIC_LEVEL
        self.blocks.append(
            Block(kind=kind, text=text, level=level or 0, contents=_FRAGMENT in marks)
        )

    def _item(self, text: str) -> str:
        indent = "  " * (self._depth - 1)
        marker, self._marker = self._marker, ""
        return indent + marker + text.replace("\n", f"\n{indent}")

    def _element(self, tag: "Tag") -> None:
        if tag.name in _SKIP or _hidden(tag):
            return
        if _navigation(tag):
            self._skipped["navigation blocks"] += 1
        elif tag.name == "img":
            self._skipped["images"] += 1
        elif tag.name == "br":
            self._pieces.append((_BREAK, self._marks))
        elif tag.name in _INLINE:
            self._inline(tag)
        else:
            self.flush()
            self._block(tag)
            self.flush()

    def _block(self, tag: "Tag") -> None:
        if level := _HEADINGS.get(tag.name):
            self._level = 0 if "title" in tag.get_attribute_list("class") else level
            self.walk(tag)
            self.flush()
            self._level = None
        elif tag.name in ("ul", "ol"):
            with self._list():
                self._items(tag)
        elif tag.name == "tr":
            self._row(tag)
        elif tag.name == "pre":
            self._pieces.append((tag.get_text().replace("\n", _BREAK), self._marks))
        else:
            self.walk(tag)

    def _inline(self, tag: "Tag") -> None:
        href = str(tag.get("href") or "")
        if href.startswith("#") and _NOTE_MARK.fullmatch(tag.get_text().strip() or "#"):
            return
        before = self._marks
        mark = _FRAGMENT if href.startswith("#") else _MARKS.get(tag.name)
        self._marks = before | {mark} if mark else before
        self.walk(tag)
        self._marks = before

    @contextmanager
    def _list(self) -> Generator[None]:
        self._depth += 1
        yield
        self._depth -= 1

    def _items(self, tag: "Tag") -> None:
        number = _whole(tag.get("start"), 1)
        for item in tag.find_all(True, recursive=False):
            if item.name != "li":
                self._element(item)
                continue
            number = _whole(item.get("value"), number)
            self._marker = f"{number}. " if tag.name == "ol" else "- "
            self.walk(item)
            self.flush()
            number += 1

    def _row(self, row: "Tag") -> None:
        cells = _cells(row)
        if len(cells) == 1 and self._is_box(row, cells[0]):
            self.walk(cells[0])
            return
        words = " | ".join(clean(cell.get_text(" ")) for cell in cells)
        self._pieces.append((words, frozenset()))
        self.flush("row")

    def _is_box(self, row: "Tag", cell: "Tag") -> bool:
        """Whether a row with one full cell is a box around text, not a row of values."""
        table = row.parent
        if cell.has_attr("colspan") or table is None:
            return True
        if id(table) not in self._narrow:
            rows = table.find_all("tr", recursive=False)
            self._narrow[id(table)] = all(len(_cells(other)) < 2 for other in rows)
        return self._narrow[id(table)]


def _common_marks(pieces: Sequence[tuple[str, frozenset[str]]]) -> frozenset[str]:
    """The marks that all text stands under, page numbers apart."""
    words = [(text.strip(), marks) for text, marks in pieces]
    marked = [marks for text, marks in words if text and not text.isdecimal()]
    return frozenset[str].intersection(*marked) if marked else frozenset()


def _cells(row: "Tag") -> "list[Tag]":
    """The cells of a row that hold text."""
    cells = row.find_all(["td", "th"], recursive=False)
    return [cell for cell in cells if cell.get_text().strip()]


def _hidden(tag: "Tag") -> bool:
    return tag.has_attr("hidden") or tag.get("aria-hidden") == "true"


def _navigation(tag: "Tag") -> bool:
    names = [tag.name, tag.get("id"), tag.get("role"), *tag.get_attribute_list("class")]
    return not _NAVIGATION.isdisjoint(str(name).lower() for name in names)


def _whole(value: object, otherwise: int) -> int:
    """An attribute's whole number, where it is one that a list can have."""
    digits = value.strip() if isinstance(value, str) else ""
    return int(digits) if digits.isdecimal() and len(digits) < _DIGITS else otherwise
