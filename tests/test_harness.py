"""Tasks of lm-evaluation-harness: read from a folder, asked of two models, compared in pairs."""

import json
from pathlib import Path

import pytest
from conftest import adhere

from adhere.errors import InputError
from adhere.evaluate.harness import harness, read_tasks
from adhere.progress import NoProgress
from adhere.settings import EvaluateSettings

TASK = """\
task: sums
dataset_path: json
dataset_kwargs:
  data_files: {rows}
test_split: train
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: choices
doc_to_target: right
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
"""
ROWS = 8


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one task of eight sums, of which no model can know the answers."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [
        {"question": f"{n} plus {n} is", "choices": [f" {2 * n}", f" {2 * n + 1}"], "right": n % 2}
        for n in range(ROWS)
    ]
    (folder / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    text = TASK.format(rows=folder / "sums.jsonl")
    (folder / "sums.yaml").write_text(text, encoding="utf-8")
    return folder


def test_each_question_counts_once_and_a_model_equals_itself(
    tasks: Path, tiny_student: Path
) -> None:
    students = {"base": (tiny_student, None), "sft+dpo": (tiny_student, None)}
    found = harness(students, read_tasks(tasks), NoProgress())
    part = found["tasks"]["sums"]
    base, ours = (part["systems"][system]["acc"] for system in students)
    assert base == ours
    assert base["n"] == ROWS
    assert base["value"] * ROWS == int(base["value"] * ROWS)  # whole answers
    assert 0 <= base["low"] < base["value"] + 1e-9 < base["high"] + 2e-9 <= 1 + 2e-9
    [difference] = part["differences"]
    assert (difference["a"], difference["b"], difference["value"]) == ("sft+dpo", "base", 0)
    assert part["higher_is_better"] == {"acc": True}
    assert found["notes"] == {}
    json.dumps(found, allow_nan=False)


def test_the_marks_are_the_harnesss_own(tasks: Path, tiny_student: Path) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    read = read_tasks(tasks)
    part = harness({"base": (tiny_student, None)}, read, NoProgress())["tasks"]["sums"]
    student = HFLM(pretrained=str(tiny_student), device="cpu", batch_size=3)
    own = simple_evaluate(student, tasks=["sums"], task_manager=read.manager, bootstrap_iters=0)
    assert own is not None
    assert part["systems"]["base"]["acc"]["value"] == own["results"]["sums"]["acc,none"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (None, "", "there is no such folder"),
        ("notes.txt", "nothing", "holds no task"),
        ("lost.yaml", TASK.format(rows="/nowhere/rows.jsonl"), "cannot load it"),
    ],
)
def test_a_folder_without_tasks_is_one_sentence(
    tmp_path: Path, name: str | None, text: str, message: str
) -> None:
    folder = tmp_path / "tasks"
    if name:
        folder.mkdir()
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_tasks(folder)


def test_the_command_asks_the_tasks_and_the_report_shows_them(run: Path, tasks: Path) -> None:
    said = adhere("evaluate", str(run), "--harness", str(tasks), "--quiet")
    assert said.code == 0, said.err
    summary = json.loads((run / "evaluate/summary.json").read_text(encoding="utf-8"))
    assert set(summary["costs"]["harness"]["tasks"]["sums"]["systems"]) == {"base", "sft+dpo"}
    assert adhere("report", str(run), "--quiet").code == 0
    page = (run / "report/report.html").read_text(encoding="utf-8")
    assert "Task sums of lm-evaluation-harness: acc" in page


def test_a_wrong_folder_stops_before_any_work(run: Path, tmp_path: Path) -> None:
    said = adhere("evaluate", str(run), "--harness", str(tmp_path / "none"))
    assert said.code == 2
    assert "there is no such folder of lm-evaluation-harness tasks" in said.err
    assert EvaluateSettings().harness is None
