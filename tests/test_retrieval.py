import builtins

import numpy as np
import pytest
from fakes import passage

from adhere.embedding import embedder
from adhere.errors import MissingExtraError
from adhere.evaluate.retrieval import retrieve
from adhere.progress import NoProgress

TOPICS = ("gift", "travel", "press")


def topics(texts):
    counts = np.array([[text.count(topic) + 1e-6 for topic in TOPICS] for text in texts])
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


PASSAGES = [
    passage("m", "the press calls"),
    passage("t", "travel by train"),
    passage("g", "no gift, not one gift, on travel"),
]


def test_the_nearest_passages_come_nearest_first():
    found = retrieve(["a gift? a gift from travel?", "travel?"], PASSAGES, topics, 2)
    assert [[each.id for each in row] for row in found] == [["g", "t"], ["t", "g"]]


def test_asking_for_more_passages_than_there_are_gives_all():
    (row,) = retrieve(["gift gift travel?"], PASSAGES, topics, 10)
    assert [each.id for each in row] == ["g", "t", "m"]


def test_nothing_to_ask_or_to_find():
    assert retrieve([], PASSAGES, topics, 2) == []
    assert retrieve(["a gift?"], [], topics, 2) == [[]]


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
    (row,) = retrieve(["May I accept a present from a supplier?"], PASSAGES, embed, 1)
    assert row[0].id == "g"
