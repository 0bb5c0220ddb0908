"""Krippendorff's alpha against his own worked example, and the rows of the summary."""

import numpy as np
import pytest

from adhere.evaluate.agreement import agreement, krippendorff_alpha
from adhere.records import Verdict


def verdict(judge: str, probe: str, winner: str, **more) -> Verdict:
    return Verdict(judge=judge, probe=probe, a="x", b="y", winner=winner, **more)


def test_alpha_against_krippendorff_s_worked_example():
    # Krippendorff 2011, example D: 4 observers, 12 units, missing data; interval alpha 0.849.
    observers = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    ratings = [
        (str(observer), unit, float(value))
        for observer, row in enumerate(observers)
        for unit, value in enumerate(row.split())
        if value != "."
    ]
    assert krippendorff_alpha(ratings) == pytest.approx(0.849, abs=5e-4)


def test_alpha_of_chance_is_near_zero_and_of_full_agreement_one():
    rng = np.random.default_rng(0)
    said = rng.choice([0.0, 0.5, 1.0], size=(2, 600))
    noise = [(str(rater), item, said[rater, item]) for rater in range(2) for item in range(600)]
    assert krippendorff_alpha(noise) == pytest.approx(0, abs=0.1)
    same = [(str(rater), item, said[0, item]) for rater in range(2) for item in range(600)]
    assert krippendorff_alpha(same) == pytest.approx(1)


def test_alpha_needs_shared_items_that_differ():
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([("x", 1, 1.0), ("y", 2, 0.0)]) is None
    assert krippendorff_alpha([("x", 1, 1.0), ("y", 1, 1.0)]) is None


def test_each_two_judges_and_all_of_them_have_a_row():
    verdicts = [
        *(verdict("likelihood", probe, winner) for probe, winner in zip("pqr", "aab", strict=True)),
        *(verdict("asked", probe, winner) for probe, winner in zip("pqr", "abb", strict=True)),
        verdict("people", "p", "a"),
        verdict("people", "q", "tie", unreadable=True),
    ]
    rows = agreement(verdicts)
    assert [row["judges"] for row in rows] == [
        ["likelihood", "asked"],
        ["likelihood", "people"],
        ["asked", "people"],
        ["likelihood", "asked", "people"],
    ]
    first, second, _, everyone = rows
    assert (first["n"], first["same"]) == (3, pytest.approx(2 / 3))
    assert 0 < first["alpha"] < 1
    assert (second["n"], second["same"], second["alpha"]) == (1, 1.0, None)
    assert everyone["n"] == 3


def test_one_judge_alone_agrees_with_nobody():
    assert agreement([verdict("asked", "p", "a")]) == []
    apart = agreement([verdict("asked", "p", "a"), verdict("people", "q", "a")])
    assert (apart[0]["n"], apart[0]["same"], apart[0]["alpha"]) == (0, None, None)
