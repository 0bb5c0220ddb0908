"""Intervals and tests. The probe is the unit of analysis and the clause is the cluster.

Probes of one clause resemble each other, so the error of a mean is taken over clauses
(the cluster-robust, or linearised, error of a ratio; Miller 2024, arXiv 2411.00640,
gives the case for language-model evaluations). Which interval is taken was decided by
simulation at the sizes of real runs, 15 clauses with 18 probes to 40 with 62: where 95
are promised, the percentile bootstrap over clauses held the truth in 89 to 95 of 100
for means and in 59 to 90 for a rate of 95 %, and BCa was no better.
`benchmarks/intervals.py` prints the table, docs/judges.md shows some of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LEVEL = 0.95
"""Of every interval."""
POWER = 0.8
"""Of `smallest_difference`."""
_MOST = 3
"""Ties make a rate surer than wins and losses alone, but never by more than this factor.

A rate of nearly nothing but ties would else seem certain; chosen by simulation.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean with its interval; bounds and error are None where one clause alone speaks."""

    value: float
    low: float | None
    high: float | None
    n: int
    """Probes that were measured."""
    error: float | None = None
    """Standard error."""
    clusters: int = 0
    """Clauses among them."""
    tested: "Estimate | None" = None
    """What the interval and the test are taken from, where that is not the value."""


class Clustered:
    """Means over units that come in clusters.

    A comparison of two systems is paired: take the mean of the differences.
    """

    def __init__(self, clusters: Sequence[str]) -> None:
        """`clusters` names the cluster of each unit, in the order of the values to come."""
        names, self._cluster = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
        self._size = len(names)

    def mean(self, values: FloatArray) -> Estimate | None:
        """The mean of the measured units with its t interval; None if there are none.

        `values`: shape (units,), NaN for a unit that was not measured. Degrees of
        freedom: clusters less one.
        """
        sums, counts = self._totals(values)
        clusters, n = len(counts), int(counts.sum())
        if clusters == 0:
            return None
        value = float(sums.sum() / n)
        if clusters == 1:
            return Estimate(value=value, low=None, high=None, n=n, clusters=1)
        spread = ((sums - value * counts) ** 2).sum()
        error = float(np.sqrt(clusters / (clusters - 1) * spread) / n)
        half = _t(clusters) * error
        return Estimate(
            value=value, low=value - half, high=value + half, n=n, error=error, clusters=clusters
        )

    def rate(self, values: FloatArray) -> Estimate | None:
        """As `mean`, for values in [0, 1] such as wins, with Wilson's interval.

        The sample's size is the effective one (`effective_size`), and t takes the place
        of the normal quantile (Korn and Graubard 1998 for the idea of both). Clusters
        that by chance differ less than single units would are no reason to be surer.
        """
        found = self.mean(values)
        if found is None or found.error is None:
            return found
        apart = float(np.nanstd(values, ddof=1) / np.sqrt(found.n))
        careful = replace(found, error=max(found.error, apart))
        low, high = wilson(found.value, effective_size(careful), _t(found.clusters))
        return replace(careful, low=low, high=high)

    def rate_difference(self, values: FloatArray) -> Estimate | None:
        """As `mean`, for differences of two rates, in [-1, 1].

        Where nearly all differences are 0 a t interval promises too much. So one unit
        of +1 and one of -1, each a cluster of its own, are added for the interval
        (Bonett and Price 2012, for paired proportions), and for the test (`tested`); the
        value is the plain one. What of the interval lies beyond -1 and 1 is cut off: no
        true difference is there, so the interval holds it as often as before.
        """
        found = self.mean(values)
        if found is None or found.error is None:
            return found
        names = [*map(str, self._cluster), "won", "lost"]
        wider = Clustered(names).mean(np.append(values, [1.0, -1.0]))
        assert wider is not None
        assert wider.low is not None
        assert wider.high is not None
        low, high = max(-1.0, wider.low), min(1.0, wider.high)
        return replace(found, low=low, high=high, error=wider.error, tested=wider)

    def ahead(self, values: FloatArray) -> tuple[int, int]:
        """In how many clusters the differences add up to more than 0, and to less."""
        sums, _ = self._totals(values)
        return int(np.count_nonzero(sums > 0)), int(np.count_nonzero(sums < 0))

    def _totals(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sum and number of the measured units of each cluster that has any."""
        measured = ~np.isnan(values)
        filled = np.where(measured, values, 0.0)
        sums = np.bincount(self._cluster, weights=filled, minlength=self._size)
        counts = np.bincount(self._cluster, weights=measured, minlength=self._size)
        some = counts > 0
        return sums[some].astype(np.float64), counts[some].astype(np.float64)


def effective_size(rate: Estimate) -> float:
    """How many independent units would give the rate this error; the clusters at 0 and 1.

    At 0 and 1 nothing varies, and the error would claim certainty.
    """
    spread = rate.value * (1 - rate.value)
    if spread <= 0:
        return float(rate.clusters)
    most = float(_MOST * rate.n)
    return min(most, spread / rate.error**2) if rate.error else most


def rate_interval(values: Sequence[float], clusters: Sequence[str]) -> tuple[float, float]:
    """Low and high of a rate; (0, 1) where there is nothing, or one cluster alone."""
    found = Clustered(clusters).rate(np.asarray(values, dtype=np.float64))
    if found is None or found.low is None or found.high is None:
        return 0.0, 1.0
    return found.low, found.high


def wilson(rate: float, size: float, quantile: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval (1927) of a rate over `size` units; 95 % as it stands."""
    square = quantile**2 / size
    middle = (rate + square / 2) / (1 + square)
    half = quantile / (1 + square) * (rate * (1 - rate) / size + square / (4 * size)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def two_sided_p(estimate: Estimate) -> float:
    """Of the t test that the true mean is 0; 1 where nothing differs.

    Below 1 - LEVEL exactly where the interval leaves out 0, from six clusters on: p is
    never less than what a test of the clusters' signs could reach.
    """
    if not estimate.value or estimate.error is None:
        return 1.0
    from scipy.stats import t

    least = 2.0 ** (1 - estimate.clusters)
    tested = estimate.tested or estimate
    if not tested.error:
        return least
    p = float(2 * t.sf(abs(tested.value) / tested.error, tested.clusters - 1))
    return max(least, p)


def mcnemar(won: int, lost: int) -> float:
    """McNemar's exact test: of the pairs that differ, do as many go each way? (two-sided)"""
    from scipy.stats import binomtest

    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values (Holm 1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def smallest_difference(estimate: Estimate) -> float:
    """The smallest true difference that would be found in POWER of such evaluations.

    At a two-sided alpha of 1 - LEVEL, from the standard error: (t + t') * error, with
    the t quantiles of (1 + LEVEL) / 2 and of POWER (Bloom 1995). Where units were added for
    the test, they make every difference that it sees smaller.
    """
    from scipy.stats import t

    tested = estimate.tested or estimate
    quantiles = _t(tested.clusters) + float(t.ppf(POWER, tested.clusters - 1))
    return quantiles * (tested.error or 0.0) * tested.n / estimate.n


def _t(clusters: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, clusters - 1))
