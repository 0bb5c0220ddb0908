"""PDF: lines put back into paragraphs by where they stand on the page."""

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from adhere.errors import InputError
from adhere.readers.blocks import (
    BULLET,
    CLOSERS,
    NUMBER,
    STOPS,
    Block,
    Reading,
    assemble,
    clean,
    glue,
    is_title,
)

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfPage

_HYPHEN = "\x02"
"""What pdfium writes for a hyphen at the end of a line, in place of the line break."""
_LEADERS = re.compile(r".*(?:\.\s?){4,}\s*\w+")
_EDGE_LINES = 3
_LARGER, _SMALLER = 1.12, 0.92
_GAP = 1.6
_SLACK = 0.97


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    text: str
    page: int
    left: float
    right: float
    bottom: float
    top: float
    size: float
    """Median height of its characters, in points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """What is usual in this document."""

    size: float
    leading: float
    """Distance between the lines of a paragraph, in points."""
    right: float
    levels: dict[str, int]
    """Title -> heading level, from the outline."""
    sizes: tuple[float, ...]
    """Sizes of headings, the largest first, where there is no outline."""
    words: frozenset[str]


def read_pdf(data: bytes, name: str) -> Reading:
    """The text layer of a PDF, with page numbers; headings from its outline or letter sizes.

    Raises InputError for a PDF that is damaged, encrypted or scanned.
    """
    import pypdfium2

    try:
        with pypdfium2.PdfDocument(data) as document:
            pages = [_lines(document[index], index + 1) for index in range(len(document))]
            levels = _outline(document)
    except pypdfium2.PdfiumError as error:
        raise _unreadable(name, str(error)) from error
    notes = _check_text_layer(pages, name)
    pages = [_joined_titles(lines, levels) for lines in pages]
    pages, repeated = _without_running_lines(pages, levels)
    if repeated:
        notes.append(f"repeated page headers and footers left out: {repeated} lines")
    lines = [line for page in pages for line in page]
    if not lines:
        return assemble([], notes)
    return assemble(list(_blocks(lines, _layout(lines, levels))), notes)


def _unreadable(name: str, reason: str) -> InputError:
    if "password" in reason.lower() or "security" in reason.lower():
        return InputError(
            f"{name}: the PDF is encrypted. Save a copy without a password first "
            f"(qpdf --decrypt --password=... {name} out.pdf)."
        )
    return InputError(
        f"{name}: not a readable PDF; the file is damaged or another format. "
        f"Open and save it again, or repair it (qpdf {name} out.pdf)."
    )


def _check_text_layer(pages: Sequence[Sequence[_Line]], name: str) -> list[str]:
    """A note for the odd empty page; InputError when most pages hold no text."""
    empty = [number for number, lines in enumerate(pages, 1) if not lines]
    if 2 * len(empty) > len(pages) or not pages:
        which = "it" if len(pages) < 2 else f"page {empty[0]}"
        raise InputError(
            f"{name}: {which} holds no text; it looks scanned. "
            f"Run OCR first (ocrmypdf {name} out.pdf)."
        )
    return [f"page {number} holds no text" for number in empty]


def _lines(page: "PdfPage", number: int) -> list[_Line]:
    import pypdfium2.raw as pdfium

    text_page = page.get_textpage()
    line: list[tuple[str, tuple[float, float, float, float]]] = []
    lines: list[_Line] = []
    for index in range(text_page.count_chars()):
        character = chr(pdfium.FPDFText_GetUnicode(text_page.raw, index))
        if character not in "\r\n":
            line.append((character, text_page.get_charbox(index, loose=True)))
        if character in ("\r", "\n", _HYPHEN):
            lines.extend(_line(line, number))
            line = []
    lines.extend(_line(line, number))
    text_page.close()
    page.close()
    return lines


def _line(
    characters: Sequence[tuple[str, tuple[float, float, float, float]]], page: int
) -> Iterator[_Line]:
    shown = [(c, box) for c, box in characters if not c.isspace() and box[3] > box[1]]
    if not shown:
        return
    size = statistics.median(top - bottom for _, (_, bottom, _, top) in shown)
    bottom = statistics.median(box[1] for _, box in shown)
    text = "".join(
        c for c, box in characters if not (c.isdigit() and _is_raised(box, size, bottom))
    )
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore").strip()
    if clean(text):
        yield _Line(
            text=text,
            page=page,
            left=min(box[0] for _, box in shown),
            right=max(box[2] for _, box in shown),
            bottom=bottom,
            top=bottom + size,
            size=size,
        )


def _is_raised(box: tuple[float, float, float, float], size: float, bottom: float) -> bool:
    """Whether a digit is a footnote mark: small, and above the line."""
    height = box[3] - box[1]
    return 0 < height < 0.8 * size and box[1] > bottom + 0.1 * size


def _outline(document: "PdfDocument") -> dict[str, int]:
    return {_key(item.get_title()): item.level + 1 for item in document.get_toc()}


def _key(title: str) -> str:
    return re.sub(r"\W+", " ", title).strip().casefold()


def _without_running_lines(
    pages: Sequence[Sequence[_Line]], levels: dict[str, int]
) -> tuple[list[list[_Line]], int]:
    """Drop lines at the top or bottom of pages that most pages repeat, page numbers apart.

    Numbered headings, one at the top of each page, are told from them by the outline or
    by their size.
    """

    def pattern(line: _Line) -> tuple[str, int]:
        return re.sub(r"\d+|\b[ivxl]+\b", "#", line.text), round(line.bottom / 6)

    def edges(lines: Sequence[_Line]) -> list[_Line]:
        ordered = sorted(lines, key=lambda line: -line.bottom)
        return ordered[:_EDGE_LINES] + ordered[_EDGE_LINES:][-_EDGE_LINES:]

    size = _usual_size(line for lines in pages for line in lines)
    found: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    for number, lines in enumerate(pages):
        for line in edges(lines):
            found[pattern(line)][number] = line.text

    def is_running(line: _Line) -> bool:
        texts = found[pattern(line)]
        if len(texts) < max(3, len(pages) / 2):
            return False
        large = line.size > _LARGER * size and any(map(str.isalpha, pattern(line)[0]))
        return not (len(set(texts.values())) > 1 and (large or _key(line.text) in levels))

    kept: list[list[_Line]] = []
    for lines in pages:
        running = [line for line in edges(lines) if is_running(line)]
        kept.append([line for line in lines if line not in running])
    return kept, sum(map(len, pages)) - sum(map(len, kept))


def _usual_size(lines: Iterable[_Line]) -> float:
    """The size that most letters have."""
    weights = Counter[float]()
    for line in lines:
        weights[round(line.size, 1)] += len(line.text)
    return weights.most_common(1)[0][0]


def _layout(lines: Sequence[_Line], levels: dict[str, int]) -> _Layout:
    size = _usual_size(lines)
    steps = [
        above.bottom - below.bottom
        for above, below in pairwise(lines)
        if above.page == below.page and 0 < above.bottom - below.bottom < 3 * size
    ]
    titles = {round(line.size) for line in lines if line.size > _LARGER * size}
    rights = sorted(line.right for line in lines)
    return _Layout(
        size=size,
        leading=statistics.median(steps) if steps else 1.2 * size,
        right=rights[int(0.95 * (len(rights) - 1))],
        levels=levels,
        sizes=tuple(sorted(titles, reverse=True)),
        words=_words(lines),
    )


def _words(lines: Sequence[_Line]) -> frozenset[str]:
    """All words but the halves of those broken at a line's end."""
    words: set[str] = set()
    broken = False
    for line in lines:
        found = re.findall(r"[\w-]+", line.text)
        ends_broken = line.text.endswith(_HYPHEN)
        words.update(found[broken : len(found) - ends_broken])
        broken = ends_broken
    return frozenset(words)


