"""Intervals and tests against published and simulated values; coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.evaluate.statistics import (
    Clustered,
    Estimate,
    effective_size,
    holm,
    mcnemar,
    rate_interval,
    smallest_difference,
    two_sided_p,
    wilson,
)

RUNS = 500
CLAUSES, PROBES = 22, 30
"""The probes with a contrast of a real run."""
MEMBERS = np.arange(PROBES) % CLAUSES
NAMES = [f"c{member}" for member in MEMBERS]


def coverage(kind: str, truth: float, draw, names=NAMES) -> float:
    """How often the 95 % interval of simulated data holds the truth.

    Of 500 intervals that hold it in 95 of 100, fewer than 460 (92 %) do so by chance
    once in 500 times.
    """
    hits = 0
    for run in range(RUNS):
        estimate = getattr(Clustered(names), kind)(draw(np.random.default_rng(run)))
        hits += estimate.low <= truth <= estimate.high
    return hits / RUNS


def together(rng: np.random.Generator, noise) -> np.ndarray:
    """Values of which half the variance is the clause's."""
    return noise(rng, CLAUSES)[MEMBERS] + noise(rng, PROBES)


def test_a_mean_s_interval_holds_the_truth_at_the_size_of_a_real_run():
    def draw(rng):
        return together(rng, lambda rng, size: rng.normal(size=size))

    assert 0.92 <= coverage("mean", 0, draw) <= 0.98
    alone = [f"p{place}" for place in range(PROBES)]
    members = np.arange(PROBES) % 6

    def in_few_clauses(rng):
        return rng.normal(size=6)[members] + 0.5 * rng.normal(size=PROBES)

    assert coverage("mean", 0, in_few_clauses, alone) < 0.8  # what forgetting clauses would cost


@pytest.mark.parametrize("rate", [0.5, 0.85, 0.95])
def test_a_rate_s_interval_holds_the_truth_near_one_too(rate):
    def draw(rng):
        own = rng.beta(rate * 4, (1 - rate) * 4, size=CLAUSES)[MEMBERS]
        return (rng.random(PROBES) < own).astype(float)

    assert coverage("rate", rate, draw) >= 0.92


@pytest.mark.parametrize(("won", "lost"), [(0.3, 0.1), (0.05, 0.05), (0.03, 0.0)])
def test_a_difference_of_rates_holds_the_truth_where_most_probes_agree(won, lost):
    def draw(rng):
        side = rng.random(PROBES)
        return np.where(side < won, 1.0, np.where(side > 1 - lost, -1.0, 0.0))

    assert coverage("rate_difference", won - lost, draw) >= 0.92


def test_rates_with_many_ties_hold_the_truth():
    def draw(rng):
        side = rng.random(PROBES)
        return np.where(side < 0.05, 1.0, np.where(side > 0.95, 0.0, 0.5))

    assert coverage("rate", 0.5, draw) >= 0.92


def test_the_mean_is_over_probes_and_its_error_matches_theory():
    values = np.random.default_rng(3).normal(size=400)
    estimate = Clustered([str(i) for i in range(400)]).mean(values)
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.n, estimate.clusters) == (400, 400)
    assert estimate.error == pytest.approx(values.std(ddof=1) / 20)
    assert estimate.high - estimate.value == pytest.approx(1.966 * estimate.error, rel=1e-3)


def test_the_interval_of_unclustered_values_is_student_s():
    # Student 1908, the ten differences of hyoscine hydrobromide: mean 1.58, t(9) interval.
    values = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    estimate = Clustered([str(i) for i in range(10)]).mean(values)
    assert estimate.value == pytest.approx(1.58)
    assert (estimate.low, estimate.high) == pytest.approx((0.7001, 2.4599), abs=1e-4)
    assert two_sided_p(estimate) == pytest.approx(0.00283, abs=1e-5)


