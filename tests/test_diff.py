"""What became of each sentence and each clause."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import adhere
from hypothesis import given
from hypothesis import strategies as st

from adhere.cli.differences import difference_lines
from adhere.diff import Difference, Unit, compare, edits_of, sentences_of
from adhere.records import Clause
from adhere.store import read_records, write_records

OLD = [
    "Members must wear a life jacket on the river.",
    "Nobody may row alone after sunset.",
    "A guest may row twice without paying.",
    "Every damage has to be entered in the harbour book.",
    "We aim to keep one boat free for children.",
]


def units(*texts: str, headings: tuple[str, ...] = ("Code",)) -> list[Unit]:
    return [Unit(id=text, text=text, document="a.md", headings=headings) for text in texts]


def kinds(found: Difference) -> dict[str, int]:
    return {str(kind): count for kind, count in found.counts().items()}


def test_nothing_changed() -> None:
    assert compare(units(*OLD), units(*OLD)) == Difference(changes=(), unchanged=5)


def test_added_removed_and_reworded_are_told_apart() -> None:
    new = [OLD[0].replace("river", "lake"), *OLD[1:4], "Dogs are welcome in the bar."]
    found = compare(units(*OLD), units(*new))
    assert (kinds(found), found.unchanged) == ({"removed": 1, "reworded": 1, "added": 1}, 3)
    [reworded] = [change for change in found.changes if change.kind == "reworded"]
    assert reworded.edits[1:3] == (("old", "river"), ("new", "lake"))


def test_one_sentence_that_went_elsewhere_has_moved_and_the_others_have_not() -> None:
    found = compare(units(*OLD), units(*OLD[1:], OLD[0]))
    assert kinds(found) == {"moved": 1}
    assert found.changes[0].new == units(OLD[0])[0]


def test_a_sentence_under_another_heading_that_stays_has_moved() -> None:
    old = [*units(*OLD[:3]), *units(*OLD[3:], headings=("Guests",))]
    new = [*units(*OLD[:2]), *units(*OLD[2:], headings=("Guests",))]
    assert kinds(compare(old, new)) == {"moved": 1}


def test_a_renamed_section_moves_nothing() -> None:
    assert compare(units(*OLD), units(*OLD, headings=("Rules",))).changes == ()


def test_the_same_sentence_twice_is_matched_twice() -> None:
    found = compare(units(OLD[0], OLD[0]), units(OLD[0], OLD[0], OLD[0]))
    assert (kinds(found), found.unchanged) == ({"added": 1}, 2)


def test_of_the_same_sentence_in_two_sections_the_one_that_went_is_removed() -> None:
    old = [*units(OLD[0], headings=("A",)), *units(OLD[1], OLD[0], headings=("B",))]
    for new in (old[1:], [*units(OLD[2], headings=("A",)), *old[1:]]):
        found = compare(old, new)
        [removed] = [change for change in found.changes if change.kind == "removed"]
        assert removed.old == old[0]
        assert found.unchanged == 2


def test_a_reworded_sentence_goes_to_its_nearest_wording() -> None:
    near, far = "Members must wear a life jacket at sea.", "Members must bring a life jacket here."
    found = compare(units(OLD[0]), units(far, near))
    [change] = [one for one in found.changes if one.kind == "reworded"]
    assert change.new is not None
    assert change.new.text == near


def test_a_changed_result_is_said() -> None:
    before, after = (replace(units(OLD[0])[0], result=result) for result in ("learned", "untested"))
    assert kinds(compare([before], [after])) == {"judged": 1}
    assert compare([before], [replace(after, result=None)]).changes == ()


def test_the_result_of_a_reworded_or_moved_clause_is_said_too() -> None:
    def judged(texts: list[str], result: str | None) -> list[Unit]:
        return [replace(unit, result=result) for unit in units(*texts)]

    reworded = [OLD[0].replace("river", "lake"), *OLD[1:]]
    for new in (reworded, [*OLD[1:], OLD[0]]):
        before = judged(OLD, "learned")
        for now, lines in (("not learned", 1), ("learned", 0), (None, 0)):
            after = [
                replace(unit, result="learned" if unit.text in OLD[1:] else now)
                for unit in judged(new, None)
            ]
            said = [line.plain for line in difference_lines(compare(before, after), "clauses")]
            assert said.count("learned → not learned") == lines


SENTENCE = st.sampled_from([*OLD, OLD[0].replace("river", "lake"), "人人都要诚实。", "x"])


@given(st.lists(SENTENCE, max_size=8), st.lists(SENTENCE, max_size=8))
def test_every_unit_of_both_sides_is_accounted_for(old: list[str], new: list[str]) -> None:
    found = compare(units(*old), units(*new))
    count = Counter(change.kind for change in found.changes)
    both = found.unchanged + count["reworded"] + count["moved"]
    assert both + count["removed"] == len(old)
    assert both + count["added"] == len(new)


@given(st.text(), st.text())
def test_edits_hold_both_wordings(old: str, new: str) -> None:
    edits = list(edits_of(old, new))
    assert "".join(text for kind, text in edits if kind != "new") == old
    assert "".join(text for kind, text in edits if kind != "old") == new


@pytest.fixture
def documents(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old.md", tmp_path / "new.md"
    old.write_text("# Code\n\n" + "\n".join(OLD), encoding="utf-8")
    text = "\n".join([OLD[0].replace("river", "lake"), *OLD[2:], "Dogs are welcome in the bar."])
    new.write_text(f"# Code\n\n{text}", encoding="utf-8")
    return old, new


def test_sentences_are_the_units_of_documents(documents: tuple[Path, Path]) -> None:
    found = sentences_of(documents[0])
    assert [unit.text for unit in found] == OLD
    assert {unit.headings for unit in found} == {("Code",)}


def test_the_command_shows_the_words_that_changed(documents: tuple[Path, Path]) -> None:
    said = adhere("diff", *map(str, documents))
    assert said.code == 0, said.err
    assert said.out.startswith("3 sentences unchanged, 1 removed, 1 reworded, 1 added\n")
    assert "on the [-river-]{+lake+}." in said.out
    assert "Dogs are welcome in the bar." in said.out
    found = json.loads(adhere("diff", *map(str, documents), "--json").out)
    assert found["unchanged"] == 3
    assert {change["kind"] for change in found["changes"]} == {"removed", "reworded", "added"}


def test_two_runs_are_compared_clause_by_clause(run: Path, finished: Path) -> None:
    assert adhere("diff", str(finished), str(run)).out.endswith(" clauses unchanged\n")
    path = run / "clauses" / "clauses.jsonl"
    clauses = read_records(path, Clause)
    changed = replace(clauses[0], id="new", statement=clauses[0].statement.replace("must", "shall"))
    write_records(path, [changed, *clauses[2:]])
    said = adhere("diff", str(finished), str(run))
    assert said.out.startswith(f"{len(clauses) - 2} clauses unchanged, 1 removed, 1 reworded\n")
    assert "[-must-]{+shall+}" in said.out


def test_mistakes_are_one_sentence(documents: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.toml").write_text("")
    for pair in ((run, documents[0]), (documents[0], run)):
        said = adhere("diff", *map(str, pair))
        assert said.code == 2
        assert f"{documents[0]} is no run, and the other is" in said.err
    said = adhere("diff", str(documents[0]), str(tmp_path / "nwe.md"))
    assert said.code == 2
    assert "did you mean" in said.err
