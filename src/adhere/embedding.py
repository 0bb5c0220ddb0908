"""Sentence embeddings: texts -> vectors whose dot product is their cosine similarity."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from adhere.errors import MissingExtraError
from adhere.models import checkpoint_folder
from adhere.progress import Progress

FloatArray = NDArray[np.float64]
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
