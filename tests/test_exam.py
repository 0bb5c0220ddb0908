"""The exam: pairs whose winner is known, lengths crossed, admission by the lower bound."""

import dataclasses
from collections import Counter

import pytest
from fakes import probe

from adhere.errors import EngineError, UnreachableError
from adhere.evaluate.exam import ExamResult, exam_pairs, examine, sit
from adhere.evaluate.judges import Judgement
from adhere.evaluate.statistics import wilson

PASSAGES = {f"c{i}": f"Passage {i}." for i in range(20)}
STATEMENTS = {f"c{i}": f"Statement {i}." for i in range(20)}
GENERIC = ["Well.", "It depends, as so often, on very many things that I cannot know of here."]
PROBES = [
    probe(
        f"p{i}",
        f"c{i % 20}",
        f"Question {i}?",
        f"right {i}" + " indeed" * (i % 5),
        f"wrong {i}" + " indeed" * (i % 3) if i % 2 else None,
    )
    for i in range(40)
]
BY_ID = {probe.id: probe for probe in PROBES}


def pairs(count: int, seed: int = 0, probes=PROBES):
    return exam_pairs(probes, PASSAGES, STATEMENTS, GENERIC, count=count, seed=seed)


def with_a_winner(count: int, seed: int = 0):
    return [pair for pair in pairs(count, seed) if pair.better != "tie"]


def test_every_kind_of_pair_has_the_reference_as_its_known_winner():
    clause_of = {probe.reference: probe.clause for probe in PROBES}
    drawn = with_a_winner(60)
    assert len(drawn) == len(set(map(repr, drawn))) == 60
    kinds = Counter(pair.kind for pair in drawn)
    assert set(kinds) == {"contrast", "other clause", "generic"}
    assert min(kinds.values()) >= 14  # of longer contrasts there are too few for 20
    for pair in drawn:
        item, own = pair.comparison, BY_ID[pair.comparison.probe]
        sides = {"a": item.a, "b": item.b}
        assert sides.pop(pair.better) == own.reference
        [worse] = sides.values()
        if pair.kind == "contrast":
            assert worse == own.contrast
        elif pair.kind == "generic":
            assert worse in GENERIC
        else:
            assert clause_of[worse] != own.clause
        assert (item.passage, item.statement) == (PASSAGES[own.clause], STATEMENTS[own.clause])
        assert pair.clause == own.clause


def test_the_longer_answer_is_wrong_as_often_as_right_in_either_seat():
    drawn = with_a_winner(60)
    seats = Counter((pair.longer_is_wrong, pair.better) for pair in drawn)
    assert set(seats.values()) == {15}
    for pair in drawn:
        lengths = {"a": len(pair.comparison.a), "b": len(pair.comparison.b)}
        assert pair.longer_is_wrong == (max(lengths.values()) > lengths[pair.better])


def test_the_pairs_spread_over_the_probes() -> None:
    assert len({pair.comparison.probe for pair in with_a_winner(60)}) >= 30


class ByLength:
    def __init__(self, longest: bool):
        self.name, self.sign = "length", 1 if longest else -1

    def compare(self, items):
        return [
            Judgement(winner="a" if self.sign * (len(one.a) - len(one.b)) > 0 else "b")
            for one in items
        ]


@pytest.mark.parametrize("longest", [True, False])
def test_a_judge_of_length_gets_half_and_is_not_admitted(longest):
    result = examine(ByLength(longest), with_a_winner(60), floor=0.5)
    assert result.accuracy == 0.5
    assert not result.admitted


def test_some_pairs_set_an_answer_against_itself_and_do_not_count():
    ties = [pair for pair in pairs(60) if pair.better == "tie"]
    assert len(ties) == 6
    assert {pair.kind for pair in ties} == {"itself"}
    assert all(pair.comparison.a == pair.comparison.b for pair in ties)
    result = examine(Knowing(lambda place: True), pairs(60), floor=0.7)
    assert (result.n, len(result.items)) == (60, 66)


def test_exam_pairs_depend_on_the_seed_and_not_on_the_order_of_probes():
    assert pairs(20) != pairs(20, seed=1)
    assert pairs(20, probes=PROBES[::-1]) == pairs(20)