def _joined_titles(lines: Sequence[_Line], levels: dict[str, int]) -> list[_Line]:
    """Two lines of a page that together are a title of the outline become one."""
    joined: list[_Line] = []
    for line in lines:
        title = f"{joined[-1].text} {line.text}" if joined else line.text
        if joined and _key(title) in levels:
            joined[-1] = replace(joined[-1], text=title, bottom=line.bottom)
        else:
            joined.append(line)
    return joined


def _blocks(lines: Sequence[_Line], layout: _Layout) -> Iterator[Block]:
    """Lines to blocks; footnotes wait until the paragraph that they interrupt is whole."""
    block: Block | None = None
    before: _Line | None = None
    notes: list[Block] = []
    for line in lines:
        if block and line.size < _SMALLER * layout.size:
            if notes and not line.text[0].isdigit():
                notes[-1] = _extend(notes[-1], line, layout)
            else:
                notes.append(_new(line, layout))
        elif block and before and _goes_on(block, before, line, layout):
            block, before = _extend(block, line, layout), line
        else:
            if block:
                yield from (block, *notes)
            block, before, notes = _new(line, layout), line, []
    if block:
        yield from (block, *notes)


def _new(line: _Line, layout: _Layout) -> Block:
    text = clean(line.text.replace(_HYPHEN, "-"))
    pages = ((0, line.page),)
    if _LEADERS.fullmatch(text):
        return Block(kind="paragraph", text=text, pages=pages, contents=True)
    if level := _heading_level(line, layout):
        return Block(kind="heading", text=text, level=level, pages=pages)
    if BULLET.match(text):
        return Block(kind="item", text=BULLET.sub("- ", text, count=1), pages=pages)
    return Block(kind="item" if NUMBER.match(text) else "paragraph", text=text, pages=pages)


