"""Sampling and stopping row by row in a batch of transformers' `generate`.

`generate` samples a whole batch from one generator, at one temperature, up to one
length. Here each row has its own: a text depends on its request alone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adhere.engines.base import cut_at_stop
from adhere.records import Sampling

if TYPE_CHECKING:
    import torch


class RowSampler:
    """A logits processor after which the greatest logit of a row is a sample of it.

    The Gumbel-max trick: the argmax of log p - log E, with E exponential noise, is
    distributed as p (Gumbel 1954). Rows of temperature 0 stay as they are.
    """

    def __init__(self, samplings: Sequence[Sampling]) -> None:
        import torch

        self._rows = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
        sampled = [samplings[row] for row in self._rows]
        self._temperatures = torch.tensor([sampling.temperature for sampling in sampled])
        self._top_p = torch.tensor([sampling.top_p for sampling in sampled])
        self._generators = [
            torch.Generator().manual_seed(sampling.seed % 2**63) for sampling in sampled
        ]

    def __call__(self, input_ids: "torch.Tensor", scores: "torch.Tensor") -> "torch.Tensor":
        import torch

        if not self._rows:
            return scores
        device = scores.device
        logits = scores[self._rows].float() / self._temperatures.to(device)[:, None]
        if bool((self._top_p < 1).any()):
            logits = _nucleus(logits, self._top_p.to(device))
        noise = torch.stack(
            [torch.empty(logits.shape[1]).exponential_(generator=one) for one in self._generators]
        )
        chosen = scores.float().clone()
        chosen[self._rows] = logits - noise.clamp_min(1e-30).log().to(device)
        return chosen


def _nucleus(logits: "torch.Tensor", top_p: "torch.Tensor") -> "torch.Tensor":
    """Rule out all but the likeliest tokens that together reach top_p (Holtzman et al. 2020)."""
    ordered, order = logits.sort(dim=-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    ordered = ordered.masked_fill(before >= top_p[:, None], float("-inf"))
    return logits.scatter(1, order, ordered)


class RowLimits:
    """A stopping criterion: a row is done at its own token limit or stop string.

    `start` is the width of the prompts. `lengths` are the tokens of each row up to
    there, for cutting the output.
    """

    def __init__(self, samplings: Sequence[Sampling], start: int, tokenizer: Any) -> None:
        self.lengths = [sampling.max_tokens for sampling in samplings]
        self._samplings = samplings
        self._start = start
        self._tokenizer = tokenizer

    def __call__(
        self, input_ids: "torch.Tensor", scores: "torch.Tensor", **_: Any
    ) -> "torch.Tensor":
        import torch

        length = input_ids.shape[1] - self._start
        for row, sampling in enumerate(self._samplings):
            if length < self.lengths[row] and self._stopped(input_ids[row], length, sampling):
                self.lengths[row] = length
        done = [length >= limit for limit in self.lengths]
        return torch.tensor(done, device=input_ids.device)

    def _stopped(self, row: "torch.Tensor", length: int, sampling: Sampling) -> bool:
        if not sampling.stop:
            return False
        reach = min(length, max(map(len, sampling.stop)) + 4)  # a token is a character or more
        tail = self._tokenizer.decode(row[-reach:], skip_special_tokens=True)
        return cut_at_stop(tail, sampling.stop)[1]
