"""How much of each document is under a clause, and which passages hold none, and why."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adhere.records import Clause, Document, Dropped, Passage


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentPassage:
    """A passage that no clause was taken from."""

    passage: Passage
    reasons: tuple[tuple[str, int], ...]
    """Why, and of how many of its sentences; "passage ..." speaks of the whole of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCoverage:
    """Of one document; characters do not count white space."""

    document: Document
    characters: int
    stated: int
    """Under the sentence of an explicit clause."""
    implied: int
    """Under an implicit clause alone, whose span is its whole passage."""
    passages: int
    silent: tuple[SilentPassage, ...]

    @property
    def share(self) -> float:
        return (self.stated + self.implied) / max(self.characters, 1)


def text_coverage(
    documents: Sequence[Document],
    passages: Sequence[Passage],
    clauses: Sequence[Clause],
    dropped: Iterable[Dropped],
    aside: Iterable[Clause] = (),
) -> list[TextCoverage]:
    """One row a document, in their order.

    `dropped`: of the stage `clauses`. `aside`: the clauses that gave way to others; they
    cover nothing, and their passages say what they gave way to.
    """
    passage_of = {clause.id: clause.passage for clause in aside}
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for drop in dropped:
        passage = drop.record_id.partition(":")[0]
        reasons[passage_of.get(passage, passage)][drop.reason] += 1
    spoken = {clause.passage for clause in clauses}
    return [
        _of_document(
            document,
            [passage for passage in passages if passage.document == document.id],
            [clause for clause in clauses if clause.document == document.id],
            spoken,
            reasons,
        )
        for document in documents
    ]


def _of_document(
    document: Document,
    passages: Sequence[Passage],
    clauses: Sequence[Clause],
    spoken: set[str],
    reasons: dict[str, Counter[str]],
) -> TextCoverage:
    stated = _covered(document, [one for one in clauses if one.stance == "explicit"])
    return TextCoverage(
        document=document,
        characters=_size(document.text),
        stated=stated,
        implied=_covered(document, clauses) - stated,
        passages=len(passages),
        silent=tuple(
            SilentPassage(passage=passage, reasons=tuple(reasons[passage.id].most_common()))
            for passage in passages
            if passage.id not in spoken
        ),
    )


def _covered(document: Document, clauses: Iterable[Clause]) -> int:
    """Characters under at least one of the spans."""
    total = reached = 0
    for start, end in sorted((clause.start, clause.end) for clause in clauses):
        total += _size(document.text[max(start, reached) : end])
        reached = max(reached, end)
    return total


def _size(text: str) -> int:
    return sum(len(word) for word in text.split())


def coverage_lines(rows: Sequence[TextCoverage]) -> list[str]:
    """The coverage in words, a line a document and a line a silent passage."""
    lines: list[str] = []
    for row in rows:
        implied = f", {row.implied / max(row.characters, 1):.0%} of it by what a passage shows"
        lines.append(
            f"{row.document.name}: {row.share:.0%} of the text is under a clause"
            f"{implied if row.implied else ''}; {_how_many_silent(row)}"
        )
        lines += [
            f"  passage {silent.passage.id} ({place_of(silent.passage)}): {why(silent)}"
            for silent in row.silent
        ]
    return lines


def _how_many_silent(row: TextCoverage) -> str:
    silent = len(row.silent)
    passages = "passage" if row.passages == 1 else "passages"
    hold = "holds" if 1 in (silent, row.passages) else "hold"
    return f"{silent} of {row.passages} {passages} {hold} none"


def place_of(passage: Passage) -> str:
    """`Gifts › Cash, page 3`, or the characters where there are no headings."""
    place = " › ".join(passage.headings) or f"characters {passage.start} to {passage.end}"
    return place if passage.page is None else f"{place}, page {passage.page}"


def why(silent: SilentPassage) -> str:
    """`no value content (3), passage without value content`."""
    return ", ".join(
        f"{reason} ({count})" if count > 1 else reason for reason, count in silent.reasons
    ) or ("it holds nothing but headings, or what a person rejected")
