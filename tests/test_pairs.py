"""The strategies of preference pairs: whose the two answers are, and what makes none."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Literal

import pytest
from fakes import FakeEngine, clause, passage
from hypothesis import given
from hypothesis import strategies as st

from adhere.generate.answers import in_a_circle
from adhere.generate.pairs import Writers, two_answers
from adhere.generate.plan import CLOSED_KINDS, Situation, plan
from adhere.generate.questions import Question, Source
from adhere.generate.rows import build_rows
from adhere.generate.stance import Stance
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.records import Document, PreferencePair, Request
from adhere.settings import STRATEGIES, GenerateSettings, Strategy
from adhere.teacher import Teacher

TEXT = "Crew must rest after a watch."
DOCUMENT = Document(id="doc", name="code.md", format="md", sha256="0", text=TEXT)
RULE = replace(clause("rest", "p"), statement=TEXT)
SOURCE = Source.of([passage("p", TEXT)], {DOCUMENT.id: "en"}, {"rest": "Crew must not rest."})
ASKED = "I am tired. May I go to my bunk?"


def question(strategy: Strategy, number: int = 0) -> Question:
    return Question(
        Situation(RULE, "intention", "pair", 100 * number, strategy),
        ASKED,
        Request(id=f"q{number}", prompt="asked"),
        Stance("Yes", "No", leaning=2.0, turn=3.0),
    )


def write(prompt: str) -> str:
    """The teacher: what it is shown tells which of the prompts it was."""
    last = prompt.splitlines()[-1]
    if last == "Wrong with it:":
        return "It does not send you to rest."
    if last == "Better: Yes,":
        return "go and rest after your watch. Sleep well."
    if "on purpose" in prompt:
        return "stay on deck. The sea will not wait."
    return f"so it is: {prompt.splitlines()[-3].removeprefix('Text: ')}"


def answered(
    *questions: Question,
    teacher: Callable[[str], str | None] = write,
    student: FakeEngine | None = None,
) -> tuple[list[PreferencePair], list[tuple[str, str]]]:
    writers = Writers(
        Teacher(FakeEngine("teacher", teacher), Prompts(), NoProgress()),
        student or FakeEngine("student", lambda text: "Ask the cook."),
        SOURCE,
        GenerateSettings(samples=3),
    )
    answers = two_answers(questions, writers)
    rows = build_rows(questions, answers)
    return rows.pairs, [(drop.reason, drop.detail) for drop in (*answers.dropped, *rows.dropped)]


@pytest.mark.parametrize(
    ("strategy", "chosen", "rejected", "turn", "prompt"),
    [
        (
            "counterfactual",
            f"Yes, so it is: {TEXT}",
            "No, so it is: Crew must not rest.",
            3.0,
            "answer",
        ),
        (
            "instructed",
            f"Yes, so it is: {TEXT}",
            "No, stay on deck. The sea will not wait.",
            3.0,
            "answer",
        ),
        (
            "revised",
            "Yes, go and rest after your watch. Sleep well.",
            "Ask the cook.",
            None,
            "revise",
        ),
    ],
)
def test_two_answers_by_strategy(
    strategy: Strategy, chosen: str, rejected: str, turn: float | None, prompt: str
) -> None:
    [pair], dropped = answered(question(strategy))
    assert (pair.chosen, pair.rejected) == (chosen, rejected)
    # Only answers that take sides by their first word need no further proof.
    assert pair.turn == turn
    assert pair.strategy == strategy
    assert pair.origin.prompt == Prompts().tag(prompt)
    assert pair.origin.parents == ("rest", "q0")
    assert not dropped


class Sampler(FakeEngine):
    """A student whose answer depends on the seed."""

    def __init__(self, answers: list[str]) -> None:
        super().__init__("student")
        self.answers = answers

    def complete(self, requests):
        for request in requests:
            self.asked.append(request)
            self.reply = lambda text, seed=request.sampling.seed: self.answers[seed % 3]
            yield from super().complete([request])


def test_the_students_best_and_worst_sample_make_a_pair() -> None:
    student = Sampler(["Ask the cook about it.", "Crew must rest after it.", "Crew must cook it."])
    [pair], dropped = answered(question("onpolicy"), student=student)
    assert (pair.chosen, pair.rejected) == ("Crew must rest after it.", "Ask the cook about it.")
    assert pair.origin.model == "student"
    assert (pair.origin.temperature, pair.origin.seed) == (1.0, 1)
    assert pair.turn is None
    assert not dropped
    seeds = {request.sampling.seed for request in student.asked}
    assert seeds == {0, 1, 2}


@pytest.mark.parametrize(
    ("strategy", "student", "teacher", "reason"),
    [
        ("onpolicy", "Ask the cook.", write, "too few samples"),
        ("onpolicy", None, write, "no answer of the student's"),
        ("revised", None, write, "no answer of the student's"),
        ("revised", "Rest.", lambda prompt: "Nothing.", "the student's answer has no fault"),
        ("revised", "Rest.", lambda prompt: None, "no critique"),
        (
            "revised",
            "Yes, go and rest after your watch. Sleep well.",
            write,
            "both answers are the same",
        ),
    ],
)
def test_what_makes_no_pair_is_said(
    strategy: Strategy, student: str | None, teacher: Callable[[str], str | None], reason: str
) -> None:
    pairs, dropped = answered(
        question(strategy), teacher=teacher, student=FakeEngine("student", lambda text: student)
    )
    assert not pairs
    assert {why for why, _ in dropped} >= {reason}


def test_strategies_may_stand_side_by_side() -> None:
    student = Sampler(["Ask the cook about it.", "Crew must rest after it.", "Crew must cook it."])
    mixed = [question(strategy, number) for number, strategy in enumerate(STRATEGIES)]
    pairs, dropped = answered(*mixed, student=student)
    assert {pair.strategy for pair in pairs} == set(STRATEGIES)
    assert not dropped


def test_the_student_is_asked_only_where_a_strategy_wants_it() -> None:
    student = FakeEngine("student")
    answered(question("counterfactual"), question("instructed", 1), student=student)
    assert not student.asked


@given(seed=st.integers(0, 50), strategy=st.sampled_from([*STRATEGIES, "mix"]))
def test_only_pairs_have_a_strategy_of_their_own(seed: int, strategy: str) -> None:
    settings = GenerateSettings.model_validate({"seed": seed, "strategy": strategy})
    clauses = [clause(name, "p") for name in "abcdefgh"]
    situations = plan(clauses, settings)
    for one in situations:
        if one.use != "pair":
            assert one.strategy == "counterfactual"
        elif strategy != "mix":
            assert one.strategy == strategy
    # The strategy changes nothing else: runs of different ones are asked the same questions.
    plain = plan(clauses, GenerateSettings(seed=seed))
    assert [replace(one, strategy="counterfactual") for one in situations] == plain


def test_a_mix_has_all_strategies() -> None:
    clauses = [clause(str(number), "p") for number in range(20)]
    mixed = plan(clauses, GenerateSettings(strategy="mix"))
    assert {one.strategy for one in mixed if one.use == "pair"} == set(STRATEGIES)


@pytest.mark.parametrize(
    ("asked", "said", "circle"),
    [
        ("Why must the crew rest?", "Because the crew must rest.", True),
        ("Why must the crew rest?", "Because tired hands make mistakes at sea.", False),
        ("Why must the crew rest?", "The crew must rest. The cook sails on Monday.", True),
        ("When must the crew rest?", "When must the crew rest? After a watch.", True),
        ("When must the crew rest?", "The crew must rest after every long watch.", False),
        ("なぜ船員は休むのですか。", "船員は休むのです。", True),
        ("なぜ船員は休むのですか。", "疲れた手は海で間違いを起こすからです。", False),
    ],
)
def test_an_answer_that_gives_the_question_back_is_a_circle(
    asked: str, said: str, circle: bool
) -> None:
    assert in_a_circle(asked, said) is circle


@given(st.lists(st.sampled_from(["rest", "crew", "watch", "sea", "hand", "rope"]), min_size=1))
def test_any_reordering_of_the_question_is_a_circle(words: list[str]) -> None:
    shuffled = Random(0).sample(words, len(words))
    assert in_a_circle(" ".join(words) + "?", " ".join(shuffled).capitalize() + ".")


def test_circles_are_dropped_from_open_questions_only() -> None:
    open_question = replace(
        question("counterfactual"),
        text="Why must the crew rest after a watch?",
        situation=Situation(RULE, "reason", "example", 0),
        stance=None,
    )
    _, dropped = answered(open_question, teacher=lambda prompt: TEXT)
    assert [reason for reason, _ in dropped] == ["answer in a circle"]
    closed = replace(question("counterfactual"), text="Must the crew rest after a watch?")
    pairs, dropped = answered(
        closed, teacher=lambda prompt: TEXT if "not rest" not in prompt else "Stay."
    )
    assert len(pairs) == 1
    assert not dropped
    assert set(CLOSED_KINDS) >= {pair.kind for pair in pairs}


@pytest.mark.parametrize(("use", "reason"), [("probe", "contrast left out: "), ("pair", "")])
def test_a_probe_that_lost_its_second_answer_is_dropped_by_a_reason_of_its_own(
    use: Literal["probe", "pair"], reason: str
) -> None:
    asked = question("counterfactual")
    asked = replace(asked, situation=replace(asked.situation, use=use))

    def silent(prompt: str) -> str | None:
        return None if "Crew must not rest." in prompt else write(prompt)

    teacher = Teacher(FakeEngine("teacher", silent), Prompts(), NoProgress())
    student = FakeEngine("student", lambda text: None)
    found = two_answers([asked], Writers(teacher, student, SOURCE, GenerateSettings()))
    assert (asked in found.faithful, asked in found.unfaithful) == (True, False)
    [dropped] = found.dropped
    assert dropped.reason == f"{reason}no answer"
    assert len(build_rows([asked], found).probes) == (use == "probe")
