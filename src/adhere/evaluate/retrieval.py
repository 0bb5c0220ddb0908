"""Finding the passages that `base+rag` reads: cosine similarity to the question alone."""

from collections.abc import Callable, Sequence

import numpy as np

from adhere.errors import MissingExtraError
from adhere.evaluate.statistics import FloatArray
from adhere.models import checkpoint_folder
from adhere.progress import Progress
from adhere.records import Passage

Embed = Callable[[Sequence[str]], FloatArray]
"""Texts -> their embeddings, shape (n, d), each of length 1."""


def embedder(name: str, progress: Progress) -> Embed:
    """The sentence-embedding model `name`: a catalogue name, a local folder or a hub repository.

    Raises MissingExtraError where sentence-transformers is not installed, and what
    `checkpoint_folder` raises for a name that it does not know.
    """
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError(
            "Embeddings need sentence-transformers: pip install 'adhere[train]'."
        ) from error
    logging.disable_progress_bar()  # adhere shows its own progress
    model = SentenceTransformer(str(checkpoint_folder(name, progress)))

    def embed(texts: Sequence[str]) -> FloatArray:
        vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float64)

    return embed


def retrieve(
    questions: Sequence[str], passages: Sequence[Passage], embed: Embed, count: int
) -> list[list[Passage]]:
    """For each question the `count` passages nearest to it, nearest first."""
    if not questions or not passages:
        return [[] for _ in questions]
    similarity = embed(questions) @ embed([passage.text for passage in passages]).T
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return [[passages[int(place)] for place in row] for row in nearest]
