"""Generation: the plan, what is held out, whole sentences, pairs that differ, failures by name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from fakes import FakeEngine, clause, passage
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adhere.generate import (
    KINDS,
    Generated,
    Situation,
    find_questions,
    generate,
    plan,
    relevant,
    runs,
    turn_round,
    whole_sentences,
)
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.records import Completion, Passage
from adhere.settings import GenerateSettings
from adhere.teacher import Teacher

PASSAGE = passage("p", "Crew must rest. Guests may row twice.")
RULE = replace(clause("rest", "p"), statement="Crew must rest.")
NAMES = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=6, unique=True)


def embed(texts: Sequence[str]) -> NDArray[np.float64]:
    """Every text in the same direction, but for those that speak of cheese."""
    return np.array([[0.0, 1.0] if "cheese" in text else [1.0, 0.0] for text in texts])


def teacher(reply: Callable[[str], str | None]) -> Teacher:
    return Teacher(FakeEngine("teacher", reply), Prompts(), NoProgress())


def good_reply(prompt: str) -> str:
    """A question of its own for each kind; answers that quote the text."""
    last = prompt.splitlines()
    if prompt.endswith("Opposite:"):
        return "Crew need not rest."
    if prompt.endswith("Answer:"):
        return f"Look: {last[-3].removeprefix('Text: ')}"
    return f"Is it I who {last[-1].split()[-1]} of rest?"


def generated(reply: Callable[[str], str | None], **choices: float) -> Generated:
    return generate(
        [PASSAGE], [RULE], teacher(reply), embed, GenerateSettings.model_validate(choices)
    )


COUNTS = st.builds(
    GenerateSettings,
    examples=st.integers(1, 20),
    pairs=st.integers(1, 20),
    probes=st.integers(1, 3),
    seed=st.integers(0, 1000),
)


@given(names=NAMES, settings=COUNTS)
def test_the_kinds_of_probes_are_never_trained_on(
    names: list[str], settings: GenerateSettings
) -> None:
    situations = plan([clause(name, "p") for name in names], settings)
    for name in names:
        own = [situation for situation in situations if situation.clause.id == name]
        held_out = [one.kind for one in own if one.use == "probe"]
        trained = {one.kind for one in own if one.use != "probe"}
        assert len(set(held_out)) == len(held_out) == settings.probes
        assert not trained & set(held_out)
        assert trained | set(held_out) <= set(KINDS)
        uses = [one.use for one in own]
        assert uses.count("example") == settings.examples
        assert uses.count("pair") == settings.pairs


@given(names=NAMES, settings=COUNTS, seed=st.integers())
def test_the_plan_does_not_depend_on_the_order_of_the_clauses(
    names: list[str], settings: GenerateSettings, seed: int
) -> None:
    clauses = [clause(name, "p") for name in names]
    shuffled = Random(seed).sample(clauses, len(clauses))
    assert plan(clauses, settings) == plan(clauses, settings)
    assert set(plan(shuffled, settings)) == set(plan(clauses, settings))


def test_another_seed_is_another_plan() -> None:
    clauses = [clause(name, "p") for name in "abcdef"]
    assert plan(clauses, GenerateSettings(seed=1)) != plan(clauses, GenerateSettings(seed=2))


def test_every_situation_becomes_a_row() -> None:
    rows = generated(good_reply, examples=3, pairs=2, probes=2)
    assert (len(rows.examples), len(rows.pairs), len(rows.probes)) == (3, 2, 2)
    assert not rows.dropped
    [first, *_] = rows.pairs
    assert first.question.startswith("Is it I who")
    assert first.chosen == "Look: Crew must rest."
    assert first.rejected == "Look: Crew need not rest."
    assert {probe.contrast for probe in rows.probes} == {"Look: Crew need not rest."}
    assert {probe.reference for probe in rows.probes} == {"Look: Crew must rest."}
    # An example rests on the whole passage, as in the paper.
    assert {row.answer for row in rows.examples} == {f"Look: {PASSAGE.text}"}


def test_every_row_remembers_where_it_comes_from() -> None:
    rows = generated(good_reply)
    ids = [row.id for row in (*rows.examples, *rows.pairs, *rows.probes)]
    assert len(set(ids)) == len(ids)
    for row in (*rows.examples, *rows.pairs, *rows.probes):
        assert row.clause == "rest"
        parent, question = row.origin.parents
        assert parent == "rest"
        assert re.fullmatch("[0-9a-f]{12}", question)
        assert row.origin.prompt == Prompts().tag("answer")
        assert row.origin.model == "teacher"
        assert row.origin.temperature == 0  # answers are greedy


def test_questions_are_sampled_with_a_seed_of_their_own() -> None:
    engine = FakeEngine("teacher", good_reply)
    settings = GenerateSettings(temperature=0.9)
    generate([PASSAGE], [RULE], Teacher(engine, Prompts(), NoProgress()), embed, settings)
    sampled = [request.sampling for request in engine.asked if request.sampling.temperature]
    assert {sampling.temperature for sampling in sampled} == {0.9}
    assert len({sampling.seed for sampling in sampled}) == len(sampled) == 7


def test_two_answers_that_are_the_same_make_no_pair() -> None:
    def reply(prompt: str) -> str:
        return "Crew must REST" if prompt.endswith("Answer:") else good_reply(prompt)

    rows = generated(lambda prompt: reply(prompt) + ("." if "need not" in prompt else ""), pairs=2)
    assert not rows.pairs
    assert {probe.contrast for probe in rows.probes} == {None}
    same = [drop for drop in rows.dropped if drop.reason == "both answers are the same"]
    assert len(same) == 4


@pytest.mark.parametrize(
    ("fails", "reason", "times", "left"),
    [
        ("Opposite:", "no opposite", 1, (3, 0, 2)),
        ("Answer:", "no answer", 7 + 4, (0, 0, 0)),
        ("Someone asks", "no question", None, None),
    ],
)
def test_a_failure_is_dropped_with_the_engines_words(
    fails: str, reason: str, times: int | None, left: tuple[int, int, int] | None
) -> None:
    rows = generated(
        lambda prompt: None if prompt.splitlines()[-1].startswith(fails) else good_reply(prompt)
    )
    failed = [drop for drop in rows.dropped if drop.reason == reason]
    made = (len(rows.examples), len(rows.pairs), len(rows.probes))
    assert failed
    assert {drop.detail for drop in failed} == {"out of paper"}
    assert {drop.record_id for drop in failed} == {"rest"}
    if times is not None:
        assert (len(failed), made) == (times, left)
    else:
        assert 3 * sum(made) + len(failed) == 3 * 7  # a situation is asked three times


def test_an_empty_reply_is_a_failure() -> None:
    rows = generated(lambda prompt: " \n" if prompt.endswith("Answer:") else good_reply(prompt))
    assert {drop.detail for drop in rows.dropped} == {"the reply was empty"}


def test_questions_off_the_clause_are_dropped_and_asked_again() -> None:
    rows = generated(
        lambda prompt: "Is there cheese?" if "has seen something:" in prompt[-25:] else None
    )
    off = [drop for drop in rows.dropped if drop.reason == "question off the clause"]
    assert [drop.detail for drop in off] == ["0.00: Is there cheese?"] * 3
    assert relevant([], embed, 0.5) == ([], [])


def test_a_second_sample_may_be_better() -> None:
    replies = iter(["Is there cheese?", "When must the crew rest?"])
    asking = teacher(lambda _: next(replies))
    found, rejected = find_questions(
        [Situation(RULE, "rule", "probe", 10)], {"p": PASSAGE}, asking, embed, GenerateSettings()
    )
    assert [question.text for question in found] == ["When must the crew rest?"]
    assert found[0].request.sampling.seed == 11
    assert found[0].situation.use == "probe"
    assert [drop.reason for drop in rejected] == ["question off the clause"]


def test_a_question_copied_from_the_prompt_is_dropped() -> None:
    copied = "Why does the Night Clinic let people sit in its waiting room who are not patients?"
    assert runs(copied) & runs(Prompts().bare("question"))
    rows = generated(
        lambda prompt: copied if prompt.splitlines()[-1].startswith("Someone") else "x"
    )
    assert {drop.reason for drop in rows.dropped} >= {"echo of a worked example"}
    assert not rows.examples


def test_a_clause_that_comes_back_unchanged_has_no_opposite() -> None:
    opposites, dropped = turn_round([RULE], teacher(lambda prompt: "CREW must rest"))
    assert not opposites
    assert [drop.reason for drop in dropped] == ["opposite does not differ"]


@pytest.mark.parametrize(
    ("text", "finish", "most", "expected"),
    [
        ("Yes. Do rest. And then?", "stop", 2, "Yes. Do rest."),
        ("Yes. Do rest. And th", "length", 2, "Yes. Do rest."),
        ("Yes. Do re", "length", 2, "Yes."),
        ("Yes, and then do re", "length", 2, ""),
        ("Yes, do rest", "stop", 2, "Yes, do rest"),
        (" Yes. ", "stop", 1, "Yes."),
        ("", "stop", 2, ""),
        ("休んでください。手は滑りま", "length", 2, "休んでください。"),
    ],
)
def test_whole_sentences_only(text: str, finish: str, most: int, expected: str) -> None:
    reply = Completion(id="r", text=text, finish="length" if finish == "length" else "stop")
    assert whole_sentences(reply, most) == expected


def test_an_answer_cut_in_its_first_sentence_is_dropped_as_unfinished() -> None:
    class Cut(FakeEngine):
        def complete(self, requests):
            for one in super().complete(requests):
                yield replace(one, finish="length") if one.text.startswith("Look") else one

    engine = Cut("teacher", good_reply)
    rows = generate(
        [PASSAGE], [RULE], Teacher(engine, Prompts(), NoProgress()), embed, GenerateSettings()
    )
    unfinished = [drop for drop in rows.dropped if drop.reason == "unfinished answer"]
    assert {drop.detail for drop in unfinished} == {
        "Look: Crew must rest.",
        "Look: Crew need not rest.",
    }
    # The examples' answers have two sentences, of which the first is whole.
    assert {row.answer for row in rows.examples} == {"Look: Crew must rest."}


def test_a_clause_without_headings_still_has_a_place() -> None:
    engine = FakeEngine("teacher", good_reply)
    headed = Passage(
        id="p", document="doc", text="Crew must rest.", start=0, end=15, headings=("Code", "Rest")
    )
    for one, place in ((PASSAGE, "the document"), (headed, "Code, Rest")):
        generate([one], [RULE], Teacher(engine, Prompts(), NoProgress()), embed, GenerateSettings())
        assert any(f"Rule ({place}): Crew" in str(request.prompt) for request in engine.asked)
