"""The command line: flags and files, mistakes in one sentence, nothing half-written."""

import errno
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from conftest import DOCUMENT, ON, SCRIPT, adhere
from fakes import finish

from adhere import pipeline
from adhere.cli import run
from adhere.settings import Choices, RunSettings
from adhere.stages import STAGES
from adhere.store import alone_in


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_is_a_command_for_every_stage_in_order() -> None:
    assert list(run._STAGES) == list(STAGES)


def test_help_names_every_command_and_every_setting() -> None:
    said = adhere("--help")
    assert said.code == 0
    for name in ("run", "status", "chat", *STAGES):
        assert name in said.out
    assert flags_in(adhere("run", "--help").out) == flags_for(Choices.model_fields)


@pytest.mark.parametrize("stage", [name for name in STAGES if name != "report"])
def test_a_stage_has_flags_for_what_it_depends_on(stage: str) -> None:
    sections = {name.partition(".")[0] for name in STAGES[stage].settings} - {"documents"}
    watched = {"tracking"} if STAGES[stage].resumes else set[str]()
    assert flags_in(adhere(stage, "--help").out) == flags_for(sections | watched)


def test_a_flag_of_another_stage_is_unknown() -> None:
    said = adhere("sft", "run", "--dpo.beta=1")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "adhere: Unknown option: --dpo.beta. `adhere sft --help` lists what there is.\n"
    )


def test_two_names_of_one_setting_may_not_differ() -> None:
    said = adhere("evaluate", "run", "--pairs=a.jsonl", "--evaluate.pairs=b.jsonl")
    assert (said.code, said.out) == (2, "")
    assert said.err == ("adhere: --pairs and --evaluate.pairs are one setting; give one of them.\n")


def test_the_report_has_no_flags_of_settings() -> None:
    assert flags_in(adhere("report", "--help").out) == set()


def flags_in(said: str) -> set[str]:
    """The settings' flags that a help page names, but for those that switch off or empty."""
    named = set(re.findall(r"--[a-z]+\.[a-z-]+", re.sub(r"\s+\.", ".", said)))
    return {flag for flag in named if not re.search(r"\.(no|empty)-", flag)}


def flags_for(sections: Iterable[str]) -> set[str]:
    return {
        f"--{section}.{setting.replace('_', '-')}"
        for section in sections
        for setting in type(Choices.model_fields[section].default).model_fields
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "nothing to read: `adhere run DOCUMENTS --out runs/NAME`."),
        (["run", "--out=new"], "no documents: `adhere run DOCUMENTS --out runs/NAME`, or name"),
        (["run", "--out=new", "--dry-run"], "no documents: `adhere run DOCUMENTS"),
        (["run", "bare.toml"], "no documents: `adhere run DOCUMENTS"),
        (["run", "bare.toml", "--dry-run"], "name them in run.toml under `documents`."),
        (["run", "none.md"], "none.md: no such file or folder"),
        (["run", "gode.md"], "did you mean 'code.md'?"),
        (["run", "empty.md"], "empty.md: the file is empty."),
        (["run", "empty"], "empty: the folder holds no documents."),
        (["run", "broken.docx"], "broken.docx: "),
        (["run", "code.md", "--nope"], "Unknown option: --nope."),
        (["run", "code.md", "--generate.probs=2"], "Did you mean --generate.probes?"),
        (["run", "code.md", "--generate.probes=9"], "flags: generate.probes: Input should be less"),
        (["run", "code.md", "--sft.epochs=many"], "flags: sft.epochs: Input should be a valid"),
        (["run", "code.md", "--sft.epochs=inf"], "flags: sft.epochs: Input should be a finite num"),
        (["run", "code.md", "--models.style=loud"], "models.style: Input should be 'continue' or"),
        (["run", "code.md", "--out"], "--out requires an argument"),
        (["run", "mine.toml"], "mine.toml: unknown setting 'generate.exampels'; did you mean"),
        (["run", "broken.toml"], "broken.toml: not a TOML file"),
        (["run", "code.md", "--out=old/run.toml"], "old/run.toml is a file; give --out a folder."),
        (["run", "code.md", "--out=code.md", "--dry-run"], "code.md is a file; give --out a fold"),
        (["run", "code.md", "--out=code.md/run"], "code.md/run: the folder cannot be made: "),
        (["run", "old", "--out=new"], "old: a run's folder, which is gone on with where it is"),
        (["run", "old", "--out=new", "--dry-run"], "by `adhere run old/run.toml --out new`."),
        (["run", "old/run.toml", "code.md"], "write code.md there, or leave it out"),
        (["run", "/", "--dry-run"], "/: has no name for the run's folder; give one by --out."),
        (["status", "nowhere"], "nowhere: no run here (no run.toml); start one with `adhere run"),
        (["sft", "nowhere"], "nowhere: no run here"),
        (["chat", "nowhere"], "nowhere: no run here"),
        (["status"], "requires an argument"),
        (["statsu", "nowhere"], 'Unknown command "statsu".'),
    ],
)
def test_a_mistake_is_one_sentence_with_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "code.md").write_text("Crew must rest.")
    (tmp_path / "empty.md").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.docx").write_bytes(b"no archive")
    (tmp_path / "mine.toml").write_text("[generate]\nexampels = 1")
    (tmp_path / "broken.toml").write_text("[generate")
    (tmp_path / "bare.toml").write_text("[generate]\nexamples = 1")
    RunSettings(documents=("code.md",)).write(tmp_path / "old" / "run.toml")
    before = files(tmp_path)
    said = adhere(*arguments)
    assert said.code == 2
    assert said.out == ""
    last = said.err.splitlines()[-1]
    assert last.startswith("adhere: ")
    assert message in last
    assert "Traceback" not in said.err
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--models.student=smollm2-135m", "Did you mean 'smollm2-135m-instruct'?"),
        ("--models.embedder=all-minilm", "Did you mean 'all-minilm-l6-v2'?"),
        ("--models.teacher=openvino:qwen2.5-coder", "mean 'qwen2.5-coder-1.5b-instruct'?"),
        ("--models.teacher=oracle", "'oracle' is no engine address"),
    ],
)
def test_an_unknown_model_is_refused_before_the_work_with_the_nearest_name(
    tmp_path: Path, tiny_student: Path, tiny_embedder: Path, flag: str, message: str
) -> None:
    (tmp_path / "code.md").write_text("Crew must rest.")
    models = {
        "teacher": f"scripted:{SCRIPT}",
        "student": str(tiny_student),
        "embedder": str(tiny_embedder),
    }
    given = [f"--models.{name}={value}" for name, value in models.items() if name not in flag]
    said = adhere("run", "code.md", "--out", "mine", *given, flag)
    assert said.code == 2
    assert message in said.err.splitlines()[-1]
    assert not list(tmp_path.rglob("*.partial"))
    assert not (tmp_path / "mine" / "clauses").exists()


