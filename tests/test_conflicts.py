"""Clauses that disagree: how they are found, who wins, and what the command says of it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from conftest import Said, adhere
from fakes import clause as any_clause
from hypothesis import given
from hypothesis import strategies as st

from adhere import bench
from adhere.conflicts import (
    Settlement,
    check_precedence,
    find_relations,
    relation_of,
    settle,
)
from adhere.embedding import FloatArray
from adhere.errors import SettingsError
from adhere.records import Clause, Document, Dropped, Relation, RelationKind
from adhere.settings import ClausesSettings, RunSettings
from adhere.store import read_records


def by_words(texts: Sequence[str]) -> FloatArray:
    """Embeddings whose cosine is the share of words in common."""
    vectors = np.zeros((len(texts), 4096))
    for row, text in zip(vectors, texts, strict=True):
        for word in text.lower().strip(".").split():
            row[crc32(word.encode()) % 4096] = 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)


@pytest.mark.parametrize(
    ("first", "second", "score", "kind"),
    [
        ("Staff must not take gifts.", "Staff may take gifts.", 0.8, "contradiction"),
        ("Staff must not take gifts.", "Staff may take gifts.", 0.79, None),
        ("Staff must not take gifts.", "Staff have to take gifts.", 0.9, "contradiction"),
        ("Crew must wear a vest.", "Crew need not wear a vest.", 0.9, "contradiction"),
        ("Nobody may row alone.", "Anyone may row alone.", 0.9, "contradiction"),
        ("Crew may rest, and must not be woken.", "Nobody may wake the crew.", 0.9, None),
        ("Report it within 24 hours.", "Report it within 30 days.", 0.88, "contradiction"),
        ("Report it within 24 hours.", "Report it within 24 hours.", 0.88, "duplicate"),
        ("Report it within 24 hours.", "Report it in good time.", 0.95, None),
        ("Report it within 24 hours.", "Report it within 30 days.", 0.87, None),
        ("We aim to shine.", "We must shine.", 0.99, None),
        ("Crew must rest.", "Rested crew must row.", 0.99, "duplicate"),
        ("Crew must rest.", "Crew must rest at night.", 0.5, "refinement"),
        ("Crew must rest at night.", "Crew must rest.", 0.95, "refinement"),
        ("Crew must rest.", "Crew must rest at night.", 0.49, None),
        ("Crew may rest and must not be woken.", "Crew may rest and may be woken.", 1.0, None),
        ("1. Crew must rest.", "3) Crew must rest.", 0.96, "duplicate"),
        ("4.2 Crew must rest.", "(a) Crew must rest.", 0.96, "duplicate"),
        ("4.2.1. Crew must rest.", "Crew must rest.", 0.96, "duplicate"),
        ("2. Crew must rest 8 hours.", "Crew must rest 9 hours.", 0.96, "contradiction"),
        ("1.5 metres must be kept.", "2.5 metres must be kept.", 0.96, "contradiction"),
        ("24 hours must pass.", "48 hours must pass.", 0.96, "contradiction"),
    ],
)
def test_how_two_statements_stand(
    first: str, second: str, score: float, kind: RelationKind | None
) -> None:
    assert relation_of(first, second, score, "en", ClausesSettings()) == kind
    assert relation_of(second, first, score, "en", ClausesSettings()) == kind


def statements(*texts: str, document: str = "c") -> list[Clause]:
    """A clause of its own passage for each text."""
    return [
        replace(
            clause(f"{document}{place}", document), statement=text, passage=f"{document}{place}"
        )
        for place, text in enumerate(texts)
    ]


def test_relations_are_found_across_passages_and_documents() -> None:
    code = statements("Staff must not take any gifts.", "Crew must rest at night.")
    travel = statements("Staff may take any gifts.", "Crew must rest.", document="t")
    found = find_relations([*code, *travel], DOCUMENTS, by_words, ClausesSettings())
    assert [(one.kind, one.first, one.second) for one in found] == [
        ("contradiction", "c0", "t0"),
        ("refinement", "t1", "c1"),  # the narrower comes second
    ]
    assert found[0].score == pytest.approx(1)
    assert find_relations([], DOCUMENTS, by_words, ClausesSettings()) == []


def test_clauses_of_one_passage_of_two_languages_or_shown_are_not_compared() -> None:
    first, second = statements("Staff must not take gifts.", "Staff may take gifts.")
    assert find_relations([first, second], DOCUMENTS, by_words, ClausesSettings())
    assert not find_relations(
        [first, replace(second, passage=first.passage)], DOCUMENTS, by_words, ClausesSettings()
    )
    assert not find_relations(
        [first, replace(second, stance="implicit")], DOCUMENTS, by_words, ClausesSettings()
    )
    finnish = [replace(one, language="fi") if one.id == "t" else one for one in DOCUMENTS]
    assert not find_relations(
        [first, replace(second, document="t")], finnish, by_words, ClausesSettings()
    )


NAMES = ("code.md", "travel.md", "gifts.md")
DOCUMENTS = [
    Document(id=name[0], name=name, format="markdown", sha256="0", text="") for name in NAMES
]


def clause(name: str, document: str) -> Clause:
    return replace(any_clause(name, f"p-{document}"), document=document)


CODE, TRAVEL, GIFTS = clause("code1", "c"), clause("travel1", "t"), clause("gifts1", "g")


def relation(
    first: Clause, second: Clause, kind: RelationKind = "contradiction", score: float = 1.0
) -> Relation:
    return Relation(
        id=f"{first.id}-{second.id}",
        kind=kind,
        first=first.id,
        second=second.id,
        score=score,
    )


def settled(
    clauses: Iterable[Clause], relations: Iterable[Relation], **chosen: object
) -> Settlement:
    settings = ClausesSettings.model_validate(chosen)
    return settle(list(clauses), list(relations), DOCUMENTS, settings)


def test_an_open_contradiction_loses_no_work() -> None:
    done = settled([CODE, TRAVEL], [relation(CODE, TRAVEL)])
    assert done.standing == [CODE, TRAVEL]
    assert (done.aside, done.dropped) == ([], [])
    assert done.unsettled == 1


@pytest.mark.parametrize("order", [("travel.md", "code.md"), ("travel.md",)])
def test_the_document_that_goes_first_wins(order: tuple[str, ...]) -> None:
    done = settled([CODE, TRAVEL, GIFTS], [relation(CODE, TRAVEL)], precedence=order)
    assert done.standing == [TRAVEL, GIFTS]
    assert done.aside == [CODE]
    assert [one.winner for one in done.relations] == [TRAVEL.id]
    assert done.unsettled == 0
    [drop] = done.dropped
    assert (drop.record_id, drop.stage, drop.reason) == (CODE.id, "clauses", "contradicted")
    assert drop.detail == (
        "'code1 is valued': by clauses.precedence it gives way to travel1 (travel.md): "
        "'travel1 is valued'"
    )


def test_documents_without_a_place_in_the_order_stay_unsettled() -> None:
    done = settled([CODE, TRAVEL], [relation(CODE, TRAVEL)], precedence=("gifts.md",))
    assert done.unsettled == 1


def test_one_document_cannot_go_before_itself() -> None:
    other = clause("code2", "c")
    done = settled([CODE, other], [relation(CODE, other)], precedence=("code.md",))
    assert done.unsettled == 1


@pytest.mark.parametrize("settle", [{"code1": "loses"}, {"travel1": "wins"}])
def test_what_is_settled_by_hand_goes_before_the_order(settle: dict[str, str]) -> None:
    done = settled([CODE, TRAVEL], [relation(CODE, TRAVEL)], precedence=("code.md",), settle=settle)
    assert done.standing == [TRAVEL]
    assert "by clauses.settle it gives way to travel1" in done.dropped[0].detail


def test_a_clause_said_to_lose_goes_though_nothing_contradicts_it() -> None:
    done = settled([CODE, TRAVEL], [], settle={"travel1": "loses"})
    assert done.standing == [CODE]
    assert done.dropped[0].reason == "set aside"


def test_a_contradiction_of_which_neither_stands_is_not_open() -> None:
    lost = {"code1": "loses", "travel1": "loses"}
    done = settled([CODE, TRAVEL], [relation(CODE, TRAVEL)], settle=lost)
    assert (done.standing, done.unsettled) == ([], 0)


@pytest.mark.parametrize("kind", ["contradiction", "duplicate"])
@pytest.mark.parametrize("order", [(), ("travel.md", "code.md")])
def test_where_the_finder_erred_both_can_be_said_to_win(
    kind: RelationKind, order: tuple[str, ...]
) -> None:
    both = {"code1": "wins", "travel1": "wins"}
    done = settled([CODE, TRAVEL], [relation(CODE, TRAVEL, kind)], settle=both, precedence=order)
    assert (done.standing, done.unsettled) == ([CODE, TRAVEL], 0)
    assert [one.winner for one in done.relations] == [None]


def test_of_twins_the_earlier_stands_and_else_the_one_that_goes_first() -> None:
    twins = [relation(CODE, TRAVEL, "duplicate")]
    assert settled([CODE, TRAVEL], twins).standing == [CODE]
    assert settled([CODE, TRAVEL], twins, precedence=["travel.md"]).standing == [TRAVEL]
    [drop] = settled([CODE, TRAVEL], twins).dropped
    assert drop.reason == "duplicate"
    assert "says the same as code1 (code.md)" in drop.detail


def test_twins_in_other_words_both_stand_until_one_is_said_to_win() -> None:
    # "within two days" and "within ten days" have a cosine of 0.91.
    near = [relation(CODE, TRAVEL, "duplicate", 0.96)]
    assert settled([CODE, TRAVEL], near).standing == [CODE, TRAVEL]
    assert settled([CODE, TRAVEL], near, precedence=["travel.md"]).standing == [CODE, TRAVEL]
    [open_one] = settled([CODE, TRAVEL], near).relations
    assert open_one.winner is None
    done = settled([CODE, TRAVEL], near, settle={"travel1": "wins"})
    assert done.standing == [TRAVEL]
    assert "says the same as travel1" in done.dropped[0].detail


def test_the_twin_of_a_twin_stands_where_it_is_not_one_of_the_winner() -> None:
    chain = [relation(CODE, TRAVEL, "duplicate"), relation(TRAVEL, GIFTS, "duplicate")]
    assert settled([CODE, TRAVEL, GIFTS], chain).standing == [CODE, GIFTS]


def test_who_has_lost_sets_nobody_aside() -> None:
    done = settled(
        [CODE, TRAVEL, GIFTS],
        [relation(CODE, TRAVEL), relation(TRAVEL, GIFTS)],
        precedence=NAMES,
    )
    assert done.standing == [CODE, GIFTS]
    assert [one.winner for one in done.relations] == [CODE.id, GIFTS.id]


def test_a_refinement_sets_nothing_aside() -> None:
    done = settled([CODE, TRAVEL], [relation(CODE, TRAVEL, "refinement")], precedence=NAMES)
    assert done.standing == [CODE, TRAVEL]
    assert done.unsettled == 0


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"settle": {"travle1": "wins"}}, "no clause 'travle1'; did you mean 'travel1'?"),
        ({"settle": {"zzz": "wins"}}, "no clause 'zzz'; known are: code1, travel1"),
        ({"settle": {"gravel": "wins"}}, "no clause 'gravel'; did you mean 'travel1'?"),
        ({"settle": {"cold": "wins"}}, "no clause 'cold'; known are: code1, travel1"),
    ],
)
def test_a_wrong_settlement_is_refused(chosen: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=r"clauses\.settle") as error:
        settled([CODE, TRAVEL], [relation(CODE, TRAVEL)], **chosen)
    assert message in str(error.value)


def test_an_unknown_document_is_refused_with_the_nearest() -> None:
    check_precedence(DOCUMENTS, ClausesSettings(precedence=("gifts.md", "code.md")))
    with pytest.raises(SettingsError, match=r"no document 'travl.md'; did you mean 'travel.md'"):
        check_precedence(DOCUMENTS, ClausesSettings(precedence=("travl.md",)))


CLAUSES = [clause(f"{letter}{number}", letter) for letter in "ctg" for number in range(3)]
SIDES = st.sampled_from(CLAUSES)
KINDS: tuple[RelationKind, ...] = ("contradiction", "duplicate", "refinement")


@given(
    pairs=st.lists(
        st.tuples(SIDES, SIDES, st.sampled_from(KINDS), st.sampled_from((0.9, 1.0))).filter(
            lambda one: one[0] != one[1]
        ),
        max_size=12,
    ),
    order=st.lists(st.sampled_from(NAMES), unique=True),
    loses=st.sets(st.sampled_from([one.id for one in CLAUSES]), max_size=3),
)
def test_nothing_is_lost_in_silence_and_whoever_falls_falls_to_one_that_stands(
    pairs: list[tuple[Clause, Clause, RelationKind, float]], order: list[str], loses: set[str]
) -> None:
    done = settled(
        CLAUSES,
        [relation(*pair) for pair in pairs],
        precedence=order,
        settle=dict.fromkeys(loses, "loses"),
    )
    standing = {one.id for one in done.standing}
    assert sorted([*done.standing, *done.aside], key=CLAUSES.index) == CLAUSES
    assert [one.id for one in done.aside] == sorted(
        (drop.record_id for drop in done.dropped), key=[one.id for one in CLAUSES].index
    )
    for drop in done.dropped:
        assert drop.reason == "set aside" or any(f" {one} (" in drop.detail for one in standing)
    for one in done.relations:
        both = {one.first, one.second} <= standing
        assert one.kind != "duplicate" or one.score < 1 or not both
        assert one.winner in (
            standing if not both and {one.first, one.second} & standing else {None}
        )


CODE_TEXT = """# Code

