import pytest
from fakes import FakeEngine, probe

from adhere.evaluate.judges import (
    AskedJudge,
    Comparison,
    Judgement,
    LikelihoodJudge,
    PointwiseJudge,
    comparisons,
    judge_winner,
    judges_of,
    parse_seat,
)
from adhere.grounding import Grounding
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.records import Answer, Score

PASSAGE = "Gifts are returned at once."
RULE = "Gifts are returned"
GOOD, BAD = "gifts are returned", "keep whatever you like"


def comparison(a: str, b: str) -> Comparison:
    return Comparison(probe="p", passage=PASSAGE, statement=RULE, question="A gift came?", a=a, b=b)


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
    assert judge._engine.asked == []


def test_the_prompt_shows_both_orders_passage_first():
    judge = asked(fair)
    judge.compare([comparison(GOOD, BAD)])
    texts = [request.prompt[0].content for request in judge._engine.asked]
    assert {text.index(GOOD) < text.index(BAD) for text in texts} == {True, False}
    assert all(text.index(PASSAGE) < text.index("A gift came?") for text in texts)
    assert all(request.sampling.temperature == 0 for request in judge._engine.asked)


def test_who_says_nothing_loses():
    likelihood = LikelihoodJudge(Grounding(FakeEngine("teacher"), NoProgress()))
    for judge in (likelihood, pointwise()):
        found = judge.compare([comparison("", BAD), comparison(BAD, " "), comparison("", " ")])
        assert [one.winner for one in found] == ["b", "a", "tie"]


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


class Marking(FakeEngine):
    """Says Yes the more surely the more words of the rule an answer has."""

    def score(self, requests):
        for request in list(requests)[::-1]:
            self.scored.append(request)
            *_, rule, _, answer, _ = (request.prefix + request.prompt).splitlines()
            if "unscorable" in answer:
                yield Score(id=request.id, error="no logits")
                continue
            known = sum(word in answer for word in rule.lower().split())
            says_yes = request.answer.strip() == "Yes"
            yield Score(id=request.id, logprob=-1.0 / (1 + known) if says_yes else -1.0, tokens=1)


def pointwise(style="continue") -> PointwiseJudge:
    return PointwiseJudge(Marking("teacher"), Prompts(style=style), NoProgress())


def test_the_pointwise_judge_goes_by_the_certainty_of_yes():
    better, worse, same, lost = pointwise().compare(
        [
            comparison(GOOD, BAD),
            comparison(BAD, GOOD),
            comparison(BAD, BAD),
            comparison(GOOD, "unscorable"),
        ]
    )
    assert (better.winner, worse.winner) == ("a", "b")
    assert better.margin == -worse.margin > 0
    assert same == Judgement(winner="tie", margin=0.0)
    assert lost == Judgement(winner="tie", unreadable=True)


def test_the_pointwise_prompt_shows_one_answer_and_the_rule_and_shares_the_examples():
    judge = pointwise()
    paragraphs = f"{GOOD}\n\nAnd more."
    judge.compare([comparison(GOOD, BAD), comparison(BAD, GOOD), comparison(paragraphs, BAD)])
    requests = judge._engine.scored
    assert len(requests) == 6  # three answers, Yes and No
    assert len({request.prefix for request in requests}) == 1
    assert {request.answer for request in requests} == {" Yes", " No"}
    for request in requests:
        assert not request.chat
        assert request.prompt.startswith(f"\n\nRule: {RULE}\nQuestion: A gift came?\nAnswer: ")
        assert (GOOD in request.prompt) != (BAD in request.prompt)


def test_a_strong_teacher_is_asked_for_yes_or_no_by_chat():
    judge = PointwiseJudge(FakeEngine("teacher"), Prompts(style="chat"), NoProgress())
    judge.compare([comparison(GOOD, BAD)])
    assert {request.answer for request in judge._engine.scored} == {"Yes", "No"}
    for request in judge._engine.scored:
        assert request.chat
        assert request.prompt.endswith("Reply with one word, Yes or No.")


def test_the_judges_of_two_engines_have_names_of_their_own():
    engine = FakeEngine("http://here/v1#big")
    grounding = Grounding(engine, NoProgress())
    given = (engine, grounding, Prompts(), NoProgress())
    assert [judge.name for judge in judges_of(*given)] == ["likelihood", "asked", "pointwise"]
    assert judges_of(*given, of=engine.name)[1].name == "asked http://here/v1#big"


def test_systems_are_compared_where_both_answered():
    probes = [probe("p", "c", "Q?", "R."), probe("q", "c", "Q2?", "R2.")]
    answers = [
        Answer(system="x", probe="p", text="from x"),
        Answer(system="y", probe="p", text="from y"),
        Answer(system="y", probe="q", text="alone"),
    ]
    [(match, item)] = comparisons([("x", "y")], answers, probes, {"c": PASSAGE}, {"c": RULE})
    assert match == ("x", "y")
    assert (item.probe, item.passage, item.statement) == ("p", PASSAGE, RULE)
    assert (item.question, item.a, item.b) == ("Q?", "from x", "from y")