def test_probes_that_repeat_each_other_count_once():
    values = np.random.default_rng(0).normal(size=20)
    once = Clustered([str(i) for i in range(20)]).mean(values)
    thrice = Clustered([str(i // 3) for i in range(60)]).mean(np.repeat(values, 3))
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
    assert (once.n, thrice.n) == (20, 60)


def test_differences_on_the_same_probes_are_paired():
    rng = np.random.default_rng(5)
    hard = rng.normal(scale=3, size=60)
    clustered = Clustered([str(i // 2) for i in range(60)])
    better = hard + 0.2 + 0.01 * rng.normal(size=60)
    assert clustered.mean(better - hard).low > 0.15
    assert clustered.mean(better).low < clustered.mean(hard).high  # unpaired they overlap


def test_what_was_not_measured_is_left_out():
    clustered = Clustered(["x", "y", "z"])
    estimate = clustered.mean(np.array([1.0, np.nan, 3.0]))
    assert (estimate.value, estimate.n, estimate.clusters) == (2.0, 2, 2)
    assert clustered.mean(np.full(3, np.nan)) is None
    assert clustered.rate(np.full(3, np.nan)) is None
    assert clustered.rate_difference(np.full(3, np.nan)) is None


def test_one_clause_has_no_interval():
    clustered = Clustered(["x", "x", "y"])
    for kind in (clustered.mean, clustered.rate, clustered.rate_difference):
        estimate = kind(np.array([0.0, 1.0, np.nan]))
        assert (estimate.value, estimate.low, estimate.error) == (0.5, None, None)
    assert rate_interval([1.0, 1.0], ["x", "x"]) == (0.0, 1.0)
    assert rate_interval([], []) == (0.0, 1.0)


def test_a_rate_without_variation_does_not_claim_certainty():
    clustered = Clustered([str(i // 2) for i in range(20)])
    wins, ties = clustered.rate(np.ones(20)), clustered.rate(np.full(20, 0.5))
    assert wins.value == wins.high == 1.0
    assert wins.low == pytest.approx(wilson(1, 10, 2.262)[0], abs=1e-3)
    assert ties.low < 0.45 < 0.55 < ties.high
    same = clustered.rate_difference(np.zeros(20))
    assert same.low < 0 < same.high
    assert two_sided_p(same) == 1.0


@pytest.mark.parametrize("values", [[1.0, 0.0], [0.0, -1.0], [1.0, -1.0], [1.0, 1.0]])
def test_a_difference_of_rates_stays_where_it_can_lie(values: list[float]) -> None:
    found = Clustered(["x", "y"]).rate_difference(np.array(values))
    assert -1 <= found.low <= found.value <= found.high <= 1


@given(
    st.lists(
        st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=4),
        min_size=6,
        max_size=25,
    )
)
def test_p_and_interval_of_one_row_say_the_same(groups: list[list[float]]) -> None:
    """From six clauses on; with fewer, p cannot fall so low, whatever the interval is."""
    names = [f"c{number}" for number, own in enumerate(groups) for _ in own]
    values = np.array([value for own in groups for value in own])
    graded = values + np.random.default_rng(len(values)).normal(scale=0.3, size=len(values))
    clustered = Clustered(names)
    for found in (clustered.rate_difference(values), clustered.mean(graded)):
        p = two_sided_p(found)
        if min(abs(found.low), abs(found.high), abs(p - 0.05)) > 1e-9:
            assert (p < 0.05) == (found.low > 0 or found.high < 0)


def test_few_clauses_give_no_small_p() -> None:
    found = Clustered(["a", "b", "c", "d", "e"]).mean(np.array([1.0, 1.1, 0.9, 1.0, 1.0]))
    assert found.low > 0
    assert two_sided_p(found) == 2.0**-4


def test_the_effective_size_is_that_of_independent_probes():
    rng = np.random.default_rng(1)
    values = (rng.random(4000) < 0.7).astype(float)
    apart = Clustered([str(i) for i in range(4000)]).rate(values)
    assert effective_size(apart) == pytest.approx(4000, rel=1e-3)
    pairs = Clustered([str(i // 2) for i in range(8000)]).rate(np.repeat(values, 2))
    assert effective_size(pairs) == pytest.approx(4000, rel=1e-3)


def test_wilson_against_known_values():
    # Newcombe 1998, table I, method 3.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15 / 148, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_mcnemar_against_known_values():
    # Agresti 1990, table 10.1 (approval of the prime minister): 150 and 86 changed sides.
    assert mcnemar(86, 150) == pytest.approx(3.7e-5, abs=3e-6)
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)  # 2 * (C(10, 0) + C(10, 1)) / 2^10
    assert mcnemar(0, 0) == 1.0


def test_clauses_are_won_by_the_side_that_is_ahead_in_them():
    clustered = Clustered(["x", "x", "y", "y", "z", "w"])
    assert clustered.ahead(np.array([1, -1, 1, 0, -1, np.nan])) == (1, 1)


def test_holm_against_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_value_keeps_their_order_and_never_exceeds_bonferroni(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= min(1, p * len(p_values)) for p, q in zip(p_values, adjusted, strict=True))
    ranked = [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_the_smallest_difference_is_found_four_times_in_five():
    clusters, runs = 20, 4000
    known = Estimate(value=0, low=0, high=0, n=20, error=1 / np.sqrt(clusters), clusters=clusters)
    true = smallest_difference(known)
    assert true == pytest.approx((2.093 + 0.861) / np.sqrt(clusters), rel=1e-3)
    values = np.random.default_rng(0).normal(true, 1, size=(runs, clusters))
    t = values.mean(axis=1) / (values.std(axis=1, ddof=1) / np.sqrt(clusters))
    assert np.mean(np.abs(t) > 2.093) == pytest.approx(0.8, abs=0.03)