def _heading_level(line: _Line, layout: _Layout) -> int:
    """1 and up for a heading, else 0."""
    if layout.levels:
        return layout.levels.get(_key(line.text), 0)
    if round(line.size) in layout.sizes and line.size > _LARGER * layout.size:
        return 1 + layout.sizes.index(round(line.size)) if is_title(line.text) else 0
    return 0


def _goes_on(block: Block, before: _Line, line: _Line, layout: _Layout) -> bool:
    """Whether `line` carries on the block that ends with the line `before`."""
    text = clean(line.text)
    level = _heading_level(line, layout)
    if block.kind == "heading":
        return level == block.level and not layout.levels
    if block.contents or level or BULLET.match(text) or NUMBER.match(text):
        return False
    if abs(before.size - line.size) > (_LARGER - 1) * layout.size:
        return False
    unfinished = before.text.rstrip(CLOSERS)[-1:] not in STOPS
    if before.page != line.page:
        return unfinished
    if not -0.5 * layout.size < before.bottom - line.bottom < _GAP * layout.leading:
        return False
    if unfinished and text[0].islower():
        return True
    first = (line.right - line.left) * len(text.split()[0]) / len(text)
    return before.right + first > _SLACK * layout.right


def _extend(block: Block, line: _Line, layout: _Layout) -> Block:
    text = clean(line.text.replace(_HYPHEN, "-"))
    start = _before(block.text, text, layout.words)
    turn = ((len(start), line.page),)
    return replace(block, text=start + text, pages=block.pages + turn)


def _before(before: str, after: str, words: frozenset[str]) -> str:
    """`before` as it stands in front of `after`: with a space, or a broken word made whole.

    The hyphen goes where the document has the word in one piece elsewhere, or where
    the two halves are no words of their own.
    """
    match = re.search(r"(\w+)-$", before)
    rest = re.match(r"[^\W\d_]+", after)
    if not match or not rest or not rest[0][0].islower():
        return before + glue(before, after)
    whole, hyphenated = match[1] + rest[0], f"{match[1]}-{rest[0]}"
    halves = match[1] in words and rest[0] in words
    keeps = hyphenated in words or (halves and whole not in words)
    return before if keeps else before[:-1]
