"""The run files under `examples/` are whole, without a GPU and without a network."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Said, adhere

from adhere import forecast
from adhere.settings import RunSettings
from adhere.stages import STAGES, is_on, parents
from adhere.train import loading

ROOT = Path(__file__).parent.parent
RUN_FILES = sorted((ROOT / "examples").rglob("*.toml"))
MISTRAL = ROOT / "examples" / "mistral-7b" / "run.toml"


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, no GPU, no weights, no package for 4 bits; and the repository's top folder."""

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a dry run asks nobody")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    monkeypatch.setattr(forecast, "is_here", lambda name: False)
    monkeypatch.setattr(forecast, "checkpoint_here", lambda name: None)
    monkeypatch.chdir(ROOT)


def dry_run(file: Path, folder: Path, *flags: str) -> Said:
    said = adhere("run", str(file), "--out", str(folder), "--dry-run", *flags)
    refused = said.out.split("\n")[1] == "The run would be refused until this is mended:"
    assert said.code == (2 if refused else 0), said.err
    assert not folder.exists()
    return said


@pytest.mark.parametrize("file", RUN_FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_run_file_is_whole(file: Path, tmp_path: Path) -> None:
    said = dry_run(file, tmp_path / "run")
    for name in STAGES:
        assert f" {name} " in said.out


def test_the_papers_set_up_is_whole_and_says_what_this_machine_lacks(tmp_path: Path) -> None:
    chosen = RunSettings.read(MISTRAL)
    assert chosen.sft.tuning == chosen.dpo.tuning == "qlora"
    whole = dry_run(MISTRAL, tmp_path / "run")
    said = whole.out
    assert whole.code == 2
    assert said.count("not known") == 4  # how long sft, dpo, dpo-alone and document-lm take
    assert said.splitlines()[1:4] == [
        "The run would be refused until this is mended:",
        "- tuning = 'qlora' needs a CUDA GPU, and there is none; take 'lora'.",
        "- tuning = 'qlora' needs the package 'bitsandbytes'; pip install 'adhere[qlora]'.",
    ]
    assert said.split("┘")[1].splitlines()[1:] == [
        "Times of requests are those of the models that come by default; yours will differ.",
        "When it starts:",
        "- http://localhost:8000/v1#teacher must answer; it was not asked now.",
        "- mistralai/Mistral-7B-Instruct-v0.3 is not on this machine, and will be fetched.",
        "- all-minilm-l6-v2 is not on this machine, and will be fetched.",
    ]


def test_the_papers_set_up_can_be_run_stage_by_stage_as_its_readme_says() -> None:
    """Each stage finds what it reads from, and no training is left to the last `adhere run`."""
    chosen = RunSettings.read(MISTRAL)
    shown = (MISTRAL.parent / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^adhere (\S+) runs/mistral$", shown, re.MULTILINE)
    assert named.pop() == "run"
    for place, name in enumerate(named):
        assert set(parents(name, chosen)) <= set(named[:place]), name
    trainings = {name for name, stage in STAGES.items() if stage.resumes and is_on(name, chosen)}
    assert trainings <= set(named)


def test_what_is_there_is_not_lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "is_here", lambda name: True)
    said = dry_run(ROOT / "examples" / "code-of-conduct.md", tmp_path / "run").out
    assert said.endswith("┘\n")
    said = dry_run(MISTRAL, tmp_path / "run", "--sft.tuning=lora", "--dpo.tuning=lora").out
    assert "cannot" not in said


def test_a_dry_run_says_how_each_training_would_be_done(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "checkpoint_here", lambda name: tiny_student)
    flags = ["--midtrain.no-enabled", "--dpo.micro-batch-size=2", "--dpo.tuning=full"]
    said = dry_run(ROOT / "examples" / "code-of-conduct.md", tmp_path / "run", *flags).out
    lines = said.split("Trainings, with rows as long as they may be:\n")[1].splitlines()
    assert [line.split(";")[0] for line in lines[:4]] == [
        "- sft: lora, learning rate 0.0004, steps of 8 rows, at once",
        "- dpo: full, learning rate 3e-05, steps of 8 rows, 2 at a time",
        "- dpo-alone: full, learning rate 3e-05, steps of 8 rows, 2 at a time",
        "- document-lm: lora, learning rate 0.0004, steps of 8 rows, at once",
    ]
    assert all("of memory (" in line and "GB free." in line for line in lines[:4])


def test_all_that_is_lacking_is_said_at_once(tmp_path: Path) -> None:
    flags = ["--sft.general=none.jsonl", "--tracking.report-to=mlflow"]
    said = dry_run(MISTRAL, tmp_path / "run", *flags).out
    for lacking in ("CUDA", "bitsandbytes", "none.jsonl: no such file", "pip install mlflow"):
        assert lacking in said