@pytest.mark.parametrize("command", ON[1:])
def test_a_stage_before_its_turn_says_what_comes_first(tmp_path: Path, command: str) -> None:
    RunSettings(documents=("code.md",)).write(tmp_path / "mine" / "run.toml")
    said = adhere(command, "mine")
    assert said.code == 2
    assert f"'{command}' needs what '{STAGES[command].after[0]}' makes" in said.err


def test_a_run_that_no_longer_finds_its_documents_says_so(tmp_path: Path) -> None:
    RunSettings(documents=("code.md",)).write(tmp_path / "mine" / "run.toml")
    said = adhere("ingest", "mine")
    assert said.code == 2
    assert "code.md: no such file or folder" in said.err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/tmp/x"),
            2,
            "adhere: /tmp/x: No space left on device. Finished stages are kept.",
        ),
        (
            KeyboardInterrupt(),
            130,
            "adhere: Interrupted. Everything finished is kept; the same command goes on.",
        ),
    ],
)
def test_a_full_disk_and_an_interruption_are_said_in_a_sentence(
    run: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(pipeline, "_run_stage", fail)
    said = adhere("report", str(run), "--again")
    assert (said.code, said.err.splitlines()[-1]) == (code, message)


def test_what_fails_before_a_stage_says_nothing_of_stages(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EACCES, "Permission denied", "/tmp/x")

    monkeypatch.setattr(pipeline, "run_stages", fail)
    said = adhere("report", str(run))
    assert (said.code, said.err) == (2, "adhere: /tmp/x: Permission denied.\n")


@pytest.mark.parametrize("most", [0, 1])
def test_a_reader_that_has_had_enough_ends_the_command_without_a_word(
    tmp_path: Path, most: int
) -> None:
    (tmp_path / "code.md").write_text("Crew must rest.")
    command = (sys.executable, "-m", "adhere", "run", "code.md", "--dry-run")
    with Popen(command, stdout=PIPE, stderr=PIPE, cwd=tmp_path) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(most)
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_flag_is_kept_in_the_run_file_and_puts_later_stages_out_of_date(run: Path) -> None:
    said = adhere("ingest", str(run), "--ingest.passage-chars=200")
    assert said.code == 0, said.err
    saved = tomllib.loads((run / "run.toml").read_text(encoding="utf-8"))
    assert saved["ingest"] == {"passage_chars": 200}
    assert saved["sft"] == {"epochs": 1.0, "lora_rank": 4}
    table = adhere("status", str(run)).out
    [ingest] = [line for line in table.splitlines() if " ingest " in line]
    [clauses] = [line for line in table.splitlines() if " clauses " in line and "│" in line][:1]
    assert "up to date" in ingest
    assert "out of date" in clauses


def test_a_bad_flag_leaves_the_run_file_alone(run: Path) -> None:
    before = (run / "run.toml").read_bytes()
    assert adhere("ingest", str(run), "--sft.epochs=-1").code == 2
    assert (run / "run.toml").read_bytes() == before


def test_status_shows_every_stage_and_what_it_made(run: Path) -> None:
    said = adhere("status", str(run))
    assert said.code == 0
    assert said.out.count("up to date") == len(ON)
    assert "1 document, 5 passages" in said.out
    for name in STAGES:
        assert f" {name} " in said.out


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("review/decisions.jsonl", "status"),
        ("prompts/question.md", "status"),
        ("clauses/clauses.jsonl", "conflicts"),
        ("evaluate/summary.json", "gate"),
    ],
)
def test_a_file_of_the_run_in_another_encoding_is_one_sentence(
    run: Path, name: str, command: str
) -> None:
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("Größe", encoding="utf-16")
    said = adhere(command, str(run))
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert said.err.startswith(f"adhere: {run / name}: not ")


