"""Win rates put right: for the errors of the judge, and for the length of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adhere.evaluate.statistics import LEVEL, Estimate, FloatArray, effective_size

IntArray = NDArray[np.int64]

_JEFFREYS = 0.5
_STEADY = 0.75
"""Where the pseudo-observations of `length_controlled_rate` stand, on the tanh scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A rate that was worked out from others; bounds are None where one clause alone speaks."""

    rate: float
    low: float | None
    high: float | None


def corrected_rate(rate: Estimate, exam: Estimate, draws: int, seed: int) -> Corrected:
    """The win rate freed of the errors that the judge made in its exam.

    A judge whose mean score on pairs with a known winner is s turns a true rate t into
    t·s + (1 - t)(1 - s); solved for t and held within [0, 1] (Rogan and Gladen 1978,
    with one skill for both sides, since the seats of the exam were dealt evenly). The
    interval holds the uncertainty of both: each is drawn from its Beta distribution
    under Jeffreys' prior, with the effective size, and solved. The judge must be better
    than chance.
    """
    [value] = _solve(np.array([rate.value]), np.array([exam.value]))
    if rate.error is None or exam.error is None:
        return Corrected(rate=float(value), low=None, high=None)
    rng = np.random.default_rng(seed)
    rates, skills = (_plausible(found, draws, rng) for found in (rate, exam))
    better = skills > 0.5
    solved = _solve(rates[better], skills[better])
    low, high = np.quantile(solved, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Corrected(rate=float(value), low=float(min(low, value)), high=float(max(high, value)))


def _solve(rate: FloatArray, skill: FloatArray) -> FloatArray:
    return np.clip((rate - 1 + skill) / (2 * skill - 1), 0.0, 1.0)


def _plausible(found: Estimate, draws: int, rng: np.random.Generator) -> FloatArray:
    size = effective_size(found)
    won, lost = found.value * size, (1 - found.value) * size
    return rng.beta(won + _JEFFREYS, lost + _JEFFREYS, size=draws)


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthControlled(Corrected):
    """The win rate that two answers of the same length would have."""

    length_effect: float
    """Change of the win's log-odds for a's answer being much longer; 0 is no effect."""


def length_controlled_rate(
    credits: FloatArray, longer: FloatArray, clusters: Sequence[str]
) -> LengthControlled:
    """Win rate at equal length, by logistic regression on the difference in length.

    log-odds of a win = theta + phi * tanh(d / std(d)), d = length of a's answer less
    that of b's; the rate is that at d = 0 (AlpacaEval 2: Dubois et al. 2024, arXiv
    2404.04475; its third term, how hard an instruction is, needs many systems and is
    left out). Ties count as half a win. Four pseudo-observations that weigh 2 together,
    a win and a loss on either side, keep the fit finite where all are won, or all of
    the longer ones. The interval is that of theta, with its cluster-robust error and t.

    `credits` in [0, 1], `longer` and `clusters`: one for each unit, nothing missing.
    """
    from scipy.special import expit
    from scipy.stats import t

    spread = float(longer.std())
    tanh = np.tanh(longer / spread) if spread else np.zeros_like(longer)
    regressor = np.append(tanh, [_STEADY, _STEADY, -_STEADY, -_STEADY])
    data = _Weighted(
        x=np.column_stack([np.ones_like(regressor), regressor]),
        y=np.append(credits, [1.0, 0.0, 1.0, 0.0]),
        weights=np.append(np.ones_like(credits), np.full(4, 0.5)),
    )
    names, own = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    members = np.append(own, len(names) + np.arange(4))
    fitted = data.fit()
    half = float(t.ppf((1 + LEVEL) / 2, members.max()) * data.errors(fitted, members)[0])
    theta, phi = map(float, fitted)
    if len(names) == 1:
        return LengthControlled(rate=float(expit(theta)), low=None, high=None, length_effect=phi)
    low, rate, high = (float(expit(theta + side * half)) for side in (-1, 0, 1))
    return LengthControlled(rate=rate, low=low, high=high, length_effect=phi)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighted:
    """A weighted logistic regression; `y` may lie between 0 and 1."""

    x: FloatArray
    y: FloatArray
    weights: FloatArray

    def fit(self) -> FloatArray:
        from scipy.optimize import minimize
        from scipy.special import log_expit

        def loss(b: FloatArray) -> float:
            z = self.x @ b
            kept = self.y * log_expit(z) + (1 - self.y) * log_expit(-z)
            return -float((self.weights * kept).sum())

        def slope(b: FloatArray) -> FloatArray:
            return -self._scores(b).sum(axis=0)

        start = np.zeros(self.x.shape[1])
        return np.asarray(minimize(loss, start, jac=slope, method="BFGS").x)

    def errors(self, b: FloatArray, members: IntArray) -> FloatArray:
        """Cluster-robust standard errors (the sandwich; Liang and Zeger 1986)."""
        from scipy.special import expit

        clusters = int(members.max()) + 1
        totals = np.zeros((clusters, len(b)))
        np.add.at(totals, members, self._scores(b))
        p = expit(self.x @ b)
        bread = np.linalg.inv(self.x.T @ (self.x * (self.weights * p * (1 - p))[:, None]))
        covariance = clusters / (clusters - 1) * bread @ (totals.T @ totals) @ bread
        return np.sqrt(np.diag(covariance))

    def _scores(self, b: FloatArray) -> FloatArray:
        from scipy.special import expit

        return self.x * (self.weights * (self.y - expit(self.x @ b)))[:, None]
