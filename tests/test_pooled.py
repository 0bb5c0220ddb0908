"""Means of small groups, with the spread of all of them."""

from random import Random

import pytest
from fakes import probe
from scipy.stats import t

from adhere.evaluate.pooled import clause_gains, pooled_means
from adhere.records import ProbeScore


def test_the_spread_within_groups_is_pooled() -> None:
    found = pooled_means({"a": [1.0, 3.0], "b": [5.0, 5.0], "c": [4.0]})
    assert {name: mean.mean for name, mean in found.items()} == {"a": 2.0, "b": 5.0, "c": 4.0}
    assert {mean.freedom for mean in found.values()} == {2}
    assert found["a"].error == found["b"].error == pytest.approx(2**-0.5)
    assert found["c"].error == pytest.approx(1.0)
    low, high = found["c"].interval()
    assert (low + high) / 2 == pytest.approx(4.0)
    assert high - 4.0 == pytest.approx(float(t.ppf(0.975, 2)))


def test_groups_of_one_say_nothing() -> None:
    assert pooled_means({"a": [1.0], "b": [2.0]}) == {}
    assert pooled_means({}) == {}


def test_an_error_of_nothing_is_certain() -> None:
    found = pooled_means({"a": [1.0, 1.0]})["a"]
    assert found.interval() == (1.0, 1.0)
    assert (found.p_above(0.9), found.p_above(1.0), found.p_above(1.1)) == (0.0, 1.0, 1.0)


def test_the_two_sided_p_agrees_with_the_interval() -> None:
    found = pooled_means({"a": [1.0, 3.0], "b": [5.0, 5.0], "c": [4.0], "d": [0.0, 0.0]})
    for mean in found.values():
        low, high = mean.interval()
        assert (mean.p_differs() < 0.05) == (low > 0 or high < 0)
        larger = max(mean.p_above(0), 1 - mean.p_above(0))
        assert mean.p_differs() == pytest.approx(2 * (1 - larger))
    assert pooled_means({"a": [0.0, 0.0]})["a"].p_differs() == 1
    assert pooled_means({"a": [1.0, 1.0]})["a"].p_differs() == 0


def test_intervals_hold_the_truth_as_often_as_they_promise() -> None:
    random, held, runs = Random(3), 0, 400
    for _ in range(runs):
        groups = {f"{n}": [random.gauss(n, 1) for _ in range(2)] for n in range(8)}
        low, high = pooled_means(groups)["5"].interval()
        held += low <= 5 <= high
    assert 0.92 < held / runs < 0.98


def test_gains_are_of_probes_that_both_systems_were_scored_on() -> None:
    probes = [probe(f"p{n}", "c", "What now?", "Rest.") for n in range(3)]
    values = {"base": (3.0, 2.0, 9.0), "sft": (1.0, 1.0)}
    scores = [
        ProbeScore(system=system, probe=f"p{n}", values={"reference_nll": value})
        for system, found in values.items()
        for n, value in enumerate(found)
    ]
    found = clause_gains(probes, scores, "base", "sft")["c"]
    assert (found.mean, found.freedom) == (1.5, 1)
