"""`rows.md`: what a training is about to learn, for a person to look at before it is believed.

It is read off the rows that TRL made, not off those that it was given: the mask that is
shown is the mask that is trained with.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from adhere.errors import EngineError
from adhere.records import Dropped
from adhere.store import count_reasons

_QUANTILES = (("shortest", 0.0), ("10 %", 0.1), ("median", 0.5), ("90 %", 0.9), ("longest", 1.0))
_SHOWN = (0.0, 0.5, 1.0)
"""Which rows are shown, by their place in the order of lengths."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One sequence of tokens as it is trained on."""

    name: str
    """What it is: text, completion, chosen or rejected."""
    tokens: list[int]
    learned: list[bool]
    """Whether the loss is over this token."""


def sequences(row: dict[str, Any]) -> Iterator[Sequence]:
    """The sequences of one row of a trainer's dataset."""
    if "labels" in row:
        yield Sequence("text", row["input_ids"], [label != -100 for label in row["labels"]])
        return
    prompt = row["prompt_ids"]
    for name in ("chosen", "rejected", "completion"):
        if f"{name}_ids" in row:
            answer = row[f"{name}_ids"]
            mask = [False] * len(prompt) + [True] * len(answer)
            label = f" ({'good' if row['label'] else 'bad'})" if "label" in row else ""
            yield Sequence(name + label, prompt + answer, mask)


def preview(stage: str, rows: Any, tokenizer: Any, dropped: list[Dropped], held_out: int) -> str:
    """The page. `rows`: the trainer's dataset; `held_out`: how many rows are.

    Raises EngineError where a sequence has nothing to learn.
    """
    found = sorted((one for row in rows for one in sequences(row)), key=lambda one: len(one.tokens))
    empty = sum(1 for one in found if not any(one.learned))
    if empty:
        raise EngineError(
            f"{stage}: {empty} of {len(found)} sequences have nothing to learn: the chat "
            "template puts the answer where the loss is not. Use an instruct model whose "
            "template ends with the assistant's turn."
        )
    shown = [found[round(place * (len(found) - 1))] for place in _SHOWN]
    counts = f"{len(rows)} rows to train on, {held_out} held out for the loss in training."
    head = _head(stage, found, dropped, counts)
    return "\n".join([head, *(_shown(one, tokenizer) for one in shown)])


def _head(stage: str, found: list[Sequence], dropped: list[Dropped], counts: str) -> str:
    drops = ", ".join(f"{count} {why}" for why, count in count_reasons(dropped).items())
    names = " | ".join(name for name, _ in _QUANTILES)
    lengths = _row("tokens", [len(one.tokens) for one in found])
    learned = _row("of them learned", [sum(one.learned) for one in found])
    return (
        f"# What `{stage}` trains on\n\n"
        f"{counts} Dropped: {drops or 'nothing'}.\n\n"
        f"| a sequence of tokens | {names} |\n|---|{'---|' * len(_QUANTILES)}\n"
        f"{lengths}\n{learned}\n\n"
        "Three sequences follow, by length. The loss is over what stands between ⟦ and ⟧.\n"
    )


def _row(name: str, values: list[int]) -> str:
    cells = np.quantile(values, [share for _, share in _QUANTILES], method="nearest")
    return f"| {name} | {' | '.join(str(int(cell)) for cell in cells)} |"


def _shown(one: Sequence, tokenizer: Any) -> str:
    text = ""
    for learned, run in groupby(zip(one.tokens, one.learned, strict=True), lambda pair: pair[1]):
        said = tokenizer.decode([token for token, _ in run])
        text += f"⟦{said}⟧" if learned else said
    return f"## {one.name}, {len(one.tokens)} tokens\n\n~~~~text\n{text}\n~~~~\n"
