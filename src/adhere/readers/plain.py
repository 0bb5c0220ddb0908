"""Plain text: paragraphs, lists and headings told by layout alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
from adhere.readers.decode import decode
from adhere.text import is_wide

_RULE = re.compile(r"\s*([-_=*~#])\1{2,}\s*")
_SECTION = re.compile(r"\(?(\d{1,3}(?:\.\d{1,3})*)[.)]?\s+\S")
_WIDEST_WRAP = 120
_FULL = 0.9
"""A line is full from this quantile of all line lengths on."""


@dataclass(slots=True)
class _Paragraph:
    """Lines that belong together."""

    text: str
    alone: bool
    """A blank line stands before it."""

    @property
    def bullet(self) -> bool:
        return BULLET.match(self.text) is not None

    @property
    def numbered(self) -> bool:
        return NUMBER.match(self.text) is not None


def read_text(data: bytes, name: str) -> Reading:
    """A text file. Wrapped lines are joined again; headings are short lines before a paragraph."""
    text, notes = decode(data, name)
    lines = [line.rstrip() for line in text.replace("\f", "\n\n").split("\n")]
    return assemble(_blocks(_paragraphs(lines, _wrap_width(lines))), notes)


def _wrap_width(lines: Sequence[str]) -> int | None:
    """The column at which this text was wrapped, or None for one paragraph a line.

    In wrapped text a full line seldom ends a sentence; where most do, the lines are
    paragraphs.
    """
    lengths = sorted(len(line) for line in lines if line.strip())
    width = lengths[int(_FULL * (len(lengths) - 1))] if lengths else 0
    if width > _WIDEST_WRAP:
        return None
    full = [line for line, after in pairwise(lines) if after.strip() and len(line) >= _FULL * width]
    ended = sum(line.rstrip(CLOSERS)[-1:] in STOPS for line in full)
    return width if len(full) > 1 and 2 * ended < len(full) else None


def _paragraphs(lines: Sequence[str], width: int | None) -> list[_Paragraph]:
    """Join wrapped lines. A line goes on where its first word would not have fitted before."""
    paragraphs: list[_Paragraph] = []
    before = ""
    for line in lines:
        words = clean(line)
        if _RULE.fullmatch(line):
            words = before = ""
        if words:
            if before and width and _goes_on(before, words, width):
                last = paragraphs[-1]
                last.text += glue(last.text, words) + words
            else:
                paragraphs.append(_Paragraph(text=words, alone=not before))
        before = line if words else ""
    return paragraphs


def _goes_on(before: str, words: str, width: int) -> bool:
    if BULLET.match(words) or NUMBER.match(words):
        return False
    first = words[0] if is_wide(words[0]) else words.split()[0]
    return len(before) + len(glue(before, first)) + len(first) > width


def _blocks(paragraphs: Sequence[_Paragraph]) -> list[Block]:
    titles = [_may_be_heading(paragraphs, index) for index in range(len(paragraphs))]
    return [
        _block(paragraph, index, is_heading=_is_heading(paragraphs, titles, index))
        for index, paragraph in enumerate(paragraphs)
    ]


def _may_be_heading(paragraphs: Sequence[_Paragraph], index: int) -> bool:
    """A short line without a final stop that does not carry on an unfinished sentence."""
    here = paragraphs[index]
    if here.bullet or not is_title(here.text):
        return False
    before = paragraphs[index - 1] if index else None
    if before is None:
        return True
    ended = before.text.rstrip(CLOSERS)[-1:] in tuple(".!?。！？؟।")
    under_title = is_title(before.text) and not before.numbered and not before.bullet
    if here.numbered:
        return ended or (here.alone and under_title)
    return ended or here.alone or (index == 1 and under_title)


def _is_heading(paragraphs: Sequence[_Paragraph], titles: Sequence[bool], index: int) -> bool:
    """A heading has text or, when it is no numbered one itself, numbered headings under it."""
    if not titles[index] or index + 1 >= len(titles):
        return False
    if paragraphs[index + 1].numbered:
        return not paragraphs[index].numbered
    return index == 0 or not titles[index + 1]


def _block(paragraph: _Paragraph, index: int, *, is_heading: bool) -> Block:
    if is_heading:
        section = _SECTION.match(paragraph.text)
        level = 3 + section[1].count(".") if section else (1 if index == 0 else 2)
        return Block(kind="heading", text=paragraph.text, level=level)
    if paragraph.bullet:
        return Block(kind="item", text=BULLET.sub("- ", paragraph.text, count=1))
    return Block(kind="item" if paragraph.numbered else "paragraph", text=paragraph.text)
