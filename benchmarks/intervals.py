"""Do the 95 % intervals hold the truth 95 times in 100? `intervals.py [RUNS]` simulates.

At the sizes of real runs it prints, for each kind of estimate, how often the interval
that adhere shows holds the truth, and how often the bootstrap intervals over clauses
would: percentile, BCa (Efron 1987), studentised (Davison and Hinkley 1997, section 5.2)
and wild (Cameron, Gelbach and Miller 2008). Beside each the median width. The corrected
and the length-controlled rate stand below, with the percentile bootstrap beside the
first.
"""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from adhere.evaluate.rates import corrected_rate, length_controlled_rate
from adhere.evaluate.statistics import Clustered

SHAPES = ((15, 18), (22, 30), (37, 47), (40, 62))
"""Clauses and probes: smaller than a real run, UDHR's probes with a contrast, GitLab, UDHR."""
RESAMPLES = 1000
TAILS = (0.025, 0.975)
EXAM = (40, 60)
"""Clauses and pairs of a judge's exam."""

Array = np.ndarray
Draw = Callable[[np.random.Generator, Array, int], tuple[Array, float]]
"""(generator, clause of each probe, runs) -> values (runs, probes) and the true mean."""


@dataclass(frozen=True)
class Sample:
    """Simulated runs: sums (runs, clauses), counts (clauses,) and what follows from them."""

    sums: Array
    counts: Array

    @classmethod
    def of(cls, values: Array, members: Array) -> "Sample":
        return cls(values @ np.eye(members.max() + 1)[members], np.bincount(members).astype(float))

    @property
    def mean(self) -> Array:
        return self.sums.sum(1) / self.counts.sum()

    @property
    def error(self) -> Array:
        clauses = len(self.counts)
        spread = ((self.sums - self.mean[:, None] * self.counts) ** 2).sum(1)
        return np.sqrt(clauses / (clauses - 1) * spread) / self.counts.sum()

    def times(self, rng: np.random.Generator) -> Array:
        """How often each clause is drawn, (RESAMPLES, clauses)."""
        clauses = len(self.counts)
        return rng.multinomial(clauses, np.full(clauses, 1 / clauses), RESAMPLES).astype(float)

    def draws(self, times: Array) -> Array:
        """Resampled means, (RESAMPLES, runs)."""
        return (times @ self.sums.T) / (times @ self.counts)[:, None]


def percentile(sample: Sample, rng: np.random.Generator) -> Array:
    return np.quantile(sample.draws(sample.times(rng)), TAILS, axis=0)


