"""The documents' own text as rows, and what an opponent may spend on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

from adhere.train.rows import Row

SHORTEST_WINDOW = 16
"""Tokens. In a shorter window there is little to predict from; the bound is ours."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What other trainings spent, for a training that is compared with them."""

    steps: int
    """Of the optimiser."""
    tokens: int
    """Trained on."""

    def window(self, batch_size: int, longest: int) -> int:
        """The length of window at which `steps` steps read about `tokens` tokens."""
        fair = round(self.tokens / self.steps / batch_size)
        return min(max(fair, SHORTEST_WINDOW), longest)


def windows(texts: Sequence[str], tokenizer: Any, longest: int) -> list[Row]:
    """Every token of the texts once, cut into even windows of at most `longest`, shortest first.

    A text ends with the tokenizer's end token; no window reaches over two texts.
    """
    rows: list[Row] = []
    for text in texts:
        tokens = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
        count = ceil(len(tokens) / longest)
        bounds = [len(tokens) * place // count for place in range(count + 1)]
        cut = [tokens[start:end] for start, end in pairwise(bounds)]
        rows += [{"input_ids": window, "length": len(window)} for window in cut]
    return sorted(rows, key=lambda row: row["length"])
