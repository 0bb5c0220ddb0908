"""The evaluation in Inspect's format: written and read back by inspect_ai itself."""

import json
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import adhere
from fakes import finish

from adhere.records import Answer, Clause, Document, Dropped, Passage, Probe, ProbeScore, Verdict
from adhere.settings import RunSettings
from adhere.store import read_records, write_records


def read(path: Path) -> Any:
    from inspect_ai.log import read_eval_log

    return read_eval_log(str(path))


def summary(run: Path) -> dict[str, Any]:
    return json.loads((run / "evaluate/summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def logs(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """System -> its log, read back."""
    out = tmp_path_factory.mktemp("inspect") / "logs"
    said = adhere("export-inspect", str(finished), "--out", str(out))
    assert said.code == 0, said.err
    assert said.out.splitlines()[-1] == f"To look at them: inspect view --log-dir {out}"
    return {path.stem: read(path) for path in out.iterdir()}


def test_every_system_has_a_log_with_every_probe_and_its_answer(
    finished: Path, logs: dict[str, Any]
) -> None:
    assert set(logs) == set(summary(finished)["systems"])
    probes = {probe.id: probe for probe in read_records(finished / "curate/probes.jsonl", Probe)}
    answers = {
        (answer.system, answer.probe): answer
        for answer in read_records(finished / "evaluate/answers.jsonl", Answer)
    }
    for system, log in logs.items():
        assert (log.status, log.eval.model, log.eval.task) == ("success", system, finished.name)
        assert {sample.id for sample in log.samples} == set(probes)
        assert log.results.completed_samples == log.results.total_samples == len(probes)
        for sample in log.samples:
            probe, answer = probes[sample.id], answers[system, sample.id]
            assert (sample.input, sample.target) == (probe.question, probe.reference)
            assert sample.metadata["contrast"] == probe.contrast
            assert sample.output.completion == answer.text
            assert [message.role for message in sample.messages] == ["user", "assistant"]
            assert (
                sample.output.stop_reason == {"stop": "stop", "length": "max_tokens"}[answer.finish]
            )
    manifest = json.loads((finished / "evaluate/manifest.json").read_text(encoding="utf-8"))
    for log in logs.values():
        began, ended = (
            datetime.fromisoformat(moment)
            for moment in (log.stats.started_at, log.stats.completed_at)
        )
        assert (ended - began).total_seconds() == pytest.approx(manifest["seconds"], abs=1)
    assert len({log.eval.eval_id for log in logs.values()}) == len(logs)


def test_a_sample_leads_back_to_its_sentence(finished: Path, logs: dict[str, Any]) -> None:
    clauses = {one.id: one for one in read_records(finished / "clauses/clauses.jsonl", Clause)}
    texts = {
        one.name: one.text for one in read_records(finished / "ingest/documents.jsonl", Document)
    }
    for sample in logs["base"].samples:
        about = sample.metadata
        assert about["statement"] == clauses[about["clause"]].statement
        assert texts[about["document"]][about["start"] : about["end"]] == about["text"]
        assert about["result"]
        assert about["read"] == []
    passages = {one.id for one in read_records(finished / "ingest/passages.jsonl", Passage)}
    for sample in logs["base+rag"].samples:
        assert sample.metadata["read"]
        assert set(sample.metadata["read"]) <= passages


def test_scores_and_results_are_those_of_the_run(finished: Path, logs: dict[str, Any]) -> None:
    measured = summary(finished)
    scores = read_records(finished / "evaluate/scores.jsonl", ProbeScore)
    for score in scores:
        [sample] = [one for one in logs[score.system].samples if one.id == score.probe]
        found = {name: sample.scores[name].value for name in score.values}
        assert found == score.values
        assert {sample.scores[name].answer for name in found} == {sample.output.completion}
    for system, metrics in measured["systems"].items():
        results = {one.name: one for one in logs[system].results.scores}
        for metric, estimate in metrics.items():
            result = results[metric]
            assert result.scored_samples == estimate["n"]
            assert result.metadata == measured["metrics"][metric]
            assert {name: one.value for name, one in result.metrics.items()} == {
                key: number
                for key, number in (
                    ("mean", estimate["value"]),
                    ("low", estimate["low"]),
                    ("high", estimate["high"]),
                )
                if number is not None
            }


def test_a_verdict_is_a_score_of_both_systems(finished: Path, logs: dict[str, Any]) -> None:
    verdicts = read_records(finished / "evaluate/verdicts.jsonl", Verdict)
    assert verdicts
    for verdict in verdicts:
        sides = []
        for own, other in ((verdict.a, verdict.b), (verdict.b, verdict.a)):
            [sample] = [one for one in logs[own].samples if one.id == verdict.probe]
            sides.append(sample.scores[f"{verdict.judge} against {other}"])
        first, second = sides
        assert first.value == {"a": 1, "tie": 0.5, "b": 0}[verdict.winner]
        assert first.value + second.value == 1
        assert first.metadata["margin"] == verdict.margin == -second.metadata["margin"]
    for row in summary(finished)["win_rates"]:
        for own, other, rate in ((row["a"], row["b"], row["rate"]), (row["b"], row["a"], None)):
            name = f"{row['judge']} against {other}"
            [result] = [one for one in logs[own].results.scores if one.name == name]
            found = {name: one.value for name, one in result.metrics.items()}
            assert found["win rate"] == (row["rate"] if rate is not None else 1 - row["rate"])
            assert found["low"] <= found["win rate"] <= found["high"]


def test_a_probe_that_was_not_answered_says_why(run: Path) -> None:
    answers = read_records(run / "evaluate/answers.jsonl", Answer)
    lost = answers[0]
    write_records(run / "evaluate/answers.jsonl", answers[1:])
    drop = Dropped(
        record_id=lost.probe,
        stage="evaluate",
        reason="no answer",
        detail=f"{lost.system}: out of reach",
    )
    write_records(run / "evaluate/dropped.jsonl", [drop])
    assert adhere("export-inspect", str(run)).code == 0
    log = read(run / "inspect" / f"{lost.system}.eval")
    [sample] = [one for one in log.samples if one.id == lost.probe]
    assert sample.error.message == f"{lost.system}: out of reach"
    assert log.results.completed_samples == log.results.total_samples - 1


def test_settings_are_those_that_the_run_was_made_with(
    run: Path, run_settings: RunSettings
) -> None:
    now = {"models": {"teacher": "http://there:1/v1#t"}, "evaluate": {"max_tokens": 99, "seed": 5}}
    run_settings.merge(now, "test").write(run / "run.toml")
    assert adhere("export-inspect", str(run)).code == 0
    made = read(run / "inspect" / "base.eval").eval
    assert made.metadata["teacher"] == run_settings.models.teacher
    assert made.metadata["student"] == run_settings.models.student
    assert (made.model_generate_config.max_tokens, made.model_generate_config.seed) == (8, 0)


def test_only_logs_of_the_same_names_are_replaced(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "logs"
    out.mkdir()
    for name in ("2026-01-01_theirs.eval", "letter.txt", "base.eval"):
        (out / name).write_text("Dear")
    assert adhere("export-inspect", str(run), "--out", str(out)).code == 0
    assert (out / "2026-01-01_theirs.eval").read_text() == "Dear"
    assert (out / "letter.txt").read_text() == "Dear"
    assert read(out / "base.eval").eval.model == "base"
    assert not list(out.glob("*.partial"))
    said = adhere("export-inspect", str(run), "--out", str(out / "letter.txt"))
    assert (said.code, "is a file" in said.err) == (2, True)
    assert (out / "letter.txt").read_text() == "Dear"


def test_a_run_that_is_not_evaluated_or_not_any_more_is_refused(run: Path) -> None:
    probes = read_records(run / "curate/probes.jsonl", Probe)
    write_records(run / "curate/probes.jsonl", probes[1:])
    said = adhere("export-inspect", str(run))
    assert (said.code, "no longer there" in said.err) == (2, True)
    shutil.rmtree(run / "evaluate")
    said = adhere("export-inspect", str(run))
    assert (said.code, "not evaluated yet" in said.err) == (2, True)
    assert not (run / "inspect").exists()


def test_an_evaluation_of_another_model_makes_no_logs(tmp_path: Path) -> None:
    RunSettings().write(tmp_path / "run.toml")
    finish(tmp_path, "dpo", "before")
    finish(tmp_path, "evaluate", "numbers", "dpo")
    (tmp_path / "evaluate/summary.json").write_text('{"systems": {}}', encoding="utf-8")
    finish(tmp_path, "dpo", "trained anew")
    said = adhere("export-inspect", str(tmp_path))
    assert said.code == 2
    assert "'evaluate' is out of date, since 'dpo' is another now; run `adhere ev" in said.err
    assert not (tmp_path / "inspect").exists()


def test_without_inspect_the_extra_is_named(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    said = adhere("export-inspect", str(finished), "--out", str(tmp_path / "logs"))
    assert (said.code, "pip install 'adhere[inspect]'" in said.err) == (2, True)
