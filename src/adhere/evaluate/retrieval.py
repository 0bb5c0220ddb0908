"""Finding the passages that `base+rag` reads: cosine similarity to the question alone."""

from collections.abc import Sequence

import numpy as np

from adhere.embedding import Embed
from adhere.records import Passage


def retrieve(
    questions: Sequence[str], passages: Sequence[Passage], embed: Embed, count: int
) -> list[list[Passage]]:
    """For each question the `count` passages nearest to it, nearest first."""
    if not questions or not passages:
        return [[] for _ in questions]
    similarity = embed(questions) @ embed([passage.text for passage in passages]).T
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return [[passages[int(place)] for place in row] for row in nearest]
