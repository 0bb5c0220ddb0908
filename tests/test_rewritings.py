"""Passages told again: what is kept, what is dropped and why."""

import pytest
from fakes import FakeEngine, passage

from adhere.errors import NoLikelihoodError
from adhere.generate import ANGLES, rewritings
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.records import Dropped, Rewriting, Score
from adhere.teacher import Teacher

TEXT = "Crew members must wear a life vest on the water, because the river runs fast in spring."
PLAIN = "Put on a vest before you row. The stream is strong when the snow melts."


def told(
    reply: str | None, *, follows: float | None = 1.0, text: str = TEXT, language: str = "en"
) -> tuple[list[Rewriting], list[Dropped]]:
    """What becomes of one rewriting; `follows` is how far the teacher leans to Yes."""

    class Engine(FakeEngine):
        def score(self, requests):
            for request in requests:
                if follows is None:
                    yield Score(id=request.id, error="no logits")
                else:
                    assert text in request.prompt
                    said_yes = request.answer == " Yes"
                    yield Score(id=request.id, logprob=follows if said_yes else 0.0, tokens=1)

    teacher = Teacher(Engine("teacher", lambda asked: reply), Prompts(), NoProgress())
    passages = [passage("vests", text)]
    return rewritings(passages, {"doc": language}, teacher, ["plain"], 0.5)


def test_a_rewriting_that_follows_is_kept_with_where_it_comes_from() -> None:
    [kept], dropped = told(f" {PLAIN} ")
    assert dropped == []
    assert (kept.passage, kept.angle, kept.text) == ("vests", "plain", PLAIN)
    assert kept.origin.parents == ("vests",)
    assert kept.origin.prompt.startswith("rewrite@")


@pytest.mark.parametrize(
    ("reply", "follows", "reason", "detail"),
    [
        (None, 1.0, "no reply", "out of paper"),
        (" ", 1.0, "unfinished rewriting", "plain: "),
        (TEXT, 1.0, "copy of the passage", f"plain: {TEXT}"),
        ("Flowers buy nobody, so they do no harm.", 1.0, "echo of a worked example", "plain: Fl"),
        (
            "Chacun met un gilet avant de monter dans la barque, car la rivière est rapide.",
            1.0,
            "in another language",
            "plain: Chacun",
        ),
        (PLAIN, 0.4, "not supported by its passage", "plain: leaning 0.40: Put on"),
        (PLAIN, None, "not supported by its passage", "plain: could not be scored: Put on"),
    ],
)
def test_every_other_is_dropped_aloud(
    reply: str | None, follows: float | None, reason: str, detail: str
) -> None:
    kept, [drop] = told(reply, follows=follows)
    assert kept == []
    assert (drop.record_id, drop.stage, drop.reason) == ("vests", "rewrite", reason)
    assert drop.detail.startswith(detail)


def test_what_runs_on_is_cut_after_four_sentences() -> None:
    said = "Put a vest on. Then row out. Come back by noon. Dry the vest. Hang it up. Go home."
    [kept], _ = told(said)
    assert kept.text == "Put a vest on. Then row out. Come back by noon. Dry the vest."


def test_every_passage_is_told_from_every_angle_in_a_prompt_of_its_own() -> None:
    engine = FakeEngine("teacher", lambda asked: None)
    for style in ("continue", "chat"):
        teacher = Teacher(engine, Prompts(style=style), NoProgress())
        engine.asked.clear()
        texts = {"a": "Crew must rest.", "b": "Guests may row."}
        passages = [passage(name, text) for name, text in texts.items()]
        rewritings(passages, {"doc": "en"}, teacher, ANGLES, 0.0)
        assert len({str(request.prompt) for request in engine.asked}) == 2 * len(ANGLES)


def test_a_teacher_that_cannot_score_is_refused() -> None:
    class Mute(FakeEngine):
        def score(self, requests):
            raise NoLikelihoodError("no likelihoods here")

    teacher = Teacher(Mute("teacher", lambda asked: PLAIN), Prompts(), NoProgress())
    with pytest.raises(NoLikelihoodError):
        rewritings([passage("vests", TEXT)], {"doc": "en"}, teacher, ["plain"], 0.0)