def bca(sample: Sample, rng: np.random.Generator) -> Array:
    draws, mean = sample.draws(sample.times(rng)), sample.mean
    below = (draws < mean).mean(0) + (draws == mean).mean(0) / 2
    bias = norm.ppf(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    left_out = (sample.sums.sum(1)[:, None] - sample.sums) / (sample.counts.sum() - sample.counts)
    moved = left_out.mean(1)[:, None] - left_out
    skew = np.nan_to_num((moved**3).sum(1) / 6 / (moved**2).sum(1) ** 1.5)
    bounds = []
    for tail in TAILS:
        z = bias + norm.ppf(tail)
        levels = norm.cdf(bias + z / (1 - skew * z))
        bounds.append([np.quantile(own, level) for own, level in zip(draws.T, levels, strict=True)])
    return np.array(bounds)


def studentised(sample: Sample, rng: np.random.Generator) -> Array:
    times, mean, error = sample.times(rng), sample.mean, sample.error
    draws, total, clauses = (
        sample.draws(times),
        (times @ sample.counts)[:, None],
        len(sample.counts),
    )
    spread = (
        times @ (sample.sums**2).T
        - 2 * draws * (times @ (sample.sums * sample.counts).T)
        + draws**2 * (times @ sample.counts**2)[:, None]
    )
    errors = np.sqrt(clauses / (clauses - 1) * np.maximum(spread, 0)) / total
    t = np.where(errors > 0, (draws - mean) / errors, np.sign(draws - mean) * 1e9)
    high, low = np.quantile(t, TAILS, axis=0)
    return np.array([mean - low * error, mean - high * error])


def wild(sample: Sample, rng: np.random.Generator) -> Array:
    clauses, n, mean = len(sample.counts), sample.counts.sum(), sample.mean
    residuals = sample.sums - mean[:, None] * sample.counts
    signs = rng.choice([-1.0, 1.0], size=(RESAMPLES, clauses))
    moved = signs @ residuals.T / n
    spread = (
        (residuals**2).sum(1)
        - 2 * moved * (signs @ (residuals * sample.counts).T)
        + moved**2 * (sample.counts**2).sum()
    )
    t = np.abs(moved) / (np.sqrt(clauses / (clauses - 1) * spread) / n)
    half = np.quantile(np.nan_to_num(t), 0.95, axis=0) * sample.error
    return np.array([mean - half, mean + half])


BOOTSTRAPS = (percentile, bca, studentised, wild)


def normal(rng: np.random.Generator, members: Array, runs: int) -> tuple[Array, float]:
    own = rng.normal(size=(runs, members.max() + 1))
    return own[:, members] + rng.normal(size=(runs, len(members))), 0.0


def skewed(rng: np.random.Generator, members: Array, runs: int) -> tuple[Array, float]:
    own = rng.exponential(size=(runs, members.max() + 1))
    return own[:, members] + rng.exponential(size=(runs, len(members))), 2.0


def heavy(rng: np.random.Generator, members: Array, runs: int) -> tuple[Array, float]:
    own = rng.standard_t(3, size=(runs, members.max() + 1))
    return own[:, members] + rng.standard_t(3, size=(runs, len(members))), 0.0


def sides(first: float, last: float, ends: tuple[float, float, float]) -> Draw:
    """Three outcomes worth `ends`: `first` and `last` are the chances of the outer ones."""

    def draw(rng: np.random.Generator, members: Array, runs: int) -> tuple[Array, float]:
        shares = np.array([first, 1 - first - last, last]).clip(1e-6)
        shares /= shares.sum()
        own = rng.dirichlet(4 * shares, size=(runs, members.max() + 1))[:, members]
        at = rng.random((runs, len(members)))[..., None] > own.cumsum(-1)[..., :2]
        return np.asarray(ends)[at.sum(-1)], float(shares @ ends)

    return draw


RATE, DIFFERENCE = (1.0, 0.5, 0.0), (1.0, 0.0, -1.0)
CASES: dict[str, tuple[str, Draw]] = {
    "mean, normal": ("mean", normal),
    "mean, skewed": ("mean", skewed),
    "mean, heavy tails": ("mean", heavy),
    "rate 50 %": ("rate", sides(0.5, 0.5, RATE)),
    "rate 85 %": ("rate", sides(0.85, 0.15, RATE)),
    "rate 95 %": ("rate", sides(0.95, 0.05, RATE)),
    "rate 70 %, 20 % ties": ("rate", sides(0.6, 0.2, RATE)),
    "rate 51 %, 95 % ties": ("rate", sides(0.03, 0.02, RATE)),
    "rates' difference, 30 % won, 10 % lost": ("rate_difference", sides(0.3, 0.1, DIFFERENCE)),
    "rates' difference, 5 % won, 5 % lost": ("rate_difference", sides(0.05, 0.05, DIFFERENCE)),
    "rates' difference, 3 % won": ("rate_difference", sides(0.03, 0.0, DIFFERENCE)),
}


def spread_over(clauses: int, units: int) -> Array:
    return np.arange(units) % clauses


def cell(low: Array, high: Array, truth: float) -> str:
    """`coverage (median width)`."""
    held = np.mean((low <= truth + 1e-9) & (truth <= high + 1e-9))
    width = float(np.median(high - low))
    return f"{100 * held:.1f} ({width:.2f})" if width < 100 else f"{100 * held:.1f} (unbounded)"


def compared(kind: str, draw: Draw, clauses: int, probes: int, runs: int, seed: int) -> list[str]:
    """Ours, then the bootstraps."""
    rng, members = np.random.default_rng(seed), spread_over(clauses, probes)
    values, truth = draw(rng, members, runs)
    clustered = Clustered([str(member) for member in members])
    found = [getattr(clustered, kind)(row) for row in values]
    ours = np.array([(one.low, one.high) for one in found]).T
    sample = Sample.of(values, members)
    return [cell(*bounds, truth) for bounds in (ours, *(b(sample, rng) for b in BOOTSTRAPS))]


def corrected(true: float, skill: float, clauses: int, probes: int, runs: int) -> list[str]:
    """Ours, then percentiles of the two bootstraps, solved."""
    rng = np.random.default_rng(0)
    seen = true * skill + (1 - true) * (1 - skill)
    sizes = (spread_over(clauses, probes), spread_over(*EXAM))
    data = [
        sides(share, 1 - share, RATE)(rng, members, runs)[0]
        for share, members in zip((seen, skill), sizes, strict=True)
    ]
    ours = []
    for run in range(runs):
        rate, exam = (
            Clustered([str(member) for member in members]).rate(values[run])
            for values, members in zip(data, sizes, strict=True)
        )
        found = corrected_rate(rate, exam, RESAMPLES, run)
        ours.append((found.low, found.high))
    rates, skills = (sample.draws(sample.times(rng)) for sample in map(Sample.of, data, sizes))
    solved = np.clip((rates - 1 + skills) / (2 * skills - 1), 0, 1)
    return [cell(*np.array(ours).T, true), cell(*np.nanquantile(solved, TAILS, axis=0), true)]


def length_controlled(theta: float, phi: float, clauses: int, probes: int, runs: int) -> str:
    rng, members = np.random.default_rng(0), spread_over(clauses, probes)
    names, bounds = [str(member) for member in members], []
    for _ in range(runs):
        longer = rng.normal(0.5, 1, size=probes)
        won = rng.random(probes) < expit(theta + phi * np.tanh(longer / longer.std()))
        found = length_controlled_rate(won.astype(float), longer, names)
        bounds.append((found.low, found.high))
    return cell(*np.array(bounds).T, float(expit(theta)))


def row(*cells: object) -> None:
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def main(runs: int) -> None:
    print(f"Coverage in % of nominal 95 % intervals in {runs} simulations (median width).\n")
    row("estimate", "clauses", "probes", "adhere", *(b.__name__ for b in BOOTSTRAPS))
    row(*["---"] * 8)
    for name, (kind, draw) in CASES.items():
        for seed, (clauses, probes) in enumerate(SHAPES):
            row(name, clauses, probes, *compared(kind, draw, clauses, probes, runs, seed))
    print()
    row("estimate", "clauses", "probes", "adhere", "percentile")
    row(*["---"] * 5)
    for true, skill in ((0.5, 0.8), (0.9, 0.8), (0.5, 0.9), (0.9, 0.9), (0.99, 0.9)):
        for shape in SHAPES:
            name = f"true rate {true:.0%}, judge right on {skill:.0%}"
            row(name, *shape, *corrected(true, skill, *shape, runs))
    for theta, phi in ((0.0, 0.0), (0.0, 2.0), (2.2, 2.0)):
        for shape in SHAPES:
            name = f"length-controlled {expit(theta):.0%}, effect {phi:g}"
            row(name, *shape, length_controlled(theta, phi, *shape, runs), "")


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)  # degenerate resamples divide by zero
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
