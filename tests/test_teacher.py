"""The teacher: equal requests sent once, replies joined by id, what is missing is an error."""

from collections.abc import Iterable, Iterator

from fakes import FakeEngine

from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.records import Completion, Request, Sampling
from adhere.teacher import Teacher


def request(text: str) -> Request:
    return Request(id=f"id of {text}", prompt=text)


def test_replies_come_back_under_their_keys_in_whatever_order() -> None:
    engine = FakeEngine("teacher", str.upper)
    teacher = Teacher(engine, Prompts(), NoProgress())
    found = teacher.ask({number: request(text) for number, text in enumerate("abca")}, "letters")
    assert {key: reply.text for key, reply in found.items()} == {0: "A", 1: "B", 2: "C", 3: "A"}
    assert [one.prompt for one in engine.asked] == ["a", "b", "c"]


def test_what_the_engine_never_answers_is_an_error() -> None:
    class Forgetful(FakeEngine):
        def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
            yield from list(super().complete(requests))[1:]

    teacher = Teacher(Forgetful("teacher", str.upper), Prompts(), NoProgress())
    found = teacher.ask({text: request(text) for text in "ab"}, "letters")
    assert found["a"].text == "A"
    assert found["b"].error == "the engine did not reply"
    assert found["b"].id == "id of b"


def test_nothing_asked_is_nothing_answered() -> None:
    assert Teacher(FakeEngine("teacher"), Prompts(), NoProgress()).ask({}, "nothing") == {}


def test_an_origin_holds_what_is_needed_to_make_the_row_again() -> None:
    teacher = Teacher(FakeEngine("teacher"), Prompts(style="chat"), NoProgress())
    sampled = Request(id="r", prompt="x", sampling=Sampling(temperature=0.7, seed=42))
    origin = teacher.origin("question", sampled, "clause", "passage")
    assert origin.parents == ("clause", "passage")
    assert origin.prompt == Prompts().tag("question.chat")
    assert (origin.model, origin.temperature, origin.seed) == ("teacher", 0.7, 42)
