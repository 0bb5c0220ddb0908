"""What can be said of a single clause, from the few probes that it has."""

from collections.abc import Mapping, Sequence
from typing import Literal

Result = Literal["learned", "already followed", "not learned", "cannot tell", "untested"]
Values = Mapping[str, float]

CLEAR_GAIN = 0.1
"""Nats a token by which each reference must have become likelier where no contrast exists.

Our choice: training on anything in the document's style moves references by less.
"""


def clause_result(before: Sequence[Values], after: Sequence[Values]) -> Result:
    """What the last system of the ladder made of a clause, compared with base.

    `before` and `after` hold the metric values of base and of the last system on the
    same probes of this clause, position by position. The rule is meant for two or
    three probes and makes no claim of significance; claims are made over all clauses.

    - "untested": no probe has the likelihood of its reference under both systems.
    - "cannot tell": only one probe has; or the signs below disagree or balance out.

    Where any of them has a contrast, preference decides:

    - "not learned": the last system prefers the contrast on most of these probes.
    - "already followed": base and the last system both prefer the reference on most.
    - "learned": the last system prefers the reference on most, base did not, and the
      references became likelier on average.

    Where none has a contrast, only the likelihood of the references is left:

    - "learned": each became likelier, by at least `CLEAR_GAIN`.
    - "not learned": none became likelier.
    """
    gains = _gains(before, after)
    if not gains:
        return "untested"
    if len(gains) == 1:
        return "cannot tell"
    preferred = _preferred(before, after)
    if not preferred:
        if min(gains) >= CLEAR_GAIN:
            return "learned"
        return "not learned" if max(gains) <= 0 else "cannot tell"
    base, last = (_mean(side) for side in zip(*preferred, strict=True))
    if last < 0.5:
        return "not learned"
    if last > 0.5 and base > 0.5:
        return "already followed"
    return "learned" if last > 0.5 and _mean(gains) > 0 else "cannot tell"


def clause_evidence(before: Sequence[Values], after: Sequence[Values], base: str, last: str) -> str:
    """The numbers behind `clause_result` in a sentence; `base` and `last` name the systems."""
    gains = _gains(before, after)
    if not gains:
        return "No held-out probe of this clause was scored."
    gain = _mean(gains)
    direction = "likelier" if gain >= 0 else "less likely"
    likelihood = f"{last} finds the reference {abs(gain):.2f} nats a token {direction} than {base}"
    over = f"over {len(gains)} probe{'s' if len(gains) > 1 else ''}"
    preferred = _preferred(before, after)
    if not preferred:
        return f"{likelihood} ({over}, none with a contrast)."
    first, final = (sum(side) for side in zip(*preferred, strict=True))
    return (
        f"{likelihood} ({over}), and prefers it to its contrast on {final:g} of "
        f"{len(preferred)} ({base}: {first:g})."
    )


def _gains(before: Sequence[Values], after: Sequence[Values]) -> list[float]:
    """Fall of `reference_nll` on each probe that both systems were scored on."""
    return [base - last for base, last in _both(before, after, "reference_nll")]


def _preferred(before: Sequence[Values], after: Sequence[Values]) -> list[tuple[float, float]]:
    return _both(before, after, "preference_accuracy")


def _both(
    before: Sequence[Values], after: Sequence[Values], metric: str
) -> list[tuple[float, float]]:
    return [
        (base[metric], last[metric])
        for base, last in zip(before, after, strict=True)
        if metric in base and metric in last
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
