import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.evaluate.statistics import (
    Resamples,
    corrected_rate,
    holm,
    smallest_difference,
    two_sided_p,
    wilson,
)

RUNS = 300


def coverage(clusters: list[str], draw) -> float:
    """How often the 95 % interval of simulated data holds the true mean, 0."""
    hits = 0
    for run in range(RUNS):
        values = draw(np.random.default_rng(run))
        estimate = Resamples(clusters, 300, seed=run).mean(values)
        hits += estimate.low <= 0 <= estimate.high
    return hits / RUNS


def test_intervals_hold_the_truth_when_probes_of_a_clause_move_together():
    size, probes = 30, 4
    members = np.repeat(np.arange(size), probes)

    def draw(rng):
        return rng.normal(size=size)[members] + 0.5 * rng.normal(size=size * probes)

    by_clause = coverage([f"c{i}" for i in members], draw)
    by_probe = coverage([f"p{i}" for i in range(len(members))], draw)
    assert 0.90 <= by_clause <= 0.98
    assert by_probe < 0.80  # what forgetting the clusters would cost


def test_the_mean_is_over_probes_and_its_error_matches_theory():
    values = np.random.default_rng(3).normal(size=400)
    estimate = Resamples([str(i) for i in range(400)], 4000, seed=1).mean(values)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.n == 400
    assert estimate.error == pytest.approx(values.std() / 20, rel=0.06)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)


def test_unequal_clusters_weigh_by_their_probes():
    estimate = Resamples(["x", "x", "x", "y"], 200, seed=0).mean(np.array([1.0, 1, 1, 0]))
    assert estimate.value == 0.75
    assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    clusters, values = [str(i // 2) for i in range(40)], np.random.default_rng(0).normal(size=40)
    first, again, other = (Resamples(clusters, 500, seed=s).mean(values) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_differences_on_the_same_draws_are_paired():
    rng = np.random.default_rng(5)
    hard = rng.normal(scale=3, size=60)
    resamples = Resamples([str(i // 2) for i in range(60)], 500, seed=0)
    better = hard + 0.2 + 0.01 * rng.normal(size=60)
    paired = resamples.mean(better - hard)
    assert paired.low > 0.15
    assert resamples.mean(better).low < resamples.mean(hard).high  # unpaired they overlap
    assert np.allclose(
        resamples.draws(better) - resamples.draws(hard), resamples.draws(better - hard)
    )


def test_what_was_not_measured_is_left_out():
    resamples = Resamples(["x", "y", "z"], 200, seed=0)
    estimate = resamples.mean(np.array([1.0, np.nan, 3.0]))
    assert (estimate.value, estimate.n) == (2.0, 2)
    assert (estimate.low, estimate.high) == (1.0, 3.0)
    assert resamples.mean(np.full(3, np.nan)) is None


def test_one_clause_has_no_interval():
    resamples = Resamples(["x", "x", "y"], 200, seed=0)
    estimate = resamples.mean(np.array([0.0, 1.0, np.nan]))
    assert (estimate.value, estimate.low, estimate.high, estimate.error) == (0.5, None, None, None)
    assert resamples.rate(np.array([1.0, 1.0, np.nan])).low is None


def test_a_rate_without_variation_does_not_claim_certainty():
    resamples = Resamples([str(i // 2) for i in range(20)], 200, seed=0)
    assert resamples.mean(np.ones(20)).low == 1.0
    estimate = resamples.rate(np.ones(20))
    assert estimate.value == estimate.high == 1.0
    assert estimate.low == pytest.approx(wilson(10, 10)[0])


def test_wilson_against_known_values():
    # Newcombe 1998, table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)


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
    error = 0.5
    true = smallest_difference(error)
    assert true == pytest.approx(2.8016 * error, rel=1e-4)
    seen = np.random.default_rng(0).normal(true, error, size=20_000)
    assert np.mean(np.abs(seen) > 1.96 * error) == pytest.approx(0.8, abs=0.01)


def test_two_sided_p():
    assert two_sided_p(np.arange(1.0, 100)) == pytest.approx(0.02)
    assert two_sided_p(-np.arange(1.0, 100)) == pytest.approx(0.02)
    assert two_sided_p(np.zeros(99)) == 1.0
    assert two_sided_p(np.array([-1.0, 1, np.nan, -2, 2])) == 1.0


@given(st.floats(0, 1), st.floats(0.55, 1))
def test_the_correction_undoes_a_judge_of_known_skill(true, skill):
    seen = true * skill + (1 - true) * (1 - skill)
    assert corrected_rate(np.array([seen]), np.array([skill]))[0] == pytest.approx(true, abs=1e-6)


def test_a_judge_no_better_than_chance_corrects_nothing():
    assert np.isnan(corrected_rate(np.array([0.6]), np.array([0.5]))[0])
