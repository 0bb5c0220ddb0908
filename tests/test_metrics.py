import numpy as np
import pytest
from fakes import FakeEngine, probe
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from adhere.evaluate.likelihood import reference_likelihoods
from adhere.evaluate.metrics import (
    answer_values,
    embedding_similarity,
    grounding_values,
    likelihood_values,
    rouge_l,
)
from adhere.evaluate.reading import Reading
from adhere.evaluate.systems import System
from adhere.grounding import Grounded, Grounding
from adhere.progress import NoProgress
from adhere.records import Answer, Score
from adhere.text import words


def letters(texts):
    """Embeddings by counted letters: crude, but cosine behaves."""
    counts = np.array(
        [[text.lower().count(letter) + 1e-9 for letter in "abcdeotx"] for text in texts]
    )
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_on_ascii_words_are_those_of_rouge_score(text):
    assert words(text) == DefaultTokenizer().tokenize(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Größe, nicht Stärke!", ["grösse", "nicht", "stärke"]),
        ("не бери подарков", ["не", "бери", "подарков"]),
        ("不得受贿", ["不", "得", "受", "贿"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("use GPT-4 now", ["use", "gpt", "4", "now"]),
        ("", []),
    ],
)
def test_words_of_other_scripts(text, expected):
    assert words(text) == expected


def test_rouge_l_known_values():
    # Lin 2004: LCS "police the gunman" against a reference and an answer of 4 words each.
    assert rouge_l([("police kill the gunman", "police killed the gunman")]) == [0.75]
    assert rouge_l([("", "police"), ("dogs", "cats"), ("不得受贿", "不得行贿")]) == [0.0, 0.0, 0.75]


def test_embedding_similarity_embeds_each_text_once():
    seen = []

    def embed(texts):
        seen.extend(texts)
        return letters(texts)

    same, different, empty = embedding_similarity(
        [("abc", "abc"), ("xxx", "abc"), ("", "abc")], embed
    )
    assert same == pytest.approx(1.0)
    assert different < 0.1
    assert empty == 0.0
    assert sorted(seen) == ["", "abc", "xxx"]
    assert embedding_similarity([], embed) == []


def test_reference_and_contrast_are_scored_in_the_chat_form_after_the_context():
    engine = FakeEngine("student")
    engine.favourites = {"report", "it", "no"}
    probes = [
        probe("p1", "c1", "A gift came?", "report it", "hide everything"),
        probe("p2", "c1", "Lost?", "unscorable", "report"),
        probe("p3", "c2", "Late?", "say so"),
        probe("p4", "c2", "May I?", "No, never", "Yes, always"),
        probe("p5", "c3", "Darf ich?", "Nein, nie"),
    ]
    found, dropped = reference_likelihoods(
        System(name="rag", engine=engine),
        probes,
        {"p3": Reading(text="Always say so.\n\n")},
        {"c1": "en", "c2": "en", "c3": "de"},
        NoProgress(),
    )
    assert likelihood_values(found["p1"]) == {
        "reference_nll": 0.5,
        "preference_accuracy": 1.0,
        "preference_margin": 2.5,
    }
    assert likelihood_values(found["p2"]) == {}
    assert likelihood_values(found["p3"]) == {"reference_nll": 0.5}
    assert likelihood_values(found["p4"])["yes_no_accuracy"] == 1.0
    assert likelihood_values(found["p5"])["yes_no_accuracy"] == 0.5  # it knows no German
    assert {r.answer for r in engine.scored if r.prompt == "Darf ich?"} == {
        "Nein, nie",
        "Nein",
        "Ja",
    }
    assert [(drop.record_id, drop.reason) for drop in dropped] == [("p2", "no score")]
    assert all(request.chat for request in engine.scored)
    assert {(r.prefix, r.prompt) for r in engine.scored if r.answer == "say so"} == {
        ("Always say so.\n\n", "Late?")
    }


class Syllables(FakeEngine):
    """Every character is a token, and all are equally likely."""

    def score(self, requests):
        for request in requests:
            yield Score(id=request.id, logprob=-len(request.answer), tokens=len(request.answer))


def test_yes_and_no_are_compared_as_wholes():
    found, _ = reference_likelihoods(
        System(name="base", engine=Syllables("student")),
        [probe("p", "c", "いいですか。", "はい、いいです。")],
        {},
        {"c": "ja"},
        NoProgress(),
    )
    assert likelihood_values(found["p"])["yes_no_margin"] == 1  # はい has one less than いいえ


@pytest.mark.parametrize(
    ("contrast", "accuracy", "margin"),
    [("gamma delta eps", 0.5, 0.0), ("gamma report", 0.0, -1.25), ("gamma", 0.5, 0.0)],
)
def test_preference_is_by_the_mean_a_token(contrast, accuracy, margin):
    engine = FakeEngine("student")
    engine.favourites = {"report"}
    found, _ = reference_likelihoods(
        System(name="base", engine=engine),
        [probe("p", "c", "Q?", "alpha beta", contrast)],
        {},
        {"c": "en"},
        NoProgress(),
    )
    values = likelihood_values(found["p"])
    assert (values["preference_accuracy"], values["preference_margin"]) == (accuracy, margin)


def test_grounding_gain_is_what_the_passage_adds():
    teacher = FakeEngine("teacher")
    passage = "Return all gifts at once."
    items = [
        Grounded(passage, "What now?", "return gifts"),
        Grounded(passage, "What now?", "keep them"),
        Grounded(passage, "What now?", ""),
        Grounded(passage, "What now?", "unscorable"),
        Grounded(passage, "What now?", "return them"),
    ]
    grounding = Grounding(teacher, NoProgress())
    assert grounding.gains(items, "test") == [2.5, 0.0, 0.0, None, 1.25]
    assert {request.answer for request in teacher.scored} == {
        " return gifts",
        " keep them",
        " unscorable",
        " return them",
    }
    assert not any(request.chat for request in teacher.scored)


def test_each_answer_is_scored_once_and_requests_of_one_passage_are_adjacent():
    teacher = FakeEngine("teacher")
    grounding = Grounding(teacher, NoProgress())
    items = [Grounded(text, "Q?", answer) for answer in "vw" for text in ("one", "two")]
    assert grounding.gains(items + items, "test") == grounding.gains(items, "test") * 2
    assert len(teacher.scored) == 4 + 2  # with each passage; without one, an answer is one request
    prefixes = [request.prefix for request in teacher.scored]
    assert prefixes == sorted(prefixes)


def test_answers_are_measured_and_failures_are_written_down():
    one = probe("p1", "c1", "What now?", "return gifts")
    answers = [
        Answer(system="base", probe="p1", text="Return gifts!"),
        Answer(system="sft", probe="p1", text=""),
        Answer(system="dpo", probe="p1", text="unscorable"),
    ]
    rows = answer_values(answers, {"p1": one}, letters)
    assert rows[0]["rouge_l"] == 1.0
    assert rows[0]["length"] == 2
    assert rows[1] == {"rouge_l": 0, "embedding_similarity": 0, "length": 0}
    gains, dropped = grounding_values(
        answers,
        {"p1": one},
        {"c1": "Return all gifts."},
        Grounding(FakeEngine("teacher"), NoProgress()),
    )
    assert gains == [{"grounding_gain": 2.5}, {}, {}]
    assert [(drop.record_id, drop.reason) for drop in dropped] == [("p1", "no score")]
    assert "dpo" in dropped[0].detail
