"""The forecast of a dry run, against what a run really asks."""

from pathlib import Path
from typing import Any

import pytest
from conftest import ON

from adhere.bench import Bench
from adhere.errors import AdhereError, InputError
from adhere.forecast import (
    KEPT,
    Forecast,
    _asked_for_rows,
    _asked_of_systems,
    _rows_made,
    forecast,
    lacking,
    read_texts,
    unasked,
)
from adhere.progress import NoProgress
from adhere.settings import EvaluateSettings, GenerateSettings, ModelSettings, RunSettings
from adhere.stages import STAGES
from adhere.store import read_manifest
from adhere.train.memory import shape_of
from adhere.train.plan import Machine


def rows_of(run: Path, settings: RunSettings) -> list[Forecast]:
    return forecast(run, settings, read_texts(run, settings))


def requests(run: Path, settings: RunSettings) -> dict[str, int]:
    return {
        row.stage: int(row.requests.removeprefix("about ").replace(",", ""))
        for row in rows_of(run, settings)
        if row.requests
    }


def test_there_is_a_row_for_every_stage_in_order(tmp_path: Path, run_settings: RunSettings) -> None:
    rows = rows_of(tmp_path, run_settings)
    assert [row.stage for row in rows] == list(STAGES)
    assert all(row.what == STAGES[row.stage].does for row in rows if row.stage in ON)
    off = run_settings.merge({"midtrain": {"enabled": False}}, "test")
    assert [row.stage for row in rows_of(tmp_path, off) if row.what == "off"] == [
        "rewrite",
        "midtrain",
    ]
    assert {row.stage for row in rows if row.seconds} == set(ON) - {"ingest", "report"}
    assert set(requests(tmp_path, run_settings)) == {"clauses", "generate", "curate", "evaluate"}


@pytest.mark.parametrize(
    ("rows", "clauses", "made", "requests"),
    [
        ((3, 3, 2), 59, (64, 46, 51), 2808),  # the Universal Declaration
        ((2, 2, 2), 78, (52, 49, 70), 2836),  # GitLab's code of business conduct
    ],
)
def test_the_rows_and_requests_are_near_what_was_measured(
    rows: tuple[int, int, int], clauses: int, made: tuple[int, int, int], requests: int
) -> None:
    """With the embedded teacher: `PASSED` has its numbers from these runs."""
    names = ("examples", "pairs", "probes")
    settings = GenerateSettings.model_validate(
        dict(zip(names, rows, strict=True)) | {"attempts": 2}
    )
    found = _rows_made(settings, clauses)
    assert [found[name] for name in names] == pytest.approx(made, rel=0.3)
    assert _asked_for_rows(settings, clauses) == pytest.approx(requests, rel=0.15)


def test_the_requests_of_an_evaluation_are_near_what_was_measured() -> None:
    assert _asked_of_systems(EvaluateSettings(), 46, 53) == pytest.approx(3412, rel=0.1)


def test_more_attempts_make_more_rows_and_ask_more_questions(
    tmp_path: Path, run_settings: RunSettings
) -> None:
    found = [
        requests(tmp_path, run_settings.merge({"generate": {"attempts": attempts}}, "test"))
        for attempts in (1, 2, 5)
    ]
    for name in ("generate", "curate", "evaluate"):
        few, some, many = (each[name] for each in found)
        assert few < some < many


def test_a_training_is_forecast_by_the_rows_that_there_are(
    tmp_path: Path, finished: Path, run_settings: RunSettings
) -> None:
    settings = RunSettings.read(finished / "run.toml").merge({"sft": {"epochs": 7}}, "test")
    curate = read_manifest(finished / "curate")
    assert curate is not None
    rows = {row.stage: row for row in rows_of(finished, settings)}
    guesses = {row.stage: row for row in rows_of(tmp_path, settings)}
    assert rows["curate"].what == "up to date"
    guessed = guesses["clauses"].requests  # one a sentence
    clauses = round(0.7 * int(guessed.removeprefix("about ")))
    guess = KEPT["examples"] * _rows_made(settings.generate, clauses)["examples"]
    share = curate.counts["examples"] / guess
    assert rows["sft"].seconds == pytest.approx(share * (guesses["sft"].seconds or 0))


def test_more_of_everything_takes_longer(tmp_path: Path, run_settings: RunSettings) -> None:
    more = run_settings.merge(
        {"generate": {"examples": 9, "pairs": 9, "probes": 3}, "dpo": {"epochs": 5}}, "test"
    )
    before = {row.stage: row.seconds for row in rows_of(tmp_path, run_settings)}
    after = {row.stage: row.seconds for row in rows_of(tmp_path, more)}
    for name in ("generate", "curate", "sft", "dpo", "dpo-alone", "document-lm", "evaluate"):
        assert after[name] > before[name]
    assert after["clauses"] == before["clauses"]


def test_the_opponents_training_takes_as_long_as_all_those_behind_the_model(
    tmp_path: Path, run_settings: RunSettings
) -> None:
    for enabled in (True, False):
        settings = run_settings.merge({"midtrain": {"enabled": enabled}}, "test")
        rows = {row.stage: row.seconds for row in rows_of(tmp_path, settings)}
        assert rows["document-lm"] == pytest.approx(
            sum(rows[name] or 0 for name in ("midtrain", "sft", "dpo"))
        )


