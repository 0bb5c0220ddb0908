"""The engines that judge: the teacher where none is given, and never where one is."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import SCRIPT
from fakes import Notes, finish

from adhere.bench import Bench
from adhere.cli import app
from adhere.errors import AdhereError, InputError
from adhere.models import weights_mark
from adhere.progress import NoProgress
from adhere.records import Document
from adhere.settings import RunSettings
from adhere.store import read_manifest, write_manifest

TEACHER = f"scripted:{SCRIPT}"


def bench(run: Path, *judges: str) -> Bench:
    data: dict[str, Any] = {"models": {"teacher": TEACHER}, "evaluate": {"judges": list(judges)}}
    return Bench(run, RunSettings.parse(data, "test"), NoProgress())


def test_the_teacher_judges_where_no_other_is_given(tmp_path: Path) -> None:
    one = bench(tmp_path)
    assert one.judges == [one.engine]


def test_the_teacher_does_not_judge_where_another_is_given(tmp_path: Path) -> None:
    address = "http://localhost:1/v1#big"
    one = bench(tmp_path, address, address)
    [judge] = one.judges
    assert judge is not one.engine
    assert "big" in judge.name
    two = bench(tmp_path, address, TEACHER)
    assert two.judges[1] is two.engine


@pytest.mark.parametrize("address", ["nobody", "scripted:none.toml", "http://localhost:1/v1#big"])
def test_a_judge_that_cannot_be_had_is_found_before_work_starts(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(AdhereError):
        bench(tmp_path, address).check()


def test_several_judges_are_given_by_repeating_the_flag() -> None:
    flags = ["--evaluate.judges", "http://here/v1#a", "--evaluate.judges", "http://here/v1#b"]
    _, bound, _ = app.parse_args(["evaluate", "run", *flags], exit_on_error=False)
    settings = bound.arguments["settings"]
    assert settings.evaluate.judges == ("http://here/v1#a", "http://here/v1#b")


def test_what_is_trained_is_found_whether_adapter_or_checkpoint(
    tuned_run: Path, tiny_student: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(tuned_run, tmp_path / "run")
    shutil.copytree(run / "sft", run / "midtrain.partial")  # not finished
    shutil.copytree(run / "sft", run / "midtrain")
    (run / "document-lm").mkdir()
    one = Bench(run, RunSettings.read(run / "run.toml"), NoProgress())
    assert one.finished == {
        "sft": "sft",
        "dpo": "dpo-alone",
        "sft+dpo": "dpo",
        "midtrain": "midtrain",
    }
    assert one.trained(one.finished["sft+dpo"]) == (run / "dpo" / "model", None)
    assert one.trained(one.finished["dpo"]) == (tiny_student, run / "dpo-alone" / "adapter")


def test_an_adapter_lies_over_what_it_was_trained_on_whatever_the_settings_are_now(
    adapted_run: Path, tuned_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(adapted_run, tmp_path / "run")
    shutil.rmtree(run / "midtrain", ignore_errors=True)
    shutil.copytree(tuned_run / "sft", run / "midtrain")
    finish(run, "midtrain", "x")
    finish(run, "sft", "y", "midtrain")
    off = RunSettings.read(run / "run.toml").merge({"midtrain": {"enabled": False}}, "test")
    checkpoint, _ = Bench(run, off, NoProgress()).trained("dpo")
    assert checkpoint == run / "midtrain" / "model"


def test_what_was_trained_from_another_student_is_not_laid_over_this_one(
    adapted_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(adapted_run, tmp_path / "run")
    settings = RunSettings.read(run / "run.toml")
    finish(run, "sft", "x")
    manifest = read_manifest(run / "sft")
    assert manifest is not None
    old = {"models.student": settings.models.student}
    write_manifest(run / "sft", replace(manifest, settings=old))
    Bench(run, settings, NoProgress()).trained("sft")
    another = settings.merge({"models": {"student": "another"}}, "test")
    said = r"'sft' was trained from .*student, and models\.student is another now; run `adhere sft"
    with pytest.raises(InputError, match=said):
        Bench(run, another, NoProgress()).trained("sft")


def test_what_was_trained_from_other_weights_is_not_laid_over_these(
    adapted_run: Path, tiny_student: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(adapted_run, tmp_path / "run")
    settings = RunSettings.read(run / "run.toml")
    finish(run, "sft", "x")
    manifest = read_manifest(run / "sft")
    assert manifest is not None
    these = {"models.student": weights_mark(str(tiny_student))}
    write_manifest(run / "sft", replace(manifest, inputs=these))
    Bench(run, settings, NoProgress()).trained("sft")
    write_manifest(run / "sft", replace(manifest, inputs={"models.student": "others"}))
    said = r"'sft' was trained from other weights than are in .*; run `adhere sft"
    with pytest.raises(InputError, match=said):
        Bench(run, settings, NoProgress()).trained("sft")


@pytest.mark.parametrize(
    ("embedder", "languages", "named"),
    [
        ("all-minilm-l6-v2", ["en", "ja", "ar", "ja"], "does not read ar, ja"),
        ("all-minilm-l6-v2", ["en"], None),
        ("somebody/multilingual", ["ja"], None),
    ],
)
def test_an_embedder_compares_the_languages_that_it_reads(
    tmp_path: Path, embedder: str, languages: list[str], named: str | None
) -> None:
    progress = Notes()
    settings = RunSettings.parse({"models": {"embedder": embedder}}, "test")
    documents = [
        Document(id=str(n), name="x", format="txt", sha256="", text="", language=language)
        for n, language in enumerate(languages)
    ]
    assert Bench(tmp_path, settings, progress).by_meaning(documents) is (named is None)
    assert [named in note for note in progress.notes if named] == [True] * bool(named)
    assert len(progress.notes) == bool(named)