def test_the_exam_ends_where_lengths_can_no_longer_be_crossed():
    drawn = with_a_winner(1000)
    assert 60 < len(drawn) < 1000
    assert sum(pair.longer_is_wrong for pair in drawn) * 2 == len(drawn)
    alone = [dataclasses.replace(PROBES[0], contrast=None)]
    assert exam_pairs(alone, PASSAGES, STATEMENTS, [], count=60, seed=0) == []


class Knowing:
    """Sorts rightly what `right` says, by the place of the pair in the exam."""

    name = "knowing"

    def __init__(self, right, otherwise="wrong"):
        self.right, self.otherwise, self.seen = right, otherwise, 0

    def compare(self, items):
        return [self.one(item) for item in items]

    def one(self, item):
        self.seen += 1
        if item.a == item.b:
            return Judgement(winner="tie")
        reference = BY_ID[item.probe].reference
        better, worse = ("a", "b") if item.a == reference else ("b", "a")
        if self.right(self.seen):
            return Judgement(winner=better)
        if self.otherwise == "tie":
            return Judgement(winner="tie", flipped=True)
        return Judgement(winner=worse)


EXAM = with_a_winner(60)


def test_a_judge_that_sorts_well_is_admitted():
    result = examine(Knowing(lambda place: place % 10), EXAM, floor=0.7)
    assert (result.right, result.n, result.accuracy) == (54, 60, 0.9)
    assert 0.7 <= result.low <= wilson(54 / 60, 60)[0] + 0.02
    assert result.admitted
    assert result.withheld is None


def test_a_judge_without_a_fault_is_no_less_sure_than_one_with_a_fault() -> None:
    few = [pair for pair in EXAM if int(pair.clause[1:]) < 9]
    perfect = examine(Knowing(lambda place: True), few, floor=0.7)
    for fault in range(1, len(few) + 1):
        flawed = examine(Knowing(lambda place, fault=fault: place != fault), few, floor=0.7)
        assert perfect.low >= min(flawed.low, 0.7)
    assert perfect.n == len(few) >= 20
    assert perfect.admitted


def test_a_judge_is_failed_by_the_lower_bound_and_not_by_its_accuracy():
    result = examine(Knowing(lambda place: place % 4), EXAM, floor=0.7)
    assert result.accuracy >= 0.7
    assert not result.admitted


def test_ties_count_as_wrong_and_a_hopeless_judge_is_not_asked_the_rest():
    judge = Knowing(lambda place: False, otherwise="tie")
    result = examine(judge, EXAM, floor=0.7)
    assert (result.right, result.n, judge.seen) == (0, 20, 20)
    assert {item.credit for item in result.items} == {0.5}
    assert result.withheld == (
        "withheld: the judge `knowing` sorted 0 of 20 exam pairs (0 %, lower bound 0 %); "
        "70 % is needed, and the other 40 could not have saved it."
    )


def test_the_sentence_of_a_judge_that_failed_at_the_end():
    result = examine(Knowing(lambda place: place <= 48), EXAM, floor=0.7)
    assert result.n == 60
    assert result.withheld.startswith(
        "withheld: the judge `knowing` sorted 48 of 60 exam pairs (80 %"
    )
    assert result.withheld.endswith("70 % is needed.")


def test_without_pairs_no_judge_is_believed():
    result = examine(Knowing(lambda place: True), [], floor=0.7)
    assert (result.n, result.accuracy, result.low, result.admitted) == (0, 0.0, 0.0, False)
    assert "no exam pairs" in result.withheld


def test_an_engine_that_is_gone_is_no_judge_that_failed():
    class Gone:
        name = "asked http://here"

        def compare(self, items):
            raise UnreachableError("http://here cannot be reached.")

    with pytest.raises(UnreachableError):
        sit(Gone(), EXAM, floor=0.7)


def test_an_engine_that_cannot_do_what_its_judge_needs_is_withheld_in_its_words():
    class Mute:
        name = "likelihood http://here"

        def compare(self, items):
            raise EngineError("http://here gives no log-probabilities.")

    result = sit(Mute(), EXAM, floor=0.7)
    assert isinstance(result, ExamResult)
    assert not result.admitted
    assert result.withheld == (
        "withheld: the judge `likelihood http://here` could not sit the exam: "
        "http://here gives no log-probabilities."
    )