def test_a_stage_that_is_up_to_date_says_so_and_is_done_again_on_demand(run: Path) -> None:
    said = adhere("clauses", str(run))
    assert said.code == 0
    assert said.err.startswith("clauses  up to date (11 clauses")
    again = adhere("clauses", str(run), "--again")
    assert "up to date" not in again.err
    assert "clauses: sentences: 14 done" in again.err
    quiet = adhere("clauses", str(run), "--again", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_dry_run_says_what_would_run_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "code.md").write_text(DOCUMENT.read_text(encoding="utf-8"), encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    said = adhere("run", "code.md", "--out", "mine", "--dry-run")
    assert said.code == 0, said.err
    for name in STAGES:
        assert f" {name} " in said.out
    assert "about 14" in said.out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_of_a_finished_run_has_nothing_to_do(run: Path) -> None:
    before = files(run)
    said = adhere("run", str(run), "--dry-run")
    assert said.out.count("up to date") == len(ON)
    assert "about" not in said.out.split("┡")[1]
    assert files(run) == before


def test_a_dry_run_of_a_missing_document_is_a_mistake() -> None:
    assert adhere("run", "none.md", "--dry-run").code == 2


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["code.md"], "runs/code"),
        (["texts"], "runs/texts"),
        (["code.md", "texts"], "runs/code"),
        (["code.md", "--out=mine"], "mine"),
        (["my.toml"], "runs/my"),
        (["my.toml", "--out=mine"], "mine"),
    ],
)
def test_where_a_run_goes(tmp_path: Path, arguments: list[str], folder: str) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.md").write_text("Guests may row.")
    (tmp_path / "code.md").write_text("Crew must rest.")
    RunSettings(documents=("code.md",)).write(tmp_path / "my.toml")
    said = adhere("run", *arguments, "--dry-run")
    assert said.code == 0, said.err
    assert said.out.splitlines()[1].strip() == folder


@pytest.mark.parametrize("source", [".", "..", "../texts", "./", "..//texts/."])
def test_a_folder_of_documents_gives_its_name_however_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    inside = tmp_path / "texts" / "texts"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    folder, found = run._open_run((Path(source),), None, None)
    assert folder == Path("runs/texts")
    assert found.documents == (str(Path(source)),)


@pytest.mark.parametrize("out", [None, "old", "./texts/../old"])
def test_a_run_is_gone_on_with_in_its_folder(tmp_path: Path, out: str | None) -> None:
    (tmp_path / "texts").mkdir()
    RunSettings(documents=("code.md",)).write(tmp_path / "old" / "run.toml")
    folder, found = run._open_run((Path("old"),), Path(out) if out else None, None)
    assert (folder, found.documents) == (Path("old"), ("code.md",))


def test_a_begun_runs_own_file_goes_on_with_the_run_and_any_other_starts_one(
    tmp_path: Path,
) -> None:
    settings = RunSettings(documents=("code.md",))
    settings.write(tmp_path / "old" / "run.toml")
    own = (Path("old/run.toml"),)
    assert run._open_run(own, None, None) == (Path("runs/run"), settings)
    finish(tmp_path / "old", "ingest", "1")
    assert run._open_run(own, None, None) == (Path("old"), settings)
    assert run._open_run(own, Path("new"), None) == (Path("new"), settings)


