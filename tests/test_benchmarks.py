"""What the scripts under `benchmarks/` count, where that is not plain."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from fakes import probe


def script(name: str) -> ModuleType:
    path = Path(__file__).parent.parent / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_value_is_averaged_where_every_seed_has_it() -> None:
    in_all = script("results_table").in_all
    values = [{"rouge_l": 0.2, "grounding_gain": 1.0}, {"rouge_l": 0.4}]
    assert in_all(values, 2) == ({"rouge_l": pytest.approx(0.3)}, 1)
    assert in_all(values[1:], 2) == ({}, 1)  # one seed lacks the answer
    assert in_all([values[1], values[0]], 2)[1] == 1


def test_a_probe_that_goes_on_without_a_contrast_is_no_lost_question() -> None:
    reasons = {
        "no opposite": 3,
        "unfinished answer": 2,
        "both answers are the same": 1,
        "contrast left out: unfinished answer": 4,
        "contrast left out: both answers are the same": 1,
    }
    assert script("data_quality").lost_questions(reasons) == 3


def test_yes_is_told_from_no_whatever_the_leaning() -> None:
    told_apart = script("ablation")._told_apart
    probes = [probe(f"p{n}", "c", "Q?", text) for n, text in enumerate(["Yes.", "No.", "Open."])]
    # Margins of the right word: both lean to yes, the probe of yes more.
    assert told_apart(np.array([3.0, -1.0, np.nan]), probes) == 1
    assert told_apart(np.array([1.0, -3.0, np.nan]), probes) == 0
    assert told_apart(np.array([2.0, -2.0, np.nan]), probes) == 0.5
    assert np.isnan(told_apart(np.array([2.0, np.nan, np.nan]), probes))
