"""From a document to the report by one command, and the files that scripts rely on."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import DOCUMENT, ON, Said

from adhere.errors import AdhereError
from adhere.records import (
    Answer,
    Clause,
    Document,
    Dropped,
    Example,
    Passage,
    PreferencePair,
    Probe,
    Verdict,
)
from adhere.stages import STAGES
from adhere.store import folder_hashes, read_records

SYSTEMS = ["base", "base+rag", "document-lm", "sft", "dpo", "sft+dpo", "sft+dpo+rag"]
METRICS = {
    "reference_nll",
    "preference_accuracy",
    "preference_margin",
    "yes_no_accuracy",
    "rouge_l",
    "embedding_similarity",
    "grounding_gain",
}


@pytest.fixture
def summary(finished: Path) -> dict[str, Any]:
    return json.loads((finished / "evaluate" / "summary.json").read_text(encoding="utf-8"))


def test_the_command_ends_with_the_table_and_the_paths(journey: tuple[Path, Said]) -> None:
    folder, said = journey
    for name in SYSTEMS:
        assert name in said.out
    assert f"Report: {folder / 'report' / 'report.html'}" in said.out
    assert f"Model:  {folder / 'dpo' / 'adapter'}" in said.out
    assert "withheld: the judge `asked`" in said.out
    for name in STAGES:
        assert f"\n{name}  " in f"\n{said.err}"
    assert "\r" not in said.err  # no bars where there is no terminal
    assert "\x1b" not in said.out + said.err


@pytest.mark.parametrize(
    ("name", "kind", "least"),
    [
        ("ingest/documents.jsonl", Document, 1),
        ("ingest/passages.jsonl", Passage, 5),
        ("clauses/clauses.jsonl", Clause, 11),
        ("clauses/dropped.jsonl", Dropped, 1),
        ("generate/examples.jsonl", Example, 20),
        ("generate/pairs.jsonl", PreferencePair, 15),
        ("generate/probes.jsonl", Probe, 15),
        ("generate/dropped.jsonl", Dropped, 0),
        ("curate/examples.jsonl", Example, 20),
        ("curate/pairs.jsonl", PreferencePair, 10),
        ("curate/probes.jsonl", Probe, 10),
        ("curate/dropped.jsonl", Dropped, 1),
        ("sft/dropped.jsonl", Dropped, 0),
        ("dpo/dropped.jsonl", Dropped, 0),
        ("evaluate/answers.jsonl", Answer, 50),
        ("evaluate/verdicts.jsonl", Verdict, 50),
        ("evaluate/dropped.jsonl", Dropped, 0),
    ],
)
def test_every_file_of_records_is_there(
    finished: Path, name: str, kind: type[Any], least: int
) -> None:
    assert len(read_records(finished / name, kind)) >= least


@pytest.mark.parametrize("stage", ["sft", "dpo", "dpo-alone", "document-lm"])
def test_adapters_are_in_the_layout_of_peft(finished: Path, stage: str) -> None:
    config = json.loads((finished / stage / "adapter" / "adapter_config.json").read_text())
    assert config["peft_type"] == "LORA"
    assert config["r"] == 4
    assert (finished / stage / "adapter" / "adapter_model.safetensors").stat().st_size > 1000


def test_the_four_adapters_differ(finished: Path) -> None:
    weights = {
        folder_hashes(finished / stage / "adapter")["adapter_model.safetensors"]
        for stage in ("sft", "dpo", "dpo-alone", "document-lm")
    }
    assert len(weights) == 4


def test_the_summary_has_every_field_of_the_contract(summary: dict[str, Any]) -> None:
    assert list(summary["systems"]) == SYSTEMS
    for metrics in summary["systems"].values():
        assert set(metrics) >= METRICS
        for name in METRICS:
            estimate = metrics[name]
            assert set(estimate) >= {"value", "low", "high", "n"}
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
            assert estimate["n"] > 0
    assert summary["win_rates"]
    for row in summary["win_rates"]:
        assert set(row) >= {"a", "b", "judge", "wins", "ties", "losses", "rate", "low", "high"}
        assert row["wins"] + row["ties"] + row["losses"] == row["n"]
    for row in summary["judges"]:
        assert set(row) >= {"name", "exam_accuracy", "low", "n", "admitted"}
    for row in summary["clauses"]:
        assert set(row) >= {
            "id",
            "document",
            "statement",
            "polarity",
            "stance",
            "examples",
            "pairs",
            "probes",
            "result",
        }
    costs = summary["costs"]
    tables = [
        summary["systems"],
        costs["permitted"].get("systems", {}),
        costs["general"]["systems"],
    ]
    measured = {metric for table in tables for row in table.values() for metric in row}
    assert {"nll", "perplexity", "rouge_l"} <= measured
    assert all(summary["metrics"][metric]["version"] for metric in measured | {"refused", "alpha"})
    assert summary["counts"]["ingest"] == {"documents": 1, "passages": 5}


def test_a_judge_that_failed_its_exam_has_no_win_rates(summary: dict[str, Any]) -> None:
    admitted = {judge["name"]: judge["admitted"] for judge in summary["judges"]}
    assert admitted == {"likelihood": True, "asked": False, "pointwise": False}
    assert {row["judge"] for row in summary["win_rates"]} == {"likelihood"}


def test_a_sentence_can_be_followed_from_the_document_to_the_answers(finished: Path) -> None:
    [document] = read_records(finished / "ingest/documents.jsonl", Document)
    passages = {one.id: one for one in read_records(finished / "ingest/passages.jsonl", Passage)}
    clauses = {one.id: one for one in read_records(finished / "clauses/clauses.jsonl", Clause)}
    probes = read_records(finished / "curate/probes.jsonl", Probe)
    answered = {
        (one.system, one.probe) for one in read_records(finished / "evaluate/answers.jsonl", Answer)
    }
    for clause in clauses.values():
        passage = passages[clause.passage]
        assert passage.start <= clause.start < clause.end <= passage.end
        if clause.stance == "explicit":
            assert document.text[clause.start : clause.end] == clause.statement
    assert [clause.statement for clause in clauses.values() if clause.stance == "implicit"] == [
        "standing by one another in trouble without asking whose fault it is"
    ]
    for probe in probes:
        assert probe.clause in clauses
        assert {(system, probe.id) for system in SYSTEMS} <= answered


def test_no_probe_is_trained_on(finished: Path) -> None:
    probes = read_records(finished / "curate/probes.jsonl", Probe)
    examples = read_records(finished / "curate/examples.jsonl", Example)
    pairs = read_records(finished / "curate/pairs.jsonl", PreferencePair)
    trained = {(row.clause, row.kind) for row in (*examples, *pairs)}
    assert not trained & {(probe.clause, probe.kind) for probe in probes}
    assert not {row.question for row in (*examples, *pairs)} & {probe.question for probe in probes}


def test_the_report_is_one_file_that_shows_the_run(finished: Path) -> None:
    assert set(folder_hashes(finished / "report")) == {"report.html"}
    page = (finished / "report" / "report.html").read_text(encoding="utf-8")
    assert DOCUMENT.name in page
    assert "Members must wear a life jacket on the river" in page
    assert "near twin of a probe" in page
    assert re.search(r'<th scope="row">evaluate</th><td class="number">\d[^<]*</td>', page)
    assert not re.search(r"(?:src|href)=['\"]?(?:https?:)?//", page)


def test_the_same_command_again_finds_everything_up_to_date_in_seconds(run: Path) -> None:
    before, started = folder_hashes(run), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", "from adhere.cli import main; main()", "run", str(run)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.perf_counter() - started < 10
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("up to date") == len(ON)
    assert "sft+dpo" in done.stdout
    assert folder_hashes(run) == before


def test_a_run_folder_can_be_moved(run: Path, tmp_path: Path) -> None:
    """Nothing in a run depends on where it lies; `run` is itself a copy."""
    from adhere.pipeline import standings
    from adhere.settings import RunSettings

    moved = run.rename(tmp_path / "moved")
    found = standings(moved, RunSettings.read(moved / "run.toml"))
    assert [one.stage for one in found if one.state == "up to date"] == ON


def test_errors_on_purpose_leave_with_exit_code_2() -> None:
    assert {kind.exit_code for kind in (AdhereError, *AdhereError.__subclasses__())} == {2}
