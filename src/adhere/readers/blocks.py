"""What every reader produces: blocks of clean text, and the document that they make together."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from adhere.text import is_wide

Kind = Literal["heading", "paragraph", "item", "row"]

BULLET = re.compile(r"[-*+•·‣◦▪●○–—☐\uf000-\uf0ff](?:\s+|$)")
NUMBER = re.compile(r"\(?(?:\d{1,3}(?:\.\d{1,3})*|[A-Za-z]|[ivxlcIVXLC]{1,6})[.)]\s+(?=\S)")
STOPS = ".!?:;,…。！？：；，、؟؛،।"
"""A line that ends in one of these is no heading, save one that asks a question."""
CLOSERS = "\"'”’»)]）」』》"
"""Marks that may follow the stop of a sentence."""

_HYPHENS = {0x2010: "-", 0x2011: "-"}
_INVISIBLE: dict[int, None] = {0x00AD: None, 0x200B: None, 0x2060: None, 0xFEFF: None}
_CONTENTS_RUN = 3
_TITLE_LENGTH = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A heading, paragraph, list item or table row. Each line of `text` is a unit of its own."""

    kind: Kind
    text: str
    level: int = 0
    """Of a heading; smaller is higher."""
    pages: tuple[tuple[int, int], ...] = ()
    """(offset within `text`, number of the page that starts there)."""
    contents: bool = False
    """It looks like a line of a table of contents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A heading line of the normalised text."""

    offset: int
    level: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One file, read: the normalised text and where its headings and pages begin."""

    text: str
    headings: tuple[Heading, ...]
    pages: tuple[tuple[int, int], ...] = ()
    """(offset, page number), ascending; empty for formats without pages."""
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Page:
    """Text under construction."""

    parts: list[str] = field(default_factory=list[str])
    length: int = 0

    def add(self, text: str) -> None:
        self.parts.append(text)
        self.length += len(text)


def clean(text: str) -> str:
    """One line of plain text: NFC, no invisible characters, single spaces.

    A line break between two Chinese or Japanese characters vanishes, any other
    becomes a space.
    """
    text = text.translate(_INVISIBLE).translate(_HYPHENS)
    return join_lines(unicodedata.normalize("NFC", text).splitlines())


def join_lines(lines: Iterable[str]) -> str:
    """Lines of one paragraph as one line."""
    joined = ""
    for line in lines:
        words = " ".join(line.split())
        joined += glue(joined, words) + words
    return joined


def glue(before: str, after: str) -> str:
    """What belongs between two lines of a paragraph: a space, except in scripts without spaces."""
    if not before or not after or (is_wide(before[-1]) and is_wide(after[0])):
        return ""
    return " "


def is_title(text: str) -> bool:
    """Whether a line that stands alone reads like a heading: short, and without a final stop."""
    return (
        len(text) <= _TITLE_LENGTH
        and text[-1:] not in STOPS
        and any(character.isalpha() for character in text)
        and "__" not in text
    )


def assemble(blocks: Sequence[Block], notes: Sequence[str] = ()) -> Reading:
    """Join blocks into one text.

    Rules and signature lines (no letter, no digit) are left out; so are tables of
    contents, with their heading, and these are noted.
    """
    written = [block for block in blocks if any(map(str.isalnum, block.text))]
    kept = _without_contents(written)
    page = _Page()
    headings: list[Heading] = []
    pages: list[tuple[int, int]] = []
    previous: Block | None = None
    for block in kept:
        if previous:
            page.add(_separator(previous, block))
        if block.kind == "heading":
            headings.append(Heading(offset=page.length, level=block.level, title=block.text))
        pages.extend((page.length + offset, number) for offset, number in block.pages)
        page.add(block.text)
        previous = block
    said = (*notes, "a table of contents was left out") if len(kept) < len(written) else (*notes,)
    return Reading(
        text="".join(page.parts), headings=tuple(headings), pages=_turns(pages), notes=said
    )


def _separator(previous: Block, block: Block) -> str:
    return "\n" if previous.kind == block.kind and block.kind in ("item", "row") else "\n\n"


def _turns(pages: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Only the places where the page changes."""
    pairs = zip([None, *(number for _, number in pages)], pages, strict=False)
    return tuple(place for before, place in pairs if place[1] != before)


def _without_contents(blocks: Sequence[Block]) -> list[Block]:
    kept: list[Block] = []
    run: list[Block] = []
    for block in [*blocks, None]:
        if block and block.contents:
            run.append(block)
            continue
        if len(run) < _CONTENTS_RUN:
            kept.extend(run)
        elif kept and kept[-1].kind in ("heading", "paragraph") and is_title(kept[-1].text):
            kept.pop()
        run = []
        if block:
            kept.append(block)
    return kept
