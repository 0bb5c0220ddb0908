"""Grounding gain: what the passage adds to the likelihood of an answer, scored once."""

from fakes import FakeEngine

from adhere.grounding import Grounded, Grounding, score_all, score_request
from adhere.progress import NoProgress
from adhere.records import ScoreRequest

RULE = "Crew must rest."


def test_the_gain_is_the_rise_in_nats_a_token() -> None:
    grounding = Grounding(FakeEngine("teacher"), NoProgress())
    [quoted, half, strange] = grounding.gains(
        [
            Grounded(RULE, "Why?", "Crew must rest"),
            Grounded(RULE, "Why?", "Crew sings"),
            Grounded(RULE, "Why?", "Everybody sings"),
        ],
        "test",
    )
    # The fake gives -0.5 to a word that its context holds and -3.0 to another.
    assert (quoted, half, strange) == (2.5, 1.25, 0.0)


def test_what_the_question_holds_already_gains_nothing() -> None:
    grounding = Grounding(FakeEngine("teacher"), NoProgress())
    assert grounding.gains([Grounded(RULE, "Must the crew rest?", "Crew must rest")], "x") == [0]


def test_an_empty_answer_gains_nothing_and_is_not_sent() -> None:
    engine = FakeEngine("teacher")
    assert Grounding(engine, NoProgress()).gains([Grounded(RULE, "Why?", " ")], "test") == [0]
    assert not engine.scored


def test_a_failure_is_none_and_leaves_the_others() -> None:
    items = [Grounded(RULE, "Why?", "unscorable"), Grounded(RULE, "Why?", "rest")]
    assert Grounding(FakeEngine("teacher"), NoProgress()).gains(items, "test") == [None, 2.5]


def test_nothing_is_scored_twice() -> None:
    engine = FakeEngine("teacher")
    grounding = Grounding(engine, NoProgress())
    item = Grounded(RULE, "Why?", "rest")
    assert grounding.gains([item, item], "test") == grounding.gains([item], "test") * 2
    assert len(engine.scored) == 2  # with the passage and without


def test_requests_of_one_passage_are_sent_beside_one_another() -> None:
    engine = FakeEngine("teacher")
    requests = [
        score_request(prefix, "Q", answer, chat=False) for answer in "xy" for prefix in ("b", "a")
    ]
    found = score_all(engine, [*requests, requests[0]], "test", NoProgress())
    assert [request.prefix for request in engine.scored] == ["a", "a", "b", "b"]
    assert set(found) == {request.id for request in requests}


def test_the_id_of_a_score_is_made_of_all_that_decides_it() -> None:
    one = score_request("a", "b", "c", chat=False)
    assert isinstance(one, ScoreRequest)
    others = [
        score_request("x", "b", "c", chat=False),
        score_request("a", "x", "c", chat=False),
        score_request("a", "b", "x", chat=False),
        score_request("a", "b", "c", chat=True),
        score_request("ab", "", "c", chat=False),
    ]
    assert len({one.id, *(other.id for other in others)}) == 6
