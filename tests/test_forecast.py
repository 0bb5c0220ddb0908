"""The forecast of a dry run, against what a run really asks."""

from pathlib import Path

import pytest
from conftest import ON

from adhere.errors import InputError
from adhere.forecast import forecast
from adhere.settings import RunSettings
from adhere.stages import STAGES
from adhere.store import read_manifest


def requests(run: Path, settings: RunSettings) -> dict[str, int]:
    return {
        row.stage: int(row.requests.removeprefix("about ").replace(",", ""))
        for row in forecast(run, settings)
        if row.requests
    }


def test_there_is_a_row_for_every_stage_in_order(tmp_path: Path, run_settings: RunSettings) -> None:
    rows = forecast(tmp_path, run_settings)
    assert [row.stage for row in rows] == list(STAGES)
    assert all(row.what == STAGES[row.stage].does for row in rows if row.stage in ON)
    off = run_settings.merge({"midtrain": {"enabled": False}}, "test")
    assert [row.stage for row in forecast(tmp_path, off) if row.what == "off"] == [
        "rewrite",
        "midtrain",
    ]
    assert {row.stage for row in rows if row.seconds} == set(ON) - {"ingest", "report"}
    assert set(requests(tmp_path, run_settings)) == {"clauses", "generate", "curate", "evaluate"}


def test_the_numbers_are_near_what_a_run_comes_to(
    tmp_path: Path, finished: Path, run_settings: RunSettings
) -> None:
    """Within a factor of two, for a document of which most sentences are rules."""
    clauses = read_manifest(finished / "clauses")
    generate = read_manifest(finished / "generate")
    assert clauses is not None
    assert generate is not None
    made = generate.counts
    real = {
        "clauses": 14 + 2,
        "generate": clauses.counts["clauses"]
        + 2 * sum(made[name] for name in ("examples", "pairs", "probes"))
        + made["pairs"]
        + made["probes"],
    }
    expected = requests(tmp_path, run_settings)
    for name, count in real.items():
        assert count / 2 <= expected[name] <= count * 2


def test_more_of_everything_takes_longer(tmp_path: Path, run_settings: RunSettings) -> None:
    more = run_settings.merge(
        {"generate": {"examples": 9, "pairs": 9, "probes": 3}, "dpo": {"epochs": 5}}, "test"
    )
    before = {row.stage: row.seconds for row in forecast(tmp_path, run_settings)}
    after = {row.stage: row.seconds for row in forecast(tmp_path, more)}
    for name in ("generate", "curate", "sft", "dpo", "dpo-alone", "document-lm", "evaluate"):
        assert after[name] > before[name]
    assert after["clauses"] == before["clauses"]


def test_what_is_up_to_date_takes_no_time(finished: Path, run_settings: RunSettings) -> None:
    rows = [row for row in forecast(finished, run_settings) if row.stage in ON]
    assert {(row.what, row.requests, row.seconds) for row in rows} == {("up to date", "", 0.0)}
    changed = run_settings.merge({"evaluate": {"retrieved": 1}}, "test")
    todo = [
        row.stage for row in forecast(finished, changed) if row.what not in ("up to date", "off")
    ]
    assert todo == ["evaluate", "report"]


def test_a_document_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.md: no such file"):
        forecast(tmp_path, RunSettings(documents=("none.md",)))
