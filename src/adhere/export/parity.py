"""Does an exported file give the answers that the trained model gave?

The same prompts, as the same tokens, go through what was trained (the student under its
adapter, or the checkpoint that full tuning left) and through what was exported, each greedily
and in float32. Rounding the sum of weights and adapter moves every logit a little, so two
tokens that are nearly as likely may change places, and all that follows differs. Such a parting
is allowed where the trained model itself finds the other token less likely by no more than a
bound; any other is an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adhere.errors import EngineError

Tokens = list[int]

NEAR_TIE: Mapping[str, float] = {"safetensors": 0.1, "f16": 0.1, "q8_0": 0.3}
"""Format -> nats by which the trained model may prefer its own token where a file parts from it.

Our choice: the other token is then at least 90 per cent as likely, 74 at 8 bits.
"""
_BATCH = 12
"""Prompts that are asked together."""
_ALTERNATIVES = 50
"""Tokens a position that are remembered; a less likely one is no near tie."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt of the check."""

    id: str
    """Of the probe."""
    question: str
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Reference:
    """The trained model's greedy answer, and at each position token -> log-probability."""

    tokens: Tokens
    alternatives: Sequence[Mapping[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """Where a file's answer leaves the trained model's: the first token that differs."""

    probe: str
    question: str
    position: int
    expected: str
    found: str
    gap: float
    """Nats by which the trained model prefers its own token (at least)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How one exported file answered."""

    file: str
    format: str
    prompts: int
    same: int
    """Answers that are the same to the last token."""
    tokens: int
    """Tokens of the trained model's answers."""
    bound: float
    """The gap up to which a parting is a near tie, in nats."""
    partings: tuple[Parting, ...]

    @property
    def fault(self) -> str:
        """The first parting that is no near tie, in words; empty where there is none."""
        wide = next((one for one in self.partings if one.gap > self.bound), None)
        if wide is None:
            return ""
        return (
            f"to the probe {wide.probe} (“{wide.question}”) it parts from the trained model's "
            f"answer at token {wide.position + 1}, “{wide.found}” for “{wide.expected}”, which "
            f"the trained model finds {wide.gap:.2f} nats likelier (rounding explains up to "
            f"{self.bound})"
        )

    def require(self) -> None:
        """Raise EngineError where there is a fault."""
        if self.fault:
            raise EngineError(
                f"{self.file} does not answer as the trained model does: {self.fault}. "
                "Nothing was exported."
            )


class Check:
    """The trained model's own answers, to compare others with.

    `ends` are the tokens that end an answer, `limit` the most tokens of one.
    """

    def __init__(
        self, trained: Any, tokenizer: Any, ends: Sequence[int], asked: Sequence[Asked], limit: int
    ) -> None:
        self.asked = asked
        self._tokenizer = tokenizer
        self._ends = list(ends)
        self._limit = limit
        self._references = [
            Reference(self._cut(tokens), [self._likeliest(row) for row in logits])
            for tokens, logits in self._generate(trained)
        ]

    def checkpoint(self, folder: Path) -> Parity:
        """An exported checkpoint, as transformers reads it back."""
        import torch
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        return self.model("model.safetensors", model)

    def model(self, name: str, model: Any) -> Parity:
        """A transformers model."""
        answers = [tokens for tokens, _ in self._generate(model)]
        return self._compare(name, "safetensors", answers)

    def gguf(self, file: Path, kind: str) -> Parity:
        """A GGUF file, as OpenVINO GenAI reads it; EngineError where it cannot."""
        answers = openvino_answers(file, self.asked, self._ends, self._limit)
        return self._compare(file.name, kind, answers)

    def _compare(self, file: str, kind: str, answers: Sequence[Tokens]) -> Parity:
        partings = [
            self._parting(one, reference, self._cut(answer))
            for one, reference, answer in zip(self.asked, self._references, answers, strict=True)
        ]
        return Parity(
            file=file,
            format=kind,
            prompts=len(partings),
            same=partings.count(None),
            tokens=sum(len(reference.tokens) for reference in self._references),
            bound=NEAR_TIE[kind],
            partings=tuple(one for one in partings if one),
        )

    def _parting(self, asked: Asked, reference: Reference, answer: Tokens) -> Parting | None:
        pairs = zip(reference.tokens, answer, strict=False)  # both end where one ends
        at = next((place for place, (a, b) in enumerate(pairs) if a != b), None)
        if at is None:
            return None
        known = reference.alternatives[at]
        expected, found = reference.tokens[at], answer[at]
        return Parting(
            probe=asked.id,
            question=asked.question,
            position=at,
            expected=self._tokenizer.decode([expected]),
            found=self._tokenizer.decode([found]),
            gap=known[expected] - known.get(found, min(known.values())),
        )

    def _cut(self, tokens: Tokens) -> Tokens:
        """Up to the first end, which is written as `ends[0]` and put where an engine drops it."""
        at = next((place for place, token in enumerate(tokens) if token in self._ends), None)
        if at is None:
            return tokens if len(tokens) >= self._limit else [*tokens, self._ends[0]]
        return [*tokens[:at], self._ends[0]]

    def _likeliest(self, logits: Any) -> dict[int, float]:
        values, tokens = logits.float().log_softmax(-1).topk(min(_ALTERNATIVES, len(logits)))
        found: dict[int, float] = {}
        for token, value in zip(tokens.tolist(), values.tolist(), strict=True):
            found.setdefault(self._ends[0] if token in self._ends else token, value)
        return found

    def _generate(self, model: Any) -> Iterator[tuple[Tokens, Sequence[Any]]]:
        """Each greedy answer with the logits of its positions; batches padded on the left."""
        import torch
        from transformers import GenerationConfig

        config = GenerationConfig(
            max_new_tokens=self._limit,
            do_sample=False,
            eos_token_id=self._ends,
            pad_token_id=self._ends[0],
            repetition_penalty=1.0,
            output_logits=True,
            return_dict_in_generate=True,
        )
        for start in range(0, len(self.asked), _BATCH):
            prompts = [one.tokens for one in self.asked[start : start + _BATCH]]
            width = max(map(len, prompts))
            padding = [[self._ends[0]] * (width - len(prompt)) for prompt in prompts]
            mask = [[0] * len(pad) + [1] * (width - len(pad)) for pad in padding]
            with torch.inference_mode():
                output = model.generate(
                    input_ids=torch.tensor([a + b for a, b in zip(padding, prompts, strict=True)]),
                    attention_mask=torch.tensor(mask),
                    generation_config=config,
                )
            for row, sequence in enumerate(output.sequences[:, width:].tolist()):
                yield sequence, [step[row] for step in output.logits]


def openvino_answers(
    gguf: Path, asked: Sequence[Asked], ends: Sequence[int], limit: int
) -> list[Tokens]:
    """What OpenVINO GenAI answers from the GGUF file, in float32.

    Raises EngineError where it cannot read the file.
    """
    import openvino
    import openvino_genai

    from adhere.engines.openvino_model import first_line, require_readable

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = limit
    config.stop_token_ids = set(ends)
    exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    try:
        require_readable(gguf)
        pipeline = openvino_genai.ContinuousBatchingPipeline(
            gguf, openvino_genai.SchedulerConfig(), "CPU", exact
        )
    except (EngineError, RuntimeError, IndexError, ValueError) as error:
        raise EngineError(f"OpenVINO GenAI cannot read it: {first_line(error)}") from error
    prompts = [openvino.Tensor(np.array([one.tokens], np.int64)) for one in asked]
    results = pipeline.generate(prompts, [config] * len(prompts))
    return [list(result.m_generation_ids[0]) for result in results]


def openvino_tokens(gguf: Path, questions: Sequence[str]) -> list[Tokens]:
    """Each question as a chat, in the tokens that GenAI makes of it by the GGUF file alone.

    Raises EngineError where it cannot use the file's tokenizer or chat template.
    """
    import openvino_genai

    from adhere.engines.openvino_model import first_line

    try:
        tokenizer = openvino_genai.Tokenizer(gguf)
        chats = [[{"role": "user", "content": question}] for question in questions]
        texts = [tokenizer.apply_chat_template(chat, add_generation_prompt=True) for chat in chats]
        found = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    except RuntimeError as error:
        raise EngineError(f"OpenVINO GenAI cannot write a chat: {first_line(error)}") from error
    return [one.input_ids.data[0].tolist() for one in found]
