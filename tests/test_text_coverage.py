"""How much of a text is under a clause, and why the rest is not."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import adhere
from fakes import clause, passage
from hypothesis import given
from hypothesis import strategies as st

from adhere.records import Clause, Document, Dropped, Passage
from adhere.store import read_records
from adhere.text_coverage import coverage_lines, text_coverage

TEXT = "Be fair. Rest well.\n\nThe sea is grey."
DOCUMENT = Document(id="doc", name="a.md", format="markdown", sha256="", text=TEXT)
PASSAGES = [
    replace(passage("p1", TEXT[:19]), headings=("One",)),
    replace(passage("p2", TEXT[21:]), start=21, end=len(TEXT), page=3),
]


def spans(*places: tuple[int, int]) -> list[Clause]:
    return [
        replace(clause(f"c{n}", "p1"), start=start, end=end)
        for n, (start, end) in enumerate(places)
    ]


def test_a_share_and_the_silent_passages_with_their_reasons() -> None:
    dropped = [
        Dropped(record_id="p2:21-37", stage="clauses", reason="no value content"),
        Dropped(record_id="p2", stage="clauses", reason="passage without value content"),
        Dropped(record_id="p1:9-19", stage="clauses", reason="no value content"),
    ]
    [row] = text_coverage([DOCUMENT], PASSAGES, spans((0, 8)), dropped)
    assert (row.characters, row.stated, row.implied, row.passages) == (29, 7, 0, 2)
    [silent] = row.silent
    assert silent.passage.id == "p2"
    assert dict(silent.reasons) == {"no value content": 1, "passage without value content": 1}
    assert coverage_lines([row]) == [
        "a.md: 24% of the text is under a clause; 1 of 2 passages holds none",
        "  passage p2 (characters 21 to 37, page 3): "
        "no value content, passage without value content",
    ]


@pytest.mark.parametrize(
    ("passages", "clauses", "told"),
    [
        (PASSAGES, spans((0, 8)), "1 of 2 passages holds none"),
        (PASSAGES, [], "2 of 2 passages hold none"),
        (PASSAGES[:1], [], "1 of 1 passage holds none"),
        (PASSAGES[:1], spans((0, 8)), "0 of 1 passage holds none"),
    ],
)
def test_one_passage_is_told_as_one(
    passages: list[Passage], clauses: list[Clause], told: str
) -> None:
    [row] = text_coverage([DOCUMENT], passages, clauses, [])
    assert told in coverage_lines([row])[0]


def test_a_passage_whose_clause_gave_way_says_so() -> None:
    [aside] = spans((0, 8))
    dropped = [Dropped(record_id=aside.id, stage="clauses", reason="contradicted")]
    [row] = text_coverage([DOCUMENT], PASSAGES, [], dropped, [aside])
    assert [silent.reasons for silent in row.silent] == [(("contradicted", 1),), ()]
    assert "passage p1 (One): contradicted" in coverage_lines([row])[1]


def test_what_is_only_implied_is_told_apart() -> None:
    shown = replace(spans((0, 19))[0], stance="implicit")
    [row] = text_coverage([DOCUMENT], PASSAGES, [*spans((0, 8)), shown], [])
    assert (row.stated, row.implied) == (7, 9)
    assert (
        "55% of the text is under a clause, 31% of it by what a passage shows"
        in (coverage_lines([row])[0])
    )


PLACES = st.tuples(st.integers(0, len(TEXT) - 1), st.integers(1, len(TEXT))).map(
    lambda pair: (min(pair), max(pair) if max(pair) > min(pair) else min(pair) + 1)
)


@given(st.lists(PLACES))
def test_overlapping_spans_count_once(places: list[tuple[int, int]]) -> None:
    [row] = text_coverage([DOCUMENT], PASSAGES, spans(*places), [])
    under = {place for start, end in places for place in range(start, end)}
    assert row.stated == sum(not TEXT[place].isspace() for place in under if place < len(TEXT))
    assert 0 <= row.share <= 1


def test_every_silent_passage_of_a_run_has_a_reason(finished: Path) -> None:
    rows = text_coverage(
        read_records(finished / "ingest/documents.jsonl", Document),
        read_records(finished / "ingest/passages.jsonl", Passage),
        read_records(finished / "clauses/clauses.jsonl", Clause),
        read_records(finished / "clauses/dropped.jsonl", Dropped),
    )
    assert [row.document.name for row in rows] == ["boathouse.md"]
    assert all(silent.reasons for row in rows for silent in row.silent)


def test_the_command_says_the_coverage(finished: Path) -> None:
    said = adhere("clauses", str(finished))
    assert said.code == 0, said.err
    assert "boathouse.md: " in said.out
    assert "% of the text is under a clause" in said.out
    assert adhere("clauses", str(finished), "--quiet").out == ""
