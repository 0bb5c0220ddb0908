import builtins
from dataclasses import replace

import numpy as np
import pytest
from fakes import ORIGIN, FakeEngine, passage

from adhere.embedding import embedder
from adhere.errors import MissingExtraError
from adhere.evaluate.retrieval import COUNTS, Retrieved, Retriever, tuned
from adhere.progress import NoProgress
from adhere.records import Example

TOPICS = ("gift", "travel", "press")


def topics(texts):
    counts = np.array([[text.count(topic) + 1e-6 for topic in TOPICS] for text in texts])
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


PASSAGES = [
    passage("m", "the press calls"),
    passage("t", "travel by train"),
    passage("g", "no gift, not one gift, on travel"),
]


def found(questions, passages=PASSAGES, embed=topics):
    return [[each.id for each in row] for row in Retriever(passages, embed).ranked(questions)]


def alike(texts):
    """An embedding that tells nothing apart."""
    return np.ones((len(texts), 1))


def test_the_nearest_passages_come_first():
    assert found(["a gift? a gift from travel?", "travel?"]) == [["g", "t", "m"], ["t", "g", "m"]]


def test_a_rare_word_decides_where_the_meaning_does_not():
    assert found(["who calls?"], embed=alike) == [["m", "t", "g"]]
    assert found(["TRAIN!"], embed=alike) == [["t", "m", "g"]]


def test_meaning_decides_where_no_word_is_shared():
    def meaning(texts):
        return np.array(
            [[1.0, 0.0] if "gift" in text or "euro" in text else [0.0, 1.0] for text in texts]
        )

    assert found(["euros?"], embed=meaning)[0][0] == "g"


def test_both_rankings_count():
    # By meaning m, t, g; by words g alone: 1/61 + 0 for m, 1/63 + 1/61 for g.
    def meaning(texts):
        rank = {"the press calls": 3.0, "travel by train": 2.0}
        return np.array([[rank.get(text, 1.0)] for text in texts])

    assert found(["gift"], embed=meaning) == [["g", "m", "t"]]


def test_nothing_to_ask_or_to_find():
    assert found([]) == []
    assert found(["a gift?"], passages=[]) == [[]]
    assert found(["?!"], passages=[passage("x", "...")]) == [["x"]]


def render(texts):
    return "".join(f"{text}\n" for text in texts)


def test_what_is_read_is_the_best_passages_in_their_order():
    read = Retrieved(retriever=Retriever(PASSAGES, topics), count=2, render=render)
    found = read({"q1": "travel?", "q2": "the press?"})
    assert {name: one.text for name, one in found.items()} == {
        "q1": "travel by train\nno gift, not one gift, on travel\n",
        "q2": "the press calls\ntravel by train\n",
    }
    assert {name: one.passages for name, one in found.items()} == {
        "q1": ("t", "g"),
        "q2": ("m", "t"),
    }


MANY = [passage(f"s{i}", f"press travel gift word{i} thing{i}") for i in range(6)]
HOME = {f"c{i}": f"s{i}" for i in range(6)}


def example(number, question, answer):
    return Example(
        id=f"e{number}",
        clause=f"c{number}",
        kind="rule",
        question=question,
        answer=answer,
        origin=ORIGIN,
    )


def test_the_number_of_passages_is_what_makes_training_answers_likeliest():
    # The question's words rank s0, s1, s2 ...; only s2, read third, holds the answer.
    class Distracted(FakeEngine):
        """Loses a little with every passage that it reads."""

        def score(self, requests):
            lengths = {request.id: len(request.prefix.splitlines()) for request in requests}
            for score in super().score(requests):
                yield replace(score, logprob=score.logprob - 0.1 * lengths[score.id])

    examples = [example(2, "word0 word1 word2", "thing2")]
    tuning = tuned(Retriever(MANY, alike), examples, HOME, Distracted("base"), render, NoProgress())
    assert tuning.count == 3
    assert tuning.questions == 1
    assert tuning.likelihood == pytest.approx({1: -3.1, 2: -3.2, 3: -0.8, 5: -1.0})
    assert tuning.recall == {1: 0, 2: 0, 3: 1, 5: 1}


def test_at_most_48_training_questions_are_read_and_the_same_ones_again():
    engine = FakeEngine("base")
    examples = [
        replace(example(n % 6, f"word{n % 6}", f"answer{n}"), id=f"e{n}") for n in range(100)
    ]
    tuning = tuned(Retriever(MANY, alike), examples, HOME, engine, render, NoProgress())
    assert tuning.questions == 48
    assert len(engine.scored) == 48 * len(COUNTS)
    assert (
        tuned(Retriever(MANY, alike), examples[::-1], HOME, engine, render, NoProgress()) == tuning
    )


def test_a_number_of_passages_that_does_not_fit_is_not_chosen():
    class Short(FakeEngine):
        def score(self, requests):
            for score in super().score(requests):
                request = next(one for one in self.scored if one.id == score.id)
                fits = len(request.prefix.splitlines()) < 3
                yield score if fits else replace(score, error="does not fit")

    examples = [example(2, "word0 word1 word2", "thing2")]
    tuning = tuned(Retriever(MANY, alike), examples, HOME, Short("base"), render, NoProgress())
    assert tuning.count == 1
    assert set(tuning.likelihood) == {1, 2}
    nothing = tuned(Retriever(MANY, alike), [], HOME, Short("base"), render, NoProgress())
    assert (nothing.count, nothing.questions, nothing.likelihood) == (1, 0, {})


def test_without_sentence_transformers_the_remedy_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "sentence_transformers":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'adhere\[train\]'"):
        embedder("all-minilm-l6-v2", NoProgress())


@pytest.mark.model
def test_the_real_embedder_finds_the_right_passage():
    embed = embedder("all-minilm-l6-v2", NoProgress())
    vectors = embed(["one", "two words"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert found(["May I accept a present from a supplier?"], embed=embed)[0][0] == "g"
