"""At which learning rate a model is trained, where none is given."""

from bisect import bisect_left

from adhere.settings import DPOSettings, TrainSettings

_SIZES = (1_000_000_000, 13_000_000_000)
"""Up to so many parameters a model is a small or a middle one."""
_RATES = (4e-4, 2e-4, 1e-4)
"""Of an adapter, by size. A larger model wants a lower rate (Schulman et al. 2025, "LoRA Without
Regret"). The last two are QLoRA's own (Dettmers et al. 2023, arXiv 2305.14314, table 9); that the
first ends at a billion is our choice.
"""
_OF_PAIRS = (1e-4, 5e-5, 2.5e-5)
"""A quarter of that, so that the likelihood of good answers does not collapse. The alignment
handbook takes less (5e-6 with QLoRA), for tens of thousands of pairs where a document makes
hundreds.
"""
_HELD = (3e-4, *_OF_PAIRS[1:])
"""Where a loss holds the likelihood of the chosen answers: three times the rate, as measured with
SmolLM2-135M (docs/training.md); of larger models nothing was measured.
"""


def peak_rate(settings: TrainSettings, parameters: int) -> float:
    """The learning rate after warm-up, of a model with so many parameters.

    Full tuning wants about a tenth of an adapter's (Schulman et al. 2025); of SFT's that is the
    2e-5 of Zephyr's in the alignment handbook.
    """
    rate = _rates(settings)[bisect_left(_SIZES, parameters)]
    return settings.learning_rate or (rate / 10 if settings.tuning == "full" else rate)


def _rates(settings: TrainSettings) -> tuple[float, ...]:
    if not isinstance(settings, DPOSettings):
        return _RATES
    return _HELD if settings.method == "dpo+nll" else _OF_PAIRS
