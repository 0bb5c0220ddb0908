"""Means of groups too small for a spread of their own: clauses with two or three probes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adhere.evaluate.statistics import LEVEL
from adhere.records import Probe, ProbeScore


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledMean:
    """The mean of a small group, and its standard error from all groups together."""

    mean: float
    error: float
    freedom: int
    """Degrees of freedom of the error."""

    def interval(self) -> tuple[float, float]:
        """By Student's t."""
        from scipy.stats import t

        half = float(t.ppf((1 + LEVEL) / 2, self.freedom)) * self.error
        return self.mean - half, self.mean + half

    def p_above(self, bound: float) -> float:
        """One-sided: small where the true mean lies above `bound`."""
        from scipy.stats import t

        if self.error == 0:
            return float(self.mean <= bound)
        return float(t.sf((self.mean - bound) / self.error, self.freedom))

    def p_differs(self) -> float:
        """Two-sided: small where the true mean is not 0."""
        from scipy.stats import t

        if self.error == 0:
            return float(self.mean == 0)
        return float(2 * t.sf(abs(self.mean) / self.error, self.freedom))


def pooled_means(groups: Mapping[str, Sequence[float]]) -> dict[str, PooledMean]:
    """The mean of each group, with the spread within groups pooled over all of them.

    This is the residual of a one-way analysis of variance, which takes the groups to
    spread alike. Empty where no group has two values, and nothing is known of the spread.
    """
    freedom = sum(map(len, groups.values())) - len(groups)
    if freedom < 1:
        return {}
    means = {name: sum(values) / len(values) for name, values in groups.items()}
    residual = sum((value - means[name]) ** 2 for name in groups for value in groups[name])
    spread = (residual / freedom) ** 0.5
    return {
        name: PooledMean(mean=means[name], error=spread / len(values) ** 0.5, freedom=freedom)
        for name, values in groups.items()
    }


def clause_gains(
    probes: Iterable[Probe], scores: Iterable[ProbeScore], base: str, last: str
) -> dict[str, PooledMean]:
    """Clause id -> nats a token by which its references are likelier to `last` than to `base`."""
    loss = {
        (score.system, score.probe): score.values["reference_nll"]
        for score in scores
        if "reference_nll" in score.values
    }
    gains: dict[str, list[float]] = defaultdict(list)
    for probe in probes:
        if (base, probe.id) in loss and (last, probe.id) in loss:
            gains[probe.clause].append(loss[base, probe.id] - loss[last, probe.id])
    return pooled_means(gains)
