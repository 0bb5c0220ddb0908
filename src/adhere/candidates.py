"""passages -> the sentences that may be clauses, each with the line that introduces it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from adhere.records import Passage
from adhere.text import MARKER, sentence_spans

_BULLET = re.compile(r"^[-*•]\s+")
_INTRODUCES = (":", "：")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A candidate: `document.text[start:end]`, read after the line that introduces it."""

    passage: Passage
    start: int
    end: int
    text: str


def candidates(passages: Iterable[Passage], language: Mapping[str, str]) -> list[Sentence]:
    """The sentences of passages, in their order and without headings.

    An item of a list carries the line that introduces it, which is then no sentence of its own;
    that of a list in a list goes before it, and a list goes on where a passage begins within it.
    A sentence without an introduction keeps its number, by which people name it, and loses its
    bullet. `language`: document id -> ISO 639-1 code.
    """
    found: list[Sentence] = []
    for document, own in groupby(passages, key=lambda passage: passage.document):
        found += _of_document(own, language[document])
    return found


def _of_document(passages: Iterable[Passage], language: str) -> list[Sentence]:
    found: list[Sentence] = []
    leads, under = _Leads(), None
    for passage in passages:
        if passage.headings != under:
            leads.close()
            under = passage.headings
        found += _of_passage(passage, language, leads)
    return [sentence for sentence in found if sentence not in leads.used]


def _of_passage(passage: Passage, language: str, leads: "_Leads") -> list[Sentence]:
    """Those that introduce others included."""
    found: list[Sentence] = []
    headings, line = {title.strip() for title in passage.titles}, _Line(0, "")
    for start, end in sentence_spans(passage.text, language):
        raw = passage.text[start:end]
        text = _BULLET.sub("", raw)
        if is_heading := raw in headings or text in headings:
            leads.close()
        if is_heading or not re.search(r"\w{2}", text):
            continue
        before = passage.text[:start].rpartition("\n")[2]
        if not before.strip():  # it begins its line
            line = _Line(len(before.expandtabs(4)), _kind(raw))
            if lead := leads.of(line):
                text = f"{lead.text} {MARKER.sub('', raw, count=1)}"
        sentence = Sentence(passage, passage.start + start, passage.start + end, text)
        found.append(sentence)
        if text.endswith(_INTRODUCES):
            leads.open(line, sentence)
    return found


@dataclass(frozen=True, slots=True)
class _Line:
    """How a line stands in a list."""

    indent: int
    kind: str
    """What its marker is like; "" of a line that is no item."""

    def holds(self, other: "_Line") -> bool:
        """Whether the other is an item of the list that this line introduces."""
        if not other.kind or not self.kind:
            return bool(other.kind)
        deeper = other.indent - self.indent
        return deeper > 0 or (deeper == 0 and other.kind != self.kind)


def _kind(text: str) -> str:
    """Of a line: an item without a marker begins with a small letter."""
    marker = MARKER.match(text)
    if marker is None:
        return "a word" if text[0].islower() else ""
    sign = marker[0].strip(" ().").lower()
    if sign[0].isdigit():
        return "a number"
    if re.fullmatch(r"[ivx]|[ivxlc]{2,}", sign):
        return "a Roman number"
    return "a letter" if sign.isalpha() else sign


class _Leads:
    """The lines that introduce the items that come now, that of the innermost list last."""

    def __init__(self) -> None:
        self._open: list[tuple[_Line, Sentence]] = []
        self.used: set[Sentence] = set()
        """Those that introduced something."""

    def open(self, line: _Line, sentence: Sentence) -> None:
        self._open.append((line, sentence))

    def close(self) -> None:
        self._open = []

    def of(self, line: _Line) -> Sentence | None:
        """What introduces a line; lists that it is no item of are over."""
        while self._open and not self._open[-1][0].holds(line):
            self._open.pop()
        if not self._open:
            return None
        lead = self._open[-1][1]
        self.used.add(lead)
        return lead
