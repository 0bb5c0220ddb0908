import dataclasses

import pytest
from fakes import FakeEngine, probe

from adhere.evaluate.exam import exam_pairs, examine
from adhere.evaluate.judges import (
    AskedJudge,
    Comparison,
    Judgement,
    LikelihoodJudge,
    judge_winner,
    parse_seat,
)
from adhere.evaluate.statistics import wilson
from adhere.grounding import Grounding
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.settings import EvaluateSettings

PASSAGE = "Gifts are returned at once."
GOOD, BAD = "gifts are returned", "keep whatever you like"


def comparison(a: str, b: str) -> Comparison:
    return Comparison(probe="p", passage=PASSAGE, question="A gift came?", a=a, b=b)


def asked(reply) -> AskedJudge:
    return AskedJudge(FakeEngine("teacher", reply), Prompts(), NoProgress())


def fair(text: str) -> str:
    return "A" if text.index(GOOD) < text.index(BAD) else "B"


@pytest.mark.parametrize(
    ("seat", "swapped", "winner"),
    [("A", False, "a"), ("B", False, "b"), ("A", True, "b"), ("B", True, "a")],
)
def test_the_order_swap_is_undone(seat, swapped, winner):
    assert judge_winner(seat, swapped) == winner


@pytest.mark.parametrize(
    ("reply", "seat"),
    [
        ("A", "A"),
        (" b.\n", "B"),
        ("**A**", "A"),
        ("(B)", "B"),
        ("Answer: B", "B"),
        ("The answer is A", None),
        ("Answer A\nbecause", "A"),
        ("", None),
        ("\n\n", None),
        ("A good answer", None),
        ("A or B", None),
        ("AB", None),
        ("Both", None),
        ("C", None),
        ("Answer", None),
    ],
)
def test_a_reply_names_a_seat_plainly_or_not_at_all(reply, seat):
    assert parse_seat(reply) == seat


def test_the_asked_judge_finds_the_better_answer_in_either_place():
    said = asked(fair).compare([comparison(GOOD, BAD), comparison(BAD, GOOD)])
    assert [judgement.winner for judgement in said] == ["a", "b"]
    assert [judgement.margin for judgement in said] == [1.0, -1.0]
    assert not any(judgement.flipped or judgement.unreadable for judgement in said)


def test_a_judge_that_always_says_a_is_flipped_and_names_nobody():
    assert asked(lambda text: "A").compare([comparison(GOOD, BAD)]) == [
        Judgement(winner="tie", flipped=True)
    ]


@pytest.mark.parametrize("reply", ["I cannot say", "", None])
def test_a_reply_that_cannot_be_read_is_counted(reply):
    once = iter(["A", reply])
    assert asked(lambda text: next(once)).compare([comparison(GOOD, BAD)]) == [
        Judgement(winner="tie", unreadable=True)
    ]


def test_the_same_answer_twice_is_a_tie_that_costs_nothing():
    judge = asked(fair)
    assert judge.compare([comparison(GOOD, GOOD)]) == [Judgement(winner="tie")]
    assert judge._teacher.asked == []


def test_the_prompt_shows_both_orders_passage_first():
    judge = asked(fair)
    judge.compare([comparison(GOOD, BAD)])
    texts = [request.prompt[0].content for request in judge._teacher.asked]
    assert {text.index(GOOD) < text.index(BAD) for text in texts} == {True, False}
    assert all(text.index(PASSAGE) < text.index("A gift came?") for text in texts)
    assert all(request.sampling.temperature == 0 for request in judge._teacher.asked)


def test_the_likelihood_judge_goes_by_grounding_gain():
    judge = LikelihoodJudge(Grounding(FakeEngine("teacher"), NoProgress()))
    better, worse, same, lost = judge.compare(
        [
            comparison(GOOD, BAD),
            comparison("", GOOD),
            comparison(BAD, BAD.upper()),
            comparison(GOOD, "unscorable"),
        ]
    )
    assert better.winner == "a"
    assert better.margin > 0
    assert worse.winner == "b"
    assert same == Judgement(winner="tie", margin=0.0)
    assert lost == Judgement(winner="tie", unreadable=True)


SOURCES = {f"c{i}": f"Passage {i}." for i in range(10)}
PROBES = [
    probe(f"p{i}", f"c{i % 10}", f"Question {i}?", f"right {i}", f"wrong {i}" if i % 2 else None)
    for i in range(40)
]


