"""The passages that a system reads before a question: found by meaning and by words.

Retrieval is an opponent of training and must be a fair one: an embedding ranks the
passages by meaning, BM25 by words (bm25s: Lù 2024, arXiv 2407.03618), and the two are
fused by reciprocal rank. How many passages are read is chosen on training questions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from adhere.embedding import Embed, FloatArray
from adhere.engines.base import Engine
from adhere.evaluate.reading import Reading
from adhere.grounding import score_all, score_request
from adhere.progress import Progress
from adhere.records import Example, Passage
from adhere.text import words

COUNTS = (1, 2, 3, 5)
"""Numbers of passages that are tried."""
QUESTIONS = 48
"""Training questions that they are tried on."""

_FUSION = 60
"""Softens the lead of the first ranks (Cormack, Clarke and Büttcher 2009 use 60)."""

Render = Callable[[Sequence[str]], str]
"""Texts -> what is put before a question that they help with."""


class Retriever:
    """Ranks the passages of a document by how well they fit a question."""

    def __init__(self, passages: Sequence[Passage], embed: Embed) -> None:
        from bm25s import BM25

        self.passages = tuple(passages)
        self._embed = embed
        self._vectors = embed([passage.text for passage in passages]) if passages else None
        self._index: Any = BM25()
        if passages:
            tokens = [words(passage.text) or [""] for passage in passages]
            self._index.index(tokens, show_progress=False)

    def ranked(self, questions: Sequence[str]) -> list[list[Passage]]:
        """For each question all passages, the best first."""
        if self._vectors is None or not questions:
            return [[] for _ in questions]
        similarities = self._embed(questions) @ self._vectors.T
        fused = [
            _reciprocal(similarity) + self._by_words(question)
            for question, similarity in zip(questions, similarities, strict=True)
        ]
        return [[self.passages[place] for place in _best_first(scores)] for scores in fused]

    def _by_words(self, question: str) -> FloatArray:
        """Reciprocal ranks by BM25; 0 where no word of the question stands in the passage."""
        tokens = self._index.get_tokens_ids(words(question))
        scores = np.asarray(self._index.get_scores_from_ids(tokens), dtype=np.float64)
        return np.where(scores > 0, _reciprocal(scores), 0.0)


def _best_first(scores: FloatArray) -> list[int]:
    return np.argsort(-scores, kind="stable").tolist()


def _reciprocal(scores: FloatArray) -> FloatArray:
    """1 / (60 + rank) of each score, the highest of rank 1."""
    reciprocal = np.empty(len(scores))
    reciprocal[_best_first(scores)] = 1 / (_FUSION + 1 + np.arange(len(scores)))
    return reciprocal


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """Reads the `count` best passages before each question."""

    retriever: Retriever
    count: int
    render: Render

    def __call__(self, questions: Mapping[str, str]) -> dict[str, Reading]:
        return {
            name: Reading(
                text=self.render([passage.text for passage in passages]),
                passages=tuple(passage.id for passage in passages),
            )
            for name, passages in self.passages(questions).items()
        }

    def passages(self, questions: Mapping[str, str]) -> dict[str, list[Passage]]:
        """The passages themselves, the best first."""
        ranked = self.retriever.ranked(list(questions.values()))
        return {
            name: passages[: self.count] for name, passages in zip(questions, ranked, strict=True)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the number of passages was chosen."""

    count: int
    questions: int
    likelihood: Mapping[int, float]
    """Number of passages -> mean log-likelihood of the training answers, nats a token."""
    recall: Mapping[int, float]
    """Number of passages -> share of the questions whose own passage was among them."""


def tuned(
    retriever: Retriever,
    examples: Sequence[Example],
    home: Mapping[str, str],
    engine: Engine,
    render: Render,
    progress: Progress,
) -> Tuning:
    """The number of passages with which the model finds training answers likeliest.

    Probes have no part in it. `home`: clause id -> id of the clause's passage. A number
    whose passages do not fit the model's context with every question is not chosen; 1 if
    none does.
    """
    chosen = sorted(examples, key=lambda example: Random(f"retrieval:{example.id}").random())
    chosen = chosen[:QUESTIONS]
    ranked = retriever.ranked([example.question for example in chosen])
    places = [
        [passage.id for passage in passages].index(home[example.clause])
        for example, passages in zip(chosen, ranked, strict=True)
    ]
    requests = {
        (count, example.id): score_request(
            render([passage.text for passage in passages[:count]]),
            example.question,
            example.answer,
            chat=True,
        )
        for count in COUNTS
        for example, passages in zip(chosen, ranked, strict=True)
    }
    scores = score_all(engine, list(requests.values()), "retrieval: training questions", progress)
    likelihood: dict[int, float] = {}
    for count in COUNTS:
        found = [scores[requests[count, example.id].id] for example in chosen]
        if found and all(score.error is None for score in found):
            likelihood[count] = float(np.mean([score.mean for score in found]))
    return Tuning(
        count=max(likelihood, key=likelihood.__getitem__, default=1),
        questions=len(chosen),
        likelihood=likelihood,
        recall={
            count: sum(place < count for place in places) / max(len(places), 1) for count in COUNTS
        },
    )
