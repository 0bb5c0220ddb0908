"""What can be said of a single clause, from the few probes that it has."""

from collections.abc import Mapping, Sequence
from typing import Literal

Result = Literal["learned", "already followed", "not learned", "cannot tell", "untested"]
Values = Mapping[str, float]


def clause_result(before: Sequence[Values], after: Sequence[Values]) -> Result:
    """What the last system of the ladder made of a clause, compared with base.

    `before` and `after` hold the metric values of base and of the last system on the
    same probes of this clause, position by position. The rule is meant for two or
    three probes and makes no claim of significance; claims are made over all clauses.

    A system is right on a probe if it finds the reference likelier than its contrast and,
    where the reference begins with yes or no, that word likelier than the other. Probes that
    have a contrast or such a word decide:

    - "untested": no probe has the likelihood of its reference under both systems.
    - "not learned": the last system is wrong on most of the probes that decide.
    - "already followed": base and the last system are both right on most.
    - "learned": the last system is right on most, base was not, and the references became
      likelier on average.
    - "cannot tell": all else, and where fewer than two probes decide, or were scored. That
      references became likelier is no evidence: training in the document's style does that.
    """
    gains = _gains(before, after)
    if not gains:
        return "untested"
    right = _right(before, after)
    if len(gains) == 1 or len(right) < 2:
        return "cannot tell"
    base, last = (_mean(side) for side in zip(*right, strict=True))
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
    right = _right(before, after)
    if not right:
        return f"{likelihood} ({over}, none with a side to take)."
    first, final = (sum(side) for side in zip(*right, strict=True))
    said = f"is right on {final:g} of {len(right)} ({base}: {first:g})"
    return f"{likelihood} ({over}), and {said}."


def _gains(before: Sequence[Values], after: Sequence[Values]) -> list[float]:
    """Fall of `reference_nll` on each probe that both systems were scored on."""
    return [base - last for base, last in _both(before, after, ["reference_nll"])]


def _right(before: Sequence[Values], after: Sequence[Values]) -> list[tuple[float, float]]:
    """Of base and of the last system, on each probe where there is a side to take."""
    return _both(before, after, ["preference_accuracy", "yes_no_accuracy"])


def _both(
    before: Sequence[Values], after: Sequence[Values], metrics: Sequence[str]
) -> list[tuple[float, float]]:
    """The least of the metrics that both have, on each probe where they have one."""
    found: list[tuple[float, float]] = []
    for base, last in zip(before, after, strict=True):
        known = [metric for metric in metrics if metric in base and metric in last]
        if known:
            found.append((min(base[one] for one in known), min(last[one] for one in known)))
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
