"""Curation: every fault has its row, probes come first, answers are told apart, nothing is lost."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from fakes import ORIGIN, FakeEngine, clause, passage, probe
from hypothesis import given, settings
from hypothesis import strategies as st

from adhere.curate import Curated, curate
from adhere.embedding import FloatArray
from adhere.grounding import Grounded, Grounding
from adhere.progress import NoProgress
from adhere.records import Document, Example, PreferencePair, Probe
from adhere.settings import CurateSettings

TEXT = "Crew must rest, because tired hands slip. Guests may row twice."


class Gains(Grounding):
    """The gain of an answer by a function of it; None fails."""

    def __init__(self, gain: Callable[[str], float | None]) -> None:
        super().__init__(FakeEngine("teacher"), NoProgress())
        self.gain = gain

    def gains(self, items: Sequence[Grounded], what: str) -> list[float | None]:
        return [self.gain(item.answer) for item in items]


def worth(answer: str) -> float | None:
    """`rest` is worth 1, `guess` -1, what begins with `lost` cannot be scored."""
    if answer.startswith("lost"):
        return None
    return 1.0 if "rest" in answer else -1.0 if "guess" in answer else 0.5


DIRECTIONS = ("sit", "captain", "water")


def meaning(questions: Sequence[str]) -> FloatArray:
    """Questions that speak of the same thing have the same direction, others a right angle."""
    vectors = np.zeros((len(questions), len(DIRECTIONS) + len(questions)))
    for place, question in enumerate(questions):
        about = [word in question.casefold() for word in DIRECTIONS]
        vectors[place, about.index(True) if any(about) else len(about) + place] = 1
    return vectors


def example(name: str, question: str, answer: str = "Yes, do rest at once.") -> Example:
    return Example(
        id=name, clause="c", kind="rule", question=question, answer=answer, origin=ORIGIN
    )


def pair(
    name: str,
    question: str,
    chosen: str = "Yes, do rest at once.",
    rejected: str = "No, never sit down.",
) -> PreferencePair:
    return PreferencePair(
        id=name,
        clause="c",
        kind="rule",
        question=question,
        chosen=chosen,
        rejected=rejected,
        origin=ORIGIN,
    )


def held_out(
    name: str,
    question: str,
    reference: str = "Yes, do rest at once.",
    contrast: str | None = "No, never sit down.",
) -> Probe:
    return probe(name, "c", question, reference, contrast)


def curated(
    examples: Sequence[Example] = (),
    pairs: Sequence[PreferencePair] = (),
    probes: Sequence[Probe] = (),
    text: str = TEXT,
    prompts: Sequence[str] = (),
    **choices: float,
) -> Curated:
    document = Document(id="doc", name="doc.md", format="markdown", sha256="0", text=text)
    return curate(
        examples,
        pairs,
        probes,
        [clause("c", "p")],
        [document],
        [passage("p", text)],
        Gains(worth),
        meaning,
        prompts,
        CurateSettings.model_validate(choices),
    )


def reasons(found: Curated) -> list[tuple[str, str]]:
    return [(drop.record_id, drop.reason) for drop in found.dropped]


def test_a_faulty_rejected_answer_takes_the_pair_with_it() -> None:
    found = curated(pairs=[pair("bad", "May I sit down now?", rejected="No, as an AI I stand.")])
    assert reasons(found) == [("bad", "speaks as a machine")]


def test_a_training_row_that_is_a_near_twin_of_a_probe_goes_and_the_probe_stays() -> None:
    question = "May I sit down when the long watch has ended?"
    found = curated(
        examples=[example("e", question + " Please?")],
        pairs=[pair("p", question.upper())],
        probes=[held_out("q", question)],
    )
    assert [row.id for row in found.probes] == ["q"]
    assert not found.examples
    assert not found.pairs
    assert reasons(found) == [("p", "near twin of a probe"), ("e", "near twin of a probe")]
    assert all(drop.detail.startswith("q: ") for drop in found.dropped)


def test_near_duplicates_are_sought_within_a_kind_only() -> None:
    question = "May I sit down when the long watch has ended?"
    found = curated(
        examples=[example("e1", question), example("e2", question + "!")],
        pairs=[pair("p1", question)],
    )
    assert reasons(found) == [("e2", "near duplicate")]
    assert [row.id for row in found.pairs] == ["p1"]


@pytest.mark.parametrize(("threshold", "kept"), [(0.4, 1), (0.55, 2), (1.0, 2)])
def test_the_threshold_is_the_exact_jaccard_similarity(threshold: float, kept: int) -> None:
    one = "Why do people insist so much on in the dark?"
    other = "Why do people insist so much on kills within minutes?"  # 0.47
    found = curated(examples=[example("e1", one), example("e2", other)], near_duplicate=threshold)
    assert len(found.examples) == kept


def test_the_same_question_twice_is_a_duplicate_at_the_highest_threshold() -> None:
    found = curated(
        examples=[example("e1", "May I sit down now?"), example("e2", "May I sit down, now?")],
        near_duplicate=1.0,
    )
    assert reasons(found) == [("e2", "near duplicate")]


def test_questions_of_one_meaning_are_duplicates_and_probes_come_first() -> None:
    found = curated(
        examples=[
            example("e1", "May I sit down now?"),
            example("e2", "Who is the captain of this ship?"),
            example("e3", "Tell me the captain's name, please?"),
        ],
        pairs=[pair("p", "Whose ship is it, captain?")],
        probes=[held_out("q1", "Is it all right to sit?"), held_out("q2", "So, shall we sit?")],
    )
    assert reasons(found) == [
        ("q2", "semantic duplicate"),
        ("e1", "semantic twin of a probe"),
        ("e3", "semantic duplicate"),
    ]
    assert found.dropped[1].detail == "q1: May I sit down now?"
    assert [row.id for row in found.pairs] == ["p"]  # an example may have the question of a pair


def test_at_one_questions_are_not_embedded() -> None:
    found = curated(
        examples=[example("e1", "May I sit down now?"), example("e2", "Is it all right to sit?")],
        semantic_duplicate=1,
    )
    assert len(found.examples) == 2


def test_the_worked_examples_of_the_prompts_must_not_come_back() -> None:
    rows = [example("e", "May I sit in the Blue Lantern Inn?")]
    prompts = ["Rule (Blue Lantern Inn, Rest): Guests may sit."]
    assert reasons(curated(rows, prompts=prompts)) == [("e", "echo of the prompt")]
    assert not curated(rows).dropped
    assert not curated(rows, prompts=prompts, text=TEXT + " Blue Lantern Inn.").dropped


def test_an_answer_that_the_passage_does_not_make_likelier_goes() -> None:
    rows = [
        example("good", "May I sit down now?", "Yes, do rest at once."),
        example("bad", "Who is the captain of this ship?", "My guess is old Ned."),
        example("lost", "Is the water cold in spring?", "lost in the files"),
    ]
    found = curated(examples=rows)
    assert [row.id for row in found.examples] == ["good"]
    assert reasons(found) == [("bad", "answer not grounded"), ("lost", "could not be scored")]
    strict = curated(examples=rows, min_grounding=1.0)
    assert not strict.examples
    lenient = curated(examples=rows, min_grounding=-2.0)
    assert [row.id for row in lenient.examples] == ["good", "bad"]


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        ("Yes, do rest at once.", "No, never rest at all.", "answers not told apart"),
        ("Yes, do rest at once.", "lost without a trace", "could not be scored"),
        ("My guess is a yes.", "No, never sit down.", "answer not grounded"),
        ("Yes, rest.", "No, " + "you go on pulling that heavy oar " * 2, "too short"),
        (
            "Yes, do rest at once.",
            "No, go on with your work until somebody comes and tells you to stop it.",
            "answers of unlike length",
        ),
    ],
)
def test_a_pair_must_differ_in_the_value(chosen: str, rejected: str, reason: str) -> None:
    found = curated(pairs=[pair("p", "May I sit down now?", chosen, rejected)])
    assert not found.pairs
    assert reasons(found) == [("p", reason)]


@pytest.mark.parametrize(
    ("contrast", "reason"),
    [
        ("No, never rest at all.", "contrast left out: answers not told apart"),
        ("lost without a trace", "contrast left out: could not be scored"),
        (
            "No, pull that heavy oar on and on past the island, the light and the long bank.",
            "contrast left out: answers of unlike length",
        ),
    ],
)
def test_a_contrast_that_is_not_told_apart_goes_and_the_probe_stays(
    contrast: str, reason: str
) -> None:
    found = curated(probes=[held_out("q", "May I sit down now?", contrast=contrast)])
    assert reasons(found) == [("q", reason)]
    [kept] = found.probes
    assert kept.contrast is None
    assert kept.reference == "Yes, do rest at once."


def test_a_question_that_turned_on_its_clause_needs_no_other_proof() -> None:
    good, bad = "Yes, do rest at once.", "No, never rest at all."
    shown = replace(pair("p", "May I sit down now?", good, bad), turn=1.5)
    found = curated(
        pairs=[shown],
        probes=[replace(held_out("q", "When does the crew rest?", contrast=bad), turn=2.0)],
    )
    assert found.pairs == [shown]
    assert [probe.contrast for probe in found.probes] == [bad]
    longer = replace(shown, rejected="No, go on with your work until somebody tells you to stop.")
    assert reasons(curated(pairs=[longer])) == [("p", "answers of unlike length")]


def test_a_contrast_with_a_fault_of_its_own_goes_and_the_probe_stays() -> None:
    echo = "No. Question: may I rest? Answer: never."
    found = curated(probes=[held_out("q", "May I sit down now?", contrast=echo)])
    assert reasons(found) == [("q", "contrast left out: echo of the prompt")]
    assert [probe.contrast for probe in found.probes] == [None]


def test_a_probe_without_contrast_needs_none() -> None:
    found = curated(probes=[held_out("q", "May I sit down now?", contrast=None)])
    assert found.probes
    assert not found.dropped


QUESTIONS = st.sampled_from(
    [
        "May I sit down now?",
        "May I sit down now, please?",
        "What does the text say of rest?",
        "Who is the captain of this ship?",
        "Is the water cold in spring?",
        "Rest?",
    ]
)
ANSWERS = st.sampled_from(
    [
        "Yes, do rest at once.",
        "My guess is old Ned.",
        "lost in the files",
        "No, never sit down.",
        "As an AI, I cannot say.",
        "You may, " + "if the mate on watch agrees " * 2,
    ]
)


@settings(max_examples=20)  # each curates twice
@given(
    examples=st.lists(st.tuples(QUESTIONS, ANSWERS), max_size=6),
    pairs=st.lists(
        st.tuples(QUESTIONS, ANSWERS, ANSWERS).filter(lambda row: row[1] != row[2]), max_size=6
    ),
    probes=st.lists(
        st.tuples(QUESTIONS, ANSWERS, st.none() | ANSWERS).filter(lambda row: row[1] != row[2]),
        max_size=6,
    ),
)
def test_every_row_is_kept_or_dropped_once(
    examples: list[tuple[str, str]],
    pairs: list[tuple[str, str, str]],
    probes: list[tuple[str, str, str | None]],
) -> None:
    rows = {
        "e": [example(f"e{number}", *row) for number, row in enumerate(examples)],
        "p": [pair(f"p{number}", *row) for number, row in enumerate(pairs)],
        "q": [held_out(f"q{number}", *row) for number, row in enumerate(probes)],
    }
    found = curated(rows["e"], rows["p"], rows["q"])
    notes = [drop for drop in found.dropped if drop.reason.startswith("contrast left out")]
    gone = [drop.record_id for drop in found.dropped if drop not in notes]
    for name, kept in (("e", found.examples), ("p", found.pairs), ("q", found.probes)):
        dropped = [row for row in gone if row.startswith(name)]
        assert sorted(dropped + [row.id for row in kept]) == sorted(row.id for row in rows[name])
        order = [row.id for row in rows[name]]
        assert [row.id for row in kept] == sorted((row.id for row in kept), key=order.index)
    # A probe that lost its contrast may go later for a reason of its own.
    assert {note.record_id for note in notes} - set(gone) == {
        row.id
        for row in found.probes
        if row.contrast is None and rows["q"][int(row.id[1:])].contrast is not None
    }
    assert found == curated(rows["e"], rows["p"], rows["q"])