Staff must not accept gifts from suppliers.

Every member has to greet every visitor by name, because strangers who are welcomed come back.
"""
TRAVEL_TEXT = """# Travel

Staff may accept gifts from suppliers.

A guest may row twice without paying, because everyone deserves to try before they decide.
"""


@pytest.fixture
def disagreeing(tmp_path: Path, run_settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two documents with `ingest` done."""
    monkeypatch.setattr(bench, "embedder", lambda *_: by_words)
    (tmp_path / "code.md").write_text(CODE_TEXT, encoding="utf-8")
    (tmp_path / "travel.md").write_text(TRAVEL_TEXT, encoding="utf-8")
    paths = [str(tmp_path / name) for name in ("code.md", "travel.md")]
    run_settings.merge(
        {"documents": paths, "clauses": {"same_act": 0.8, "same_rule": 0.88}}, "test"
    ).write(tmp_path / "run" / "run.toml")
    assert adhere("ingest", str(tmp_path / "run"), "--quiet").code == 0
    return tmp_path / "run"


def clauses_stage(run: Path, *flags: str) -> Said:
    return adhere("clauses", str(run), *flags)


def test_the_command_shows_both_places_and_the_user_settles(disagreeing: Path) -> None:
    done = clauses_stage(disagreeing)
    assert done.code == 0, done.err
    assert "so that both sides make data: 1." in done.err
    said = adhere("conflicts", str(disagreeing))
    assert said.code == 0, said.err
    assert "contradiction: cannot both be followed" in said.out
    assert "code.md › Code, characters 6 to 49" in said.out
    assert "forbidden: Staff must not accept gifts from suppliers." in said.out
    assert "permitted: Staff may accept gifts from suppliers." in said.out
    assert "Not settled: both make data." in said.out
    [row] = json.loads(adhere("conflicts", str(disagreeing), "--json").out)
    assert (row["kind"], row["winner"]) == ("contradiction", None)
    assert [side["text"] for side in row["clauses"]] == [
        "Staff must not accept gifts from suppliers.",
        "Staff may accept gifts from suppliers.",
    ]

    assert clauses_stage(disagreeing, "--clauses.precedence=travel.md").code == 0
    [row] = json.loads(adhere("conflicts", str(disagreeing), "--json").out)
    loser, winner = row["clauses"]
    assert row["winner"] == winner["id"]
    assert [side["stands"] for side in row["clauses"]] == [False, True]
    assert (
        f"{winner['id']} stands; the other makes no data."
        in adhere("conflicts", str(disagreeing)).out
    )
    standing = read_records(disagreeing / "clauses" / "clauses.jsonl", Clause)
    assert loser["id"] not in [one.id for one in standing]
    dropped = read_records(disagreeing / "clauses" / "dropped.jsonl", Dropped)
    [drop] = [one for one in dropped if one.record_id == loser["id"]]
    assert drop.reason == "contradicted"
    assert winner["id"] in drop.detail

    traced = adhere("trace", str(disagreeing), loser["id"])
    assert traced.code == 0, traced.err
    assert "Staff must not accept gifts from suppliers." in traced.out
    assert "contradicted" in traced.out

    assert clauses_stage(disagreeing, f"--clauses.settle.{loser['id']}=wins").code == 0
    [row] = json.loads(adhere("conflicts", str(disagreeing), "--json").out)
    assert row["winner"] == loser["id"]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--clauses.precedence=travl.md", "there is no document 'travl.md'; did you mean"),
        ("--clauses.settle.abc=wins", "clauses.settle: there is no clause 'abc'"),
        ("--clauses.settle.abc=draws", "Input should be 'wins' or 'loses'"),
    ],
)
def test_a_wrong_choice_is_one_sentence(disagreeing: Path, flag: str, message: str) -> None:
    said = clauses_stage(disagreeing, flag)
    assert said.code == 2
    assert message in said.err
    assert not (disagreeing / "clauses").exists()


def test_a_document_that_has_changed_since_is_said(disagreeing: Path, tmp_path: Path) -> None:
    assert clauses_stage(disagreeing).code == 0
    [row] = json.loads(adhere("conflicts", str(disagreeing), "--json").out)
    (tmp_path / "code.md").write_text("# Code\n\nStaff must rest.\n", encoding="utf-8")
    assert adhere("ingest", str(disagreeing), "--quiet").code == 0
    for command in (("conflicts",), ("trace", row["clauses"][0]["id"])):
        said = adhere(command[0], str(disagreeing), *command[1:])
        assert said.code == 2
        assert "'clauses' is out of date, since 'ingest' is another now" in said.err


def test_the_command_wants_a_run_with_clauses(disagreeing: Path) -> None:
    assert adhere("conflicts", str(disagreeing.parent)).code == 2
    said = adhere("conflicts", str(disagreeing))
    assert said.code == 2
    assert "run `adhere clauses" in said.err