def test_an_embedded_teacher_takes_longer_on_a_cpu_without_bfloat16(
    tmp_path: Path, run_settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = {"models": {"teacher": ModelSettings().teacher}}
    here = run_settings.merge(embedded, "test")
    there = run_settings.merge({"models": {"teacher": "http://localhost:8000/v1#m"}}, "test")

    def generating(settings: RunSettings, *, able: bool) -> float:
        monkeypatch.setattr("adhere.forecast.cpu_has_bfloat16", lambda: able)
        rows = {row.stage: row.seconds for row in rows_of(tmp_path, settings)}
        return rows["generate"] or 0

    assert generating(here, able=False) == pytest.approx(3.5 * generating(here, able=True))
    assert generating(there, able=False) == pytest.approx(generating(there, able=True))


TRAININGS = [name for name, stage in STAGES.items() if stage.resumes]


def trainings(settings: RunSettings, folder: Path) -> list[float | None]:
    return [row.seconds for row in rows_of(folder, settings) if row.stage in TRAININGS]


def test_a_training_takes_as_long_as_its_model_is_large(
    tmp_path: Path, run_settings: RunSettings, tiny_student: Path
) -> None:
    """By the student's parameters; those of the default one are known before it is fetched."""
    from adhere.train.plan import SMALL

    student = {"models": {"student": ModelSettings().student}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adhere.forecast.checkpoint_here", lambda name: None)
        default = trainings(run_settings.merge(student, "test"), tmp_path)
        elsewhere = {"models": {"student": "some/7b-model"}}
        assert set(trainings(run_settings.merge(elsewhere, "test"), tmp_path)) == {None}
    parameters = shape_of(tiny_student).parameters
    scaled = [seconds and seconds * parameters / SMALL for seconds in default]
    assert trainings(run_settings, tmp_path) == pytest.approx(scaled)


def test_how_long_a_training_takes_on_a_gpu_is_not_known(
    tmp_path: Path, run_settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Machine(free=24e9, bf16=True, gpu=True)
    monkeypatch.setattr("adhere.train.this_machine", lambda: gpu)
    assert set(trainings(run_settings, tmp_path)) == {None}


def test_what_is_up_to_date_takes_no_time(finished: Path, run_settings: RunSettings) -> None:
    rows = [row for row in rows_of(finished, run_settings) if row.stage in ON]
    assert {(row.what, row.requests, row.seconds) for row in rows} == {("up to date", "", 0.0)}
    changed = run_settings.merge({"evaluate": {"retrieved": 1}}, "test")
    todo = [
        row.stage for row in rows_of(finished, changed) if row.what not in ("up to date", "off")
    ]
    assert todo == ["evaluate", "report"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": {"student": "smollm2-135m-instrukt"}}, "Did you mean 'smollm2-135m-instruct'"),
        ({"models": {"embedder": "all-minilm"}}, "Did you mean 'all-minilm-l6-v2'?"),
        ({"models": {"teacher": "foo:bar"}}, "'foo:bar' is no engine address"),
        ({"models": {"teacher": "scripted:nofile.toml"}}, "nofile.toml: cannot be read"),
        ({"models": {"teacher": "openvino:qwen2.5-coder"}}, "mean 'qwen2.5-coder-1.5b-instruct'"),
        ({"models": {"teacher": "openvino:all-minilm-l6-v2"}}, "is no GGUF file"),
        ({"models": {"teacher": "transformers:a/b+none"}}, "none: no adapter_config.json"),
        ({"evaluate": {"judges": ["openvino:nope"]}}, "'nope' is no model that is known here"),
        ({"evaluate": {"systems": {"other": "transformers:nope"}}}, "'nope' is no model"),
        ({"evaluate": {"pairs": "none.jsonl"}}, "none.jsonl: no such file"),
        ({"evaluate": {"refusals": "none.csv"}}, "none.csv: no such file"),
    ],
)
def test_a_dry_run_says_in_the_runs_words_what_it_would_be_refused_for(
    tmp_path: Path, run_settings: RunSettings, changes: dict[str, Any], message: str
) -> None:
    todo = [name for name in ON if name != "ingest"]
    settings = run_settings.merge(changes, "test")
    assert lacking(run_settings, todo) == []
    [said] = lacking(settings, todo)
    assert message in said
    assert unasked(settings, todo) == []
    with pytest.raises(AdhereError) as error:
        Bench(tmp_path, settings, NoProgress()).check()
    assert str(error.value) == said
    assert lacking(settings, ["report"]) == []


def test_all_that_is_wrong_is_said_and_what_can_be_fetched_is_not(
    run_settings: RunSettings,
) -> None:
    wrong = {
        "models": {"student": "nope", "embedder": "org/nobody-has-this"},
        "evaluate": {"pairs": "none.jsonl", "refusals": "none.csv", "harness": "no-tasks"},
    }
    settings = run_settings.merge(wrong, "test")
    said = lacking(settings, ["clauses"])
    assert [one.split(" ")[0] for one in said[:2]] == ["none.jsonl:", "none.csv:"]
    assert any(name in said[2] for name in ("no-tasks: there is no such folder", "lm_eval"))
    assert "'nope' is no model that is known here" in said[3]
    assert len(said) == 4
    assert unasked(settings, ["clauses"]) == [
        "org/nobody-has-this is not on this machine, and will be fetched."
    ]


def test_a_document_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.md: no such file"):
        rows_of(tmp_path, RunSettings(documents=("none.md",)))
