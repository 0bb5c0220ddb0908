"""What a system reads before a question, and how much of the documents fits there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adhere.records import Document, Probe

_AROUND = 256
"""Tokens that the chat template and the prompt's own words may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is put before one question."""

    text: str = ""
    passages: tuple[str, ...] = ()
    """Ids of the passages that were chosen for the question and stand in the text, in order."""


NOTHING = Reading()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDocument:
    """Reads the same text before every question."""

    text: str

    def __call__(self, questions: Mapping[str, str]) -> dict[str, Reading]:
        return dict.fromkeys(questions, Reading(text=self.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOwn:
    """Reads before each question what is known to belong to it."""

    own: Mapping[str, Reading]

    def __call__(self, questions: Mapping[str, str]) -> dict[str, Reading]:
        return {name: self.own[name] for name in questions if name in self.own}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """The beginning of a text that fits a model's context."""

    text: str
    share: float
    """Of the characters of the whole, 0 to 1."""
    context: int
    """Tokens that the model can read at once."""

    def __str__(self) -> str:
        if self.share == 1:
            return "It reads all of the documents."
        return (
            f"It reads the first {self.share:.0%} of the documents: what fits the model's context "
            f"of {self.context:,} tokens beside the question and the answer."
        ).replace("%", " %")


def fitting(
    documents: Sequence[Document], probes: Iterable[Probe], max_tokens: int, checkpoint: Path
) -> Fitting:
    """As much of the documents, in their order, as the model reads before any of the probes.

    Whole lines; `max_tokens` is the room for an answer, and references get theirs too.
    `checkpoint`: a folder with the model's configuration and tokeniser.
    """
    from transformers import AutoConfig, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
    config: Any = AutoConfig.from_pretrained(checkpoint)
    context: int = config.get_text_config().max_position_embeddings
    texts = (
        probe.question + answer
        for probe in probes
        for answer in (probe.reference, probe.contrast)
        if answer is not None
    )
    asked = max((len(tokenizer.encode(text)) for text in texts), default=0)
    room = max(1, context - asked - max_tokens - _AROUND)
    whole = "\n\n".join(document.text.strip() for document in documents)
    cut = tokenizer(
        whole,
        add_special_tokens=False,
        truncation=True,
        max_length=room,
        return_offsets_mapping=True,
    )
    end = cut["offset_mapping"][-1][1]
    text = whole if end >= len(whole) else whole[:end].rpartition("\n")[0] or whole[:end]
    return Fitting(text=text, share=len(text) / len(whole), context=context)
