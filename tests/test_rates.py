"""Corrected and length-controlled win rates, against what was put into simulated data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.evaluate.rates import corrected_rate, length_controlled_rate
from adhere.evaluate.statistics import Clustered, Estimate

RUNS = 300


def estimate(rate: float, n: int = 200) -> Estimate:
    error = (rate * (1 - rate) / n) ** 0.5
    return Estimate(value=rate, low=0, high=1, n=n, error=error, clusters=n)


@given(st.floats(0, 1), st.floats(0.75, 1))
def test_the_correction_undoes_a_judge_of_known_skill(true, skill):
    seen = true * skill + (1 - true) * (1 - skill)
    found = corrected_rate(estimate(seen), estimate(skill), 200, 0)
    assert found.rate == pytest.approx(true, abs=1e-6)
    assert 0 <= found.low <= found.rate <= found.high <= 1


def test_a_worked_example_of_the_correction():
    # Rogan and Gladen 1978: (seen + specificity - 1) / (sensitivity + specificity - 1).
    assert corrected_rate(estimate(0.6), estimate(0.8), 200, 0).rate == pytest.approx(0.4 / 0.6)


def test_the_exam_s_own_uncertainty_widens_the_interval():
    seen = estimate(0.7, 62)
    short, long = (corrected_rate(seen, estimate(0.85, n), 4000, 0) for n in (40, 4000))
    assert short.high - short.low > 1.15 * (long.high - long.low)
    perfect = corrected_rate(seen, estimate(1.0, 10_000), 4000, 0)
    assert (perfect.low, perfect.high) == pytest.approx((0.575, 0.80), abs=0.02)


@pytest.mark.parametrize("true", [0.5, 0.9])
def test_the_corrected_interval_holds_the_truth(true):
    skill, hits = 0.85, 0
    probes, exam = (np.arange(n) % clauses for n, clauses in ((30, 22), (60, 40)))
    for run in range(RUNS):
        rng = np.random.default_rng(run)
        seen = rng.random(30) < true * skill + (1 - true) * (1 - skill)
        right = rng.random(60) < skill
        found = corrected_rate(
            Clustered(list(map(str, probes))).rate(seen.astype(float)),
            Clustered(list(map(str, exam))).rate(right.astype(float)),
            400,
            run,
        )
        hits += found.low <= true <= found.high
    assert hits / RUNS >= 0.915  # of 300 at 95 in 100, fewer once in 200 times


def draw(rng, n: int, theta: float, phi: float, drift: float = 0.0):
    longer = rng.normal(drift, 1, size=n) * 40
    chance = 1 / (1 + np.exp(-theta - phi * np.tanh(longer / longer.std())))
    return (rng.random(n) < chance).astype(float), longer


def test_a_win_rate_that_is_all_length_becomes_a_half():
    credits, longer = draw(np.random.default_rng(0), 3000, 0.0, 2.0, drift=1.0)
    found = length_controlled_rate(credits, longer, [str(i) for i in range(3000)])
    assert credits.mean() > 0.65
    assert found.rate == pytest.approx(0.5, abs=0.04)
    assert found.low < 0.5 < found.high
    assert found.length_effect == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize(("theta", "phi"), [(0.0, 2.0), (2.2, 2.0)])
def test_the_length_controlled_interval_holds_the_truth(theta, phi):
    truth, hits = 1 / (1 + np.exp(-theta)), 0
    names = [str(i % 22) for i in range(30)]
    for run in range(RUNS):
        found = length_controlled_rate(
            *draw(np.random.default_rng(run), 30, theta, phi, 0.5), names
        )
        hits += found.low <= truth <= found.high
    assert hits / RUNS >= 0.915


def test_all_wins_and_equal_lengths_stay_finite():
    names = [str(i) for i in range(20)]
    found = length_controlled_rate(np.ones(20), np.arange(20.0) - 10, names)
    assert 0.8 < found.low < found.rate < found.high < 1
    same = length_controlled_rate(np.full(20, 0.5), np.zeros(20), names)
    assert same.rate == pytest.approx(0.5, abs=1e-4)
    assert same.length_effect == pytest.approx(0.0, abs=1e-4)
    apart = length_controlled_rate(np.repeat([1.0, 0.0], 10), np.repeat([5.0, -5.0], 10), names)
    assert apart.rate == pytest.approx(0.5, abs=1e-4)


def test_the_fit_agrees_with_another_library():
    from sklearn.linear_model import LogisticRegression

    credits, longer = draw(np.random.default_rng(4), 2000, 0.7, -1.0)
    found = length_controlled_rate(credits, longer, [str(i) for i in range(2000)])
    x = np.tanh(longer / longer.std())[:, None]
    other = LogisticRegression(C=1e6).fit(x, credits)
    assert found.length_effect == pytest.approx(other.coef_[0, 0], abs=0.01)
    assert found.rate == pytest.approx(1 / (1 + np.exp(-other.intercept_[0])), abs=0.002)


def test_one_clause_alone_has_no_interval_of_any_rate():
    credits, clause = np.array([1.0, 0.0, 1.0]), ["c"] * 3
    raw = Clustered(clause).rate(credits)
    level = length_controlled_rate(credits, np.array([3.0, -1.0, 2.0]), clause)
    for found in (raw, corrected_rate(raw, estimate(0.85), 200, 0), level):
        assert (found.low, found.high) == (None, None)
    exam = corrected_rate(estimate(0.6), Clustered(clause).rate(credits), 200, 0)
    assert (exam.low, exam.high) == (None, None)