def test_the_settings_of_a_run_stay_when_it_is_started_again(tmp_path: Path) -> None:
    (tmp_path / "code.md").write_text("Crew must rest.")
    before = RunSettings.parse({"sft": {"epochs": 7}, "dpo": {"beta": 0.3}}, "test")
    before.write(tmp_path / "mine" / "run.toml")
    folder, found = run._open_run(
        (Path("code.md"),), Path("mine"), Choices.model_validate({"dpo": {"beta": 0.4}})
    )
    assert folder == Path("mine")
    assert found.documents == ("code.md",)
    assert (found.sft.epochs, found.dpo.beta) == (7, 0.4)


def test_a_run_file_given_again_is_laid_over_what_the_run_was_told_since(tmp_path: Path) -> None:
    RunSettings.parse({"documents": ["code.md"], "sft": {"epochs": 7}}, "test").write(
        tmp_path / "my.toml"
    )
    settled = {"clauses": {"settle": {"0a": "wins"}}, "sft": {"epochs": 2, "seed": 5}}
    RunSettings.parse({"documents": ["code.md"], **settled}, "test").write(
        tmp_path / "mine" / "run.toml"
    )
    _, found = run._open_run((Path("my.toml"),), Path("mine"), None)
    assert found.clauses.settle == {"0a": "wins"}
    assert (found.sft.epochs, found.sft.seed) == (7, 5)


def test_a_run_file_that_stays_as_it_is_keeps_its_comments(tmp_path: Path) -> None:
    (tmp_path / "code.md").write_text("Crew must rest.")
    text = '# why\ndocuments = ["code.md"]\n'
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/run.toml").write_text(text)
    assert adhere("ingest", "mine").code == 0
    assert (tmp_path / "mine/run.toml").read_text() == text
    assert adhere("ingest", "mine", "--ingest.passage-chars=500").code == 0
    assert (tmp_path / "mine/run.toml").read_text() != text


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_a_command_that_is_refused_the_folder_leaves_its_settings_alone(
    finished: Path, command: str
) -> None:
    before = (finished / "run.toml").read_bytes()
    with alone_in(finished):
        said = adhere(command, str(finished), f"--{command}.seed=7")
    assert (said.code, "another adhere works in this folder" in said.err) == (2, True)
    assert (finished / "run.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["old", "new.md"], "code.md new.md"),
        (["new.md", "old"], "code.md new.md"),
        (["old", "new.md", "--out=third"], "code.md new.md"),
        (["mine.toml"], "code.md NEW.md"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_run_is_not_taken_for_documents(
    tmp_path: Path, arguments: list[str], names: str, dry: list[str]
) -> None:
    (tmp_path / "code.md").write_text("Crew must rest.")
    (tmp_path / "new.md").write_text("Guests may row.")
    RunSettings(documents=("old",)).write(tmp_path / "mine.toml")
    RunSettings(documents=("code.md",)).write(tmp_path / "old" / "run.toml")
    finish(tmp_path / "old", "ingest", "1")
    (tmp_path / "old" / "sft").mkdir()
    (tmp_path / "old" / "sft" / "rows.md").write_text("Yes, crew may row.")
    before = files(tmp_path)
    said = adhere("run", *arguments, *dry)
    assert (said.code, said.err) == (
        2,
        "adhere: old: is a run, and what it made is no document; to add a document to it: "
        f"`adhere run {names} --out old`.\n",
    )
    assert files(tmp_path) == before


def test_status_says_where_it_looked_for_documents_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code.md").write_text("Crew must rest.")
    RunSettings(documents=("code.md",)).write(tmp_path / "mine" / "run.toml")
    assert "Not found" not in adhere("status", "mine").out
    monkeypatch.chdir(tmp_path / "mine")
    said = adhere("status", "../mine").out
    assert "Not found from this folder: code.md. Paths in ../mine/run.toml are taken from" in said


def test_a_dry_run_begins_with_what_is_read(tmp_path: Path) -> None:
    for place in range(7):
        (tmp_path / f"{place}.md").write_text(f"Crew must rest {place} hours.")
    one = adhere("run", "0.md", "--dry-run").out.splitlines()[0]
    assert one == "1 document, 1 passage: 0.md"
    many = adhere("run", ".", "--dry-run").out.splitlines()[0]
    assert many == "7 documents, 7 passages: 0.md, 1.md, 2.md, 3.md, 4.md, and 2 more"
