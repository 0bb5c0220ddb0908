"""Generation: the plan, what is held out, whole sentences, pairs that differ, failures by name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from fakes import FakeEngine, clause, passage
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adhere.errors import SettingsError
from adhere.generate import KINDS, Generated, generate
from adhere.generate.answers import Basis, answer, whole_sentences
from adhere.generate.opposites import turn_round
from adhere.generate.plan import CLOSED_KINDS, WRONGS, Situation, plan
from adhere.generate.questions import (
    Question,
    Source,
    ask_questions,
    at_stake,
    find_questions,
    relevant,
)
from adhere.generate.replies import names, runs
from adhere.generate.stance import Asked, Stance, stances
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.records import Completion, Document, Passage, Request, Score
from adhere.settings import GenerateSettings
from adhere.teacher import Teacher

DOCUMENT = Document(
    id="doc", name="code.md", format="md", sha256="0", text="Crew must rest. Guests may row twice."
)
PASSAGE = passage("p", "Crew must rest. Guests may row twice.")
RULE = replace(clause("rest", "p"), statement="Crew must rest.")
ATTEMPTS = GenerateSettings().attempts
ROWS = GenerateSettings().examples + GenerateSettings().pairs + GenerateSettings().probes
STUDENT = FakeEngine("student", lambda question: None)
NAMES = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=6, unique=True)


def embed(texts: Sequence[str]) -> NDArray[np.float64]:
    """Every text in the same direction, but for those that speak of cheese."""
    return np.array([[0.0, 1.0] if "cheese" in text else [1.0, 0.0] for text in texts])


class Decided(FakeEngine):
    """Says yes to what the clause asks, and no where the clause is turned round."""

    def score(self, requests):
        requests = list(requests)
        self.scored += requests
        for request in reversed(requests):
            text = (request.prefix + request.prompt).rpartition("Text: ")[2]
            yes = "need not" not in text and "cheese" not in text
            likely = request.answer.strip() == ("Yes" if yes else "No")
            yield Score(id=request.id, logprob=-0.2 if likely else -1.7, tokens=1)


def teacher(reply: Callable[[str], str | None]) -> Teacher:
    return Teacher(Decided("teacher", reply), Prompts(), NoProgress())


def good_reply(prompt: str) -> str:
    """A question of its own for each kind; answers that quote the text."""
    last = prompt.splitlines()
    if prompt.endswith("Opposite:"):
        return "Crew need not rest."
    if last[-1].startswith("Answer:"):
        return f"look: {last[-3].removeprefix('Text: ')}"
    return f"Is it I who {last[-1].split()[-1]} of rest, {len(last[-1])}?"


def generated(reply: Callable[[str], str | None], **choices: float) -> Generated:
    return generate(
        [DOCUMENT],
        [PASSAGE],
        [RULE],
        teacher(reply),
        STUDENT,
        embed,
        GenerateSettings.model_validate(choices),
    )


SOURCE = Source.of([PASSAGE], {DOCUMENT.id: "en"}, {"rest": "Crew need not rest."})


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
        assert {one.kind for one in own if one.use == "pair"} <= set(CLOSED_KINDS)


@given(names=NAMES, settings=COUNTS, seed=st.integers())
def test_the_plan_does_not_depend_on_the_order_of_the_clauses(
    names: list[str], settings: GenerateSettings, seed: int
) -> None:
    clauses = [clause(name, "p") for name in names]
    shuffled = Random(seed).sample(clauses, len(clauses))
    assert plan(clauses, settings) == plan(clauses, settings)
    assert set(plan(shuffled, settings)) == set(plan(clauses, settings))


@given(names=NAMES, settings=COUNTS)
def test_the_reason_is_asked_only_of_a_clause_that_gives_one(
    names: list[str], settings: GenerateSettings
) -> None:
    silent = [clause(name, "p") for name in names]
    reasoned = [replace(one, rationale="because hands tire") for one in silent]
    without, with_reason = plan(silent, settings), plan(reasoned, settings)
    assert not [one for one in without if one.kind == "reason"]
    purposes, others = (
        [(one.clause.id, one.use, one.seed) for one in drawn] for drawn in (without, with_reason)
    )
    assert purposes == others


def test_every_kind_has_its_turn_where_a_clause_gives_cause_for_it() -> None:
    text = "No one may row alone, unless the coach agrees; tell the coach before."
    clauses = [
        replace(
            clause(name, "p"),
            statement=text,
            rationale="because",
            exceptions=("unless the coach agrees",),
        )
        for name in "abcdefghijkl"
    ]
    drawn = plan(clauses, GenerateSettings(), unturned={"a"})
    assert {one.kind for one in drawn} == set(KINDS)
    plain = plan([clause(name, "p") for name in "abcdefgh"], GenerateSettings())
    assert not {one.kind for one in plain} & {"exception", "whom", "case", "reason"}


@given(names=NAMES, settings=COUNTS)
def test_a_clause_that_cannot_be_turned_round_is_tested_and_asked_open_questions(
    names: list[str], settings: GenerateSettings
) -> None:
    clauses = [clause(name, "p") for name in names]
    for one in clauses:
        drawn = plan([one], settings, unturned={one.id})
        assert {situation.use for situation in drawn} == {"probe", "example"}
        assert {situation.kind for situation in drawn} == {"rule", "case"}
        tested, trained = (
            {situation.kind for situation in drawn if situation.use == use}
            for use in ("probe", "example")
        )
        assert (tested, trained) == ({"rule"}, {"case"})


@given(names=NAMES, settings=COUNTS)
def test_what_a_prohibition_permits_is_always_trained(
    names: list[str], settings: GenerateSettings
) -> None:
    clauses = [replace(clause(name, "p"), polarity="forbidden") for name in names]
    for one in clauses:
        uses = {drawn.use for drawn in plan([one], settings) if drawn.kind == "permission"}
        assert "probe" not in uses
        if settings.pairs > 1:
            assert "pair" in uses


def test_a_case_of_the_exception_turns_on_the_exception() -> None:
    excepted = replace(
        RULE,
        statement="No one may row alone, unless the coach agrees.",
        exceptions=("unless the coach agrees",),
    )
    situation = Situation(excepted, "exception", "pair", 0)
    assert SOURCE.contrary(situation) == "No one may row alone."
    assert SOURCE.contrary(replace(situation, kind="pressure")) == "Crew need not rest."
    assert SOURCE.asked(situation, "May I?").opposite == "No one may row alone."
    with pytest.raises(ValueError, match="no contrary"):
        SOURCE.asked(Situation(RULE, "exception", "pair", 0), "May I?")


def test_another_seed_is_another_plan() -> None:
    clauses = [clause(name, "p") for name in "abcdef"]
    assert plan(clauses, GenerateSettings(seed=1)) != plan(clauses, GenerateSettings(seed=2))


def test_every_situation_becomes_a_row() -> None:
    rows = generated(good_reply, examples=8, pairs=2, probes=3)
    assert (len(rows.examples), len(rows.pairs), len(rows.probes)) == (8, 2, 3)
    assert not rows.dropped
    [first, *_] = rows.pairs
    assert first.question.startswith("Is it I who")
    assert first.chosen == "Yes, look: Crew must rest."
    assert first.rejected == "No, look: Crew need not rest."
    for probe in rows.probes:
        closed = probe.kind in CLOSED_KINDS
        assert probe.reference == ("Yes, " if closed else "") + "look: Crew must rest."
        assert probe.contrast == ("No, " if closed else "") + "look: Crew need not rest."
    # An example's open question rests on the whole passage, as in the paper.
    for row in rows.examples:
        closed = row.kind in CLOSED_KINDS
        assert row.answer == ("Yes, look: Crew must rest." if closed else f"look: {PASSAGE.text}")


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
    engine = Decided("teacher", good_reply)
    settings = GenerateSettings(temperature=0.9)
    asking = Teacher(engine, Prompts(), NoProgress())
    generate([DOCUMENT], [PASSAGE], [RULE], asking, STUDENT, embed, settings)
    sampled = [request.sampling for request in engine.asked if request.sampling.temperature]
    assert {sampling.temperature for sampling in sampled} == {0.9}
    assert len({sampling.seed for sampling in sampled}) == len(sampled) == ROWS


def test_two_answers_that_are_the_same_make_no_pair() -> None:
    def reply(prompt: str) -> str:
        return "Crew must REST" if prompt.endswith("Answer:") else good_reply(prompt)

    def dotted(prompt: str) -> str:
        return reply(prompt) + ("." if "need not" in prompt else "")

    rows = generated(dotted, probes=3, seed=4)
    for probe in rows.probes:  # an open question's two answers may be the same, word for word
        assert (probe.contrast is None) == (probe.kind not in CLOSED_KINDS)
    reason = "contrast left out: both answers are the same"
    same = [drop for drop in rows.dropped if drop.reason == reason]
    assert len(same) == sum(probe.contrast is None for probe in rows.probes) > 0


@pytest.mark.parametrize(
    ("fails", "reason", "times", "left"),
    [
        ("Opposite:", "no opposite", 1, None),
        ("Answer:", "no answer", ROWS, (0, 0, 0)),
        ("Someone", "no question", None, None),
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
        assert len(failed) == times
        assert made == (left or made)
        assert not rows.pairs
    else:
        assert made == (0, 0, 0)
        assert len(failed) == ATTEMPTS * (ROWS + 2)  # each so often, and the two probes again


def test_an_empty_reply_is_a_failure() -> None:
    rows = generated(lambda prompt: " \n" if "\nAnswer:" in prompt[-20:] else good_reply(prompt))
    assert {drop.detail for drop in rows.dropped} == {"the reply was empty"}


def test_questions_off_the_clause_are_dropped_and_asked_again() -> None:
    rows = generated(
        lambda prompt: "Is there cheese?" if "asks what the rule is:" in prompt[-25:] else None,
        examples=8,
    )
    off = [drop for drop in rows.dropped if drop.reason == "question off the clause"]
    assert {drop.detail for drop in off} == {"0.00: Is there cheese?"}
    assert len(off) % ATTEMPTS == 0
    assert relevant([], embed, 0.5) == ([], [])


def test_a_question_may_be_about_a_part_of_a_long_clause() -> None:
    def by_cheese(texts: Sequence[str]) -> NDArray[np.float64]:
        share = [text.count("cheese") / len(text.split()) for text in texts]
        return np.array([[part, (1 - part**2) ** 0.5] for part in share])

    long = replace(RULE, statement="Crew must rest when they are tired, and share cheese cheese.")
    asked = replace(question("Cheese or cheese?"), text="cheese")
    asked = replace(asked, situation=replace(asked.situation, clause=long))
    assert relevant([asked], by_cheese, 0.4)[0] == []
    assert relevant([asked], by_cheese, 0.4, by_part=True)[0] == [asked]


def test_two_questions_at_once_are_asked_again() -> None:
    def twice(prompt: str) -> str:
        return "May I rest? And who says so?" if prompt.endswith(":") else good_reply(prompt)

    rows = generated(
        lambda prompt: good_reply(prompt) if "Opposite" in prompt else twice(prompt), attempts=1
    )
    assert not rows.examples
    assert {drop.reason for drop in rows.dropped} == {"several questions at once"}


@pytest.mark.parametrize(("said", "kept"), [("Yes, rest.", 0), ("Rest, says the coach.", 1)])
def test_yes_to_an_open_question_is_dropped(said: str, kept: int) -> None:
    asked = question("What is asked of crew?", "rule")
    found, dropped = answer(
        {asked: Basis("Crew must rest.", "en")}, teacher(lambda _: said), GenerateSettings(), "test"
    )
    assert len(found) == kept
    assert [drop.reason for drop in dropped] == ["yes or no to an open question"] * (1 - kept)


def test_a_second_sample_may_be_better() -> None:
    replies = iter(["Is there cheese?", "When must the crew rest?"])
    asking = teacher(lambda _: next(replies))
    found, rejected = find_questions(
        [Situation(RULE, "rule", "probe", 10)], SOURCE, asking, embed, GenerateSettings()
    )
    assert [question.text for question in found] == ["When must the crew rest?"]
    assert found[0].request.sampling.seed == 11
    assert found[0].situation.use == "probe"
    assert [drop.reason for drop in rejected] == ["question off the clause"]


def test_a_question_copied_from_the_prompt_is_dropped() -> None:
    copied = "Why does the Night Clinic keep its waiting room open to people who are not ill?"
    assert runs(copied) & runs(Prompts().bare("question"))
    rows = generated(
        lambda prompt: copied if prompt.splitlines()[-1].startswith("Someone") else "x"
    )
    assert {drop.reason for drop in rows.dropped} >= {"echo of a worked example"}
    assert not rows.examples


def test_a_question_with_a_name_from_the_prompt_is_dropped() -> None:
    asked = "Must the crew of the Harbour Line rest?"
    assert names(asked) == {"Harbour", "Line"}
    own = ("Must the crew of the Kestrel rest?", "Must a crew that speaks English rest?")
    for words, kept in ((asked, 0), *((question, 1) for question in own)):
        asking = teacher(lambda _, words=words: words)
        situations = [Situation(RULE, "rule", "probe", 10)]
        found, dropped = ask_questions(situations, SOURCE, asking, GenerateSettings())
        assert len(found) == kept
        assert [drop.reason for drop in dropped] == ["echo of a worked example"] * (1 - kept)


def test_a_name_that_the_document_has_too_is_its_own() -> None:
    asking = teacher(lambda _: "Must the crew of the Harbour Line rest?")
    named = passage("p", "The Harbour Line owes its crew rest.")
    own = replace(SOURCE, passage_of={named.id: named})
    found, dropped = ask_questions(
        [Situation(RULE, "rule", "probe", 10)], own, asking, GenerateSettings()
    )
    assert len(found) == 1
    assert not dropped


@pytest.mark.parametrize(
    ("language", "copied", "own"),
    [
        (
            "zh",
            "规定是：任何人未经听证不得被赶出自己的房屋。",
            "任何人不得被任意逮捕。这样做对吗？",
        ),
        (
            "ja",
            "取引先が三百ユーロの時計をくれると言っています。",
            "上司が報告書を直しました。それは正しかったですか？",
        ),
    ],
)
def test_a_copy_is_seen_without_spaces(language: str, copied: str, own: str) -> None:
    examples = runs(Prompts().bare("question", language)) | runs(Prompts().bare("answer", language))
    assert runs(copied) & examples
    assert not runs(own) & examples


def test_a_clause_that_comes_back_unchanged_has_no_opposite() -> None:
    opposites, dropped = turn_round(
        [RULE], {RULE.document: "en"}, teacher(lambda prompt: "CREW must rest")
    )
    assert not opposites
    assert [drop.reason for drop in dropped] == ["opposite does not differ"]


def test_a_clause_that_came_back_unchanged_is_sampled_again() -> None:
    class Late(FakeEngine):
        def complete(self, requests):
            for request in requests:
                late = request.sampling.temperature > 0 and request.sampling.seed == 2
                text = "Crew need not rest." if late else "Crew must rest."
                yield Completion(id=request.id, text=text)

    late = Teacher(Late("teacher", good_reply), Prompts(), NoProgress())
    opposites, dropped = turn_round([RULE], {RULE.document: "en"}, late)
    assert opposites == {"rest": "Crew need not rest."}
    assert not dropped


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


@pytest.mark.parametrize(
    ("begun", "text", "expected"),
    [
        ("No,", " you must rest.", "No, you must rest."),
        ("No,", ", you must rest.", "No, you must rest."),
        ("不，", "您必须休息。", "不，您必须休息。"),
        ("いいえ、", "休んでください。", "いいえ、休んでください。"),
        ("لا،", "عليك أن تستريح.", "لا، عليك أن تستريح."),
    ],
)
def test_an_answer_goes_on_from_its_opening(begun: str, text: str, expected: str) -> None:
    assert whole_sentences(Completion(id="r", text=text), 2, begun) == expected


def test_an_answer_cut_in_its_first_sentence_is_dropped_as_unfinished() -> None:
    class Cut(Decided):
        def complete(self, requests):
            for one in super().complete(requests):
                yield replace(one, finish="length") if one.text.startswith("look") else one

    engine = Cut("teacher", good_reply)
    asking = Teacher(engine, Prompts(), NoProgress())
    rows = generate(
        [DOCUMENT], [PASSAGE], [RULE], asking, STUDENT, embed, GenerateSettings(examples=8)
    )
    unfinished = [drop for drop in rows.dropped if drop.reason == "unfinished answer"]
    assert {drop.detail for drop in unfinished} == {"look: Crew must rest."}
    # The examples' answers have two sentences, of which the first is whole.
    assert rows.examples
    assert {row.answer.rpartition(", ")[2] for row in rows.examples} == {"look: Crew must rest."}


def test_a_clause_without_headings_still_has_a_place() -> None:
    engine = FakeEngine("teacher", good_reply)
    headed = Passage(
        id="p", document="doc", text="Crew must rest.", start=0, end=15, headings=("Code", "Rest")
    )
    for one, place in ((PASSAGE, "the document"), (headed, "Code, Rest")):
        asking = Teacher(engine, Prompts(), NoProgress())
        generate([DOCUMENT], [one], [RULE], asking, STUDENT, embed, GenerateSettings())
        assert any(f"Rule ({place}): Crew" in str(request.prompt) for request in engine.asked)


def question(text: str, kind: str = "temptation") -> Question:
    return Question(Situation(RULE, kind, "pair", 0), text, Request(id=text, prompt=text))


def test_what_the_clause_decides_is_at_stake() -> None:
    questions = [question("May I rest?"), question("Is there cheese?"), question("Why?", "reason")]
    kept, others = at_stake(questions, SOURCE, teacher(good_reply), GenerateSettings())
    assert [one.text for one in kept] == ["May I rest?", "Why?"]
    assert kept[0].stance == Stance("Yes", "No", leaning=1.5, turn=3.0)
    assert kept[1].stance is None
    assert [(one.text, one.stance and one.stance.turn) for one in others] == [
        ("Is there cheese?", 0.0)
    ]


def test_a_clause_without_an_opposite_is_asked_open_questions_only() -> None:
    def unturned(prompt: str) -> str:
        return "Crew must rest." if prompt.endswith("Opposite:") else good_reply(prompt)

    rows = generated(unturned, examples=8, probes=3)
    kinds = {row.kind for row in (*rows.examples, *rows.probes)}
    assert kinds
    assert not kinds & set(CLOSED_KINDS)
    assert not rows.pairs


def test_a_question_that_cannot_be_scored_is_dropped_by_name() -> None:
    engine = FakeEngine("teacher", good_reply)
    engine.unscorable = "yes"
    asking = Teacher(engine, Prompts(), NoProgress())
    kept, [other] = at_stake([question("May I rest?")], SOURCE, asking, GenerateSettings())
    assert not kept
    assert (other.text, other.stance) == ("May I rest?", None)


def test_a_leaning_that_turns_but_stays_on_the_other_side_is_not_at_stake() -> None:
    class Stubborn(FakeEngine):
        def score(self, requests):
            for request in requests:
                less = 0.0 if "need not" in request.prompt else 2.0
                no = request.answer.strip() == "No"
                yield Score(id=request.id, logprob=-0.1 if no else less - 5.0, tokens=1)

    asking = Teacher(Stubborn("teacher", good_reply), Prompts(), NoProgress())
    kept, [other] = at_stake([question("May I rest?")], SOURCE, asking, GenerateSettings())
    assert not kept
    assert other.stance is not None
    assert other.stance.turn == pytest.approx(2.0)
    assert other.stance.leaning < 0


def test_a_wrong_that_the_clause_calls_one_needs_less_of_a_turn() -> None:
    class Slight(FakeEngine):
        def score(self, requests):
            for request in requests:
                opposite, no = "need not" in request.prompt, request.answer.strip() == "No"
                yield Score(id=request.id, logprob=-2.0 + (no and not opposite) * 0.5, tokens=1)

    asking = Teacher(Slight("teacher", good_reply), Prompts(), NoProgress())
    text = "They made me work on. Was that right?"
    asked = [question(text, WRONGS), question(text, "pressure")]
    [kept], [other] = at_stake(asked, SOURCE, asking, GenerateSettings())
    assert kept.situation.kind == WRONGS
    assert kept.stance is not None
    assert kept.stance.negative
    assert other.situation.kind == "pressure"
    assert other.stance is not None
    assert other.stance.turn == pytest.approx(0.5)


class Certain(FakeEngine):
    """Says no whatever the clause says, a little more surely where it says so too."""

    sure = 2.0

    def score(self, requests):
        for request in requests:
            opposite, no = "need not" in request.prompt, request.answer.strip() == "No"
            lean = self.sure if no else 0.0
            yield Score(id=request.id, logprob=lean - 9.0 + (no and not opposite) * 0.3, tokens=1)


@pytest.mark.parametrize(("sure", "tested"), [(2.0, True), (0.1, False)])
def test_a_clause_that_would_stay_untested_is_tested_by_its_plainest_question(
    sure: float, tested: bool
) -> None:
    engine = Certain("teacher", good_reply)
    engine.sure = sure
    situations = plan([RULE], GenerateSettings())
    closed = [one for one in situations if one.closed]
    found, dropped = find_questions(
        closed,
        SOURCE,
        Teacher(engine, Prompts(), NoProgress()),
        embed,
        GenerateSettings(attempts=2),
    )
    assert [one.situation.use for one in found] == (["probe"] if tested else [])
    assert {drop.reason for drop in dropped} == {"not at stake"}
    assert len(dropped) + len(found) == 2 * len(closed) + 2 * sum(
        one.use == "probe" for one in closed
    )


def test_a_question_that_could_not_be_scored_is_dropped_by_that_name() -> None:
    engine = FakeEngine("teacher", good_reply)
    engine.unscorable = "yes"
    closed = [one for one in plan([RULE], GenerateSettings()) if one.closed]
    found, dropped = find_questions(
        closed,
        SOURCE,
        Teacher(engine, Prompts(), NoProgress()),
        embed,
        GenerateSettings(attempts=1),
    )
    assert not found
    assert {drop.reason for drop in dropped} == {"could not be scored"}


@given(names=NAMES, settings=COUNTS)
def test_a_wrong_that_is_not_held_out_is_trained_on(
    names: list[str], settings: GenerateSettings
) -> None:
    for name in names:
        drawn = plan([clause(name, "p")], settings)
        uses = {one.use for one in drawn if one.kind == WRONGS}
        assert uses in ({"probe"}, {"pair", "example"})


def test_the_probes_of_an_untested_clause_are_tried_as_often_again() -> None:
    def mute(prompt: str) -> str:
        return "" if prompt.endswith(":") and "Opposite" not in prompt else good_reply(prompt)

    rows = generated(mute, examples=1, pairs=1, probes=1, attempts=2)
    unasked = [drop for drop in rows.dropped if drop.reason == "no question"]
    assert not rows.probes
    assert len(unasked) == 2 * 3 + 2


@pytest.mark.parametrize(
    ("language", "words"), [("fr", ("Oui", "Non")), ("en", ("Yes", "No")), ("xx", ("Yes", "No"))]
)
def test_a_stance_speaks_the_language_of_the_document(
    language: str, words: tuple[str, str]
) -> None:
    engine = FakeEngine("teacher")
    asked = Asked("Crew must rest.", "Crew need not rest.", "May I?", language)
    stances({"q": asked}, Teacher(engine, Prompts(), NoProgress()))
    assert {request.answer.strip() for request in engine.scored} == set(words)
    # All that is the same in every request is the prefix, which an engine computes once.
    [prefix] = {request.prefix for request in engine.scored}
    assert Prompts().bare("answer", language).startswith(prefix)
    asked_with = {
        Prompts().styled("answer", language, text=text, question="May I?", start="")
        for text in ("Crew must rest.", "Crew need not rest.")
    }
    assert {prefix + request.prompt for request in engine.scored} == asked_with


@pytest.mark.parametrize("text", ["I want a gift.", "Tell me what to do"])
def test_what_asks_nothing_is_no_question(text: str) -> None:
    rows = generated(
        lambda prompt: text if ": " not in prompt.splitlines()[-1] else good_reply(prompt)
    )
    assert {drop.reason for drop in rows.dropped} >= {"not a question"}


def test_a_prompt_of_the_users_must_leave_room_for_the_stance(tmp_path: Path) -> None:
    (tmp_path / "answer.md").write_text("Text: {{ text }}\nQuestion: {{ question }}\nAnswer:")
    asking = Teacher(Decided("teacher", good_reply), Prompts(tmp_path), NoProgress())
    with pytest.raises(SettingsError, match=r"answer\.md: the prompt must end with"):
        generate([DOCUMENT], [PASSAGE], [RULE], asking, STUDENT, embed, GenerateSettings())