def pairs(count: int, seed: int = 0):
    return exam_pairs(PROBES, SOURCES, EvaluateSettings(exam_pairs=count, seed=seed))


def test_exam_pairs_have_a_known_winner_both_kinds_and_both_seats():
    by_id = {probe.id: probe for probe in PROBES}
    reference_of = {probe.reference: probe.clause for probe in PROBES}
    drawn = pairs(40)
    assert len(drawn) == len(set(map(repr, drawn))) == 40
    for pair in drawn:
        item = pair.comparison
        own = by_id[item.probe]
        sides = {"a": item.a, "b": item.b}
        assert sides.pop(pair.better) == own.reference
        (worse,) = sides.values()
        if pair.kind == "contrast":
            assert worse == own.contrast
        else:
            assert reference_of[worse] != own.clause
        assert item.passage == SOURCES[own.clause]
        assert pair.clause == own.clause
    for kind in ("contrast", "other clause"):
        seats = [pair.better for pair in drawn if pair.kind == kind]
        assert (seats.count("a"), seats.count("b")) == (10, 10)


def test_exam_pairs_depend_on_the_seed_and_not_on_the_order_of_probes():
    assert pairs(20) != pairs(20, seed=1)
    settings = EvaluateSettings(exam_pairs=10)
    shuffled = exam_pairs(PROBES[::-1], SOURCES, settings)
    assert {pair.comparison.probe for pair in shuffled} == {
        pair.comparison.probe for pair in pairs(10)
    }


def test_fewer_probes_than_asked_for_give_the_pairs_that_there_are():
    assert len(pairs(1000)) == 60  # 20 contrasts and 40 references of others
    alone = [dataclasses.replace(PROBES[0], contrast=None)]
    assert exam_pairs(alone, SOURCES, EvaluateSettings()) == []


class Knowing:
    """Sorts rightly what `right` says, by the place of the pair in the exam."""

    name = "knowing"

    def __init__(self, right, otherwise="wrong"):
        self.right, self.otherwise, self.seen = right, otherwise, 0

    def compare(self, items):
        return [self.one(item) for item in items]

    def one(self, item):
        self.seen += 1
        better = "a" if item.a.startswith("right") and item.b.startswith("wrong") else "b"
        if self.right(self.seen):
            return Judgement(winner=better)
        if self.otherwise == "tie":
            return Judgement(winner="tie", flipped=True)
        return Judgement(winner="b" if better == "a" else "a")


CONTRASTS = [pair for pair in pairs(1000) if pair.kind == "contrast"] * 3  # 60 pairs


def test_a_judge_that_sorts_well_is_admitted():
    result = examine(Knowing(lambda place: place % 10), CONTRASTS, floor=0.7)
    assert (result.right, result.n, result.accuracy) == (54, 60, 0.9)
    assert result.low == wilson(54, 60)[0] > 0.7
    assert result.admitted
    assert result.withheld is None


def test_a_judge_is_failed_by_the_lower_bound_and_not_by_its_accuracy():
    result = examine(Knowing(lambda place: place % 4), CONTRASTS, floor=0.7)
    assert result.accuracy >= 0.7
    assert not result.admitted


def test_ties_count_as_wrong_and_a_hopeless_judge_is_not_asked_the_rest():
    judge = Knowing(lambda place: False, otherwise="tie")
    result = examine(judge, CONTRASTS, floor=0.7)
    assert (result.right, result.n, judge.seen, result.flipped) == (0, 20, 20, 20)
    assert set(result.credits) == {0.5}
    assert result.withheld == (
        "withheld: the judge `knowing` sorted 0 of 20 exam pairs (0 %, lower bound 0 %); "
        "70 % is needed, and the other 40 could not have saved it."
    )


def test_the_sentence_of_a_judge_that_failed_at_the_end():
    # 48 of 60 is one too few for 70 %, so there is hope until the last batch.
    result = examine(Knowing(lambda place: place <= 48), CONTRASTS, floor=0.7)
    assert result.withheld == (
        "withheld: the judge `knowing` sorted 48 of 60 exam pairs (80 %, lower bound 68 %); "
        "70 % is needed."
    )


def test_without_pairs_no_judge_is_believed():
    result = examine(Knowing(lambda place: True), [], floor=0.7)
    assert (result.n, result.accuracy, result.low, result.admitted) == (0, 0.0, 0.0, False)
    assert "no exam pairs" in result.withheld
