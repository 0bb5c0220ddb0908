"""The pipeline: what is up to date, what a change puts out of date, and going on after a kill."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from conftest import DOCUMENT, ON, SCRIPT, adhere, flags

from adhere import pipeline
from adhere.bench import STUDENT, Bench
from adhere.engines.scripted import ScriptedEngine
from adhere.errors import EngineError, InputError, SettingsError, UnreachableError
from adhere.forecast import read_texts
from adhere.pipeline import MOST_FAILED, describe, run_stages, standings
from adhere.progress import NoProgress
from adhere.records import Clause, Completion, Document, Request, Rewriting
from adhere.settings import RunSettings
from adhere.stages import STAGES
from adhere.store import Manifest, folder_hashes, read_manifest, read_records
from adhere.trace import read_run, trace


class Log(NoProgress):
    """Remembers which stages were done, and what was said of those that were not."""

    def __init__(self) -> None:
        self.stages: dict[str, str] = {}
        self.ended: list[str] = []
        self.notes: list[str] = []

    def stage(self, name: str, what: str) -> None:
        self.stages[name] = what

    def done(self, name: str, made: str, seconds: float) -> None:
        self.ended.append(name)

    def note(self, message: str) -> None:
        self.notes.append(message)


def saved(run: Path) -> RunSettings:
    return RunSettings.read(run / "run.toml")


def stale(run: Path, settings: RunSettings) -> list[str]:
    return [one.stage for one in standings(run, settings) if one.state not in ("up to date", "off")]


def state(run: Path, settings: RunSettings, stage: str) -> str:
    [found] = [one.state for one in standings(run, settings) if one.stage == stage]
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids (behind the cache, they are its keys) of all that the scripted engine is asked."""
    ids: list[str] = []
    for name in ("_answer", "_likelihood"):
        reply = getattr(ScriptedEngine, name)

        def remember(self: ScriptedEngine, request: Any, reply: Any = reply) -> Any:
            ids.append(request.id)
            return reply(self, request)

        monkeypatch.setattr(ScriptedEngine, name, remember)
    return ids


def test_after_a_run_everything_is_up_to_date_and_nothing_is_done_again(
    run: Path, asked: list[str]
) -> None:
    before, log, started = hashes(run), Log(), time.perf_counter()
    assert stale(run, saved(run)) == []
    run_stages(run, saved(run), log)
    assert time.perf_counter() - started < 2
    assert log.ended == []
    assert list(log.stages) == list(STAGES)
    assert all(log.stages[name].startswith("up to date") for name in ON)
    assert log.stages["ingest"] == "up to date (1 document, 5 passages)"
    assert asked == []
    assert hashes(run) == before


def hashes(run: Path) -> dict[str, str]:
    return {
        name: value for name, value in folder_hashes(run).items() if not name.startswith("cache")
    }


LATER = {
    "ingest": ON,
    "clauses": [name for name in ON if name not in ("ingest", "midtrain")],
    "generate": [name for name in ON if name not in ("ingest", "clauses", "midtrain")],
    "curate": ["curate", "sft", "dpo", "dpo-alone", "document-lm", "evaluate", "report"],
    "sft": ["sft", "dpo", "document-lm", "evaluate", "report"],
    "dpo": ["dpo", "dpo-alone", "document-lm", "evaluate", "report"],
    "evaluate": ["evaluate", "report"],
}


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("ingest", "passage_chars", 700),
        ("clauses", "max_per_passage", 2),
        ("generate", "seed", 1),
        ("curate", "min_margin", 0.2),
        ("sft", "epochs", 2),
        ("dpo", "beta", 0.2),
        ("evaluate", "retrieved", 1),
    ],
)
def test_a_changed_setting_puts_its_stage_and_the_later_ones_out_of_date(
    finished: Path, section: str, name: str, value: float
) -> None:
    settings = saved(finished).merge({section: {name: value}}, "test")
    assert stale(finished, settings) == LATER[section]
    assert {state(finished, settings, stage) for stage in LATER[section]} == {"out of date"}


def test_another_document_puts_everything_out_of_date(finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("Crew must rest.")
    settings = saved(finished).merge({"documents": [str(DOCUMENT), str(other)]}, "test")
    assert stale(finished, settings) == ON


def test_a_changed_document_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "a.md").write_text("Crew must rest.")
    settings = RunSettings.parse({"documents": [str(folder)]}, "test")
    run = tmp_path / "run"
    run_stages(run, settings, NoProgress(), ["ingest"])
    assert state(run, settings, "ingest") == "up to date"
    assert state(run, settings, "clauses") == "not yet"
    (folder / "a.md").write_text("Crew must rest!")
    assert state(run, settings, "ingest") == "out of date"
    run_stages(run, settings, NoProgress(), ["ingest"])
    (folder / "b.md").write_text("Guests may row.")
    assert state(run, settings, "ingest") == "out of date"
    run_stages(run, settings, NoProgress(), ["ingest"])
    assert state(run, settings, "ingest") == "up to date"
    for name in ("~$b.docx", ".DS_Store"):
        (folder / name).write_text("the owner of what is open")
    assert state(run, settings, "ingest") == "up to date"


def test_a_run_in_its_documents_folder_does_not_read_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.md").write_text("Crew must rest.")
    settings, run = RunSettings.parse({"documents": ["."]}, "test"), Path("runs/x")
    for _ in range(2):
        run_stages(run, settings, NoProgress(), ["ingest"])
        settings.write(run / "run.toml")
        (run / "midtrain").mkdir(exist_ok=True)
        (run / "midtrain" / "rows.md").write_text("Guests may row.")
        assert state(run, settings, "ingest") == "up to date"
    assert [one.name for one in read_records(run / "ingest/documents.jsonl", Document)] == ["a.md"]


def test_a_run_is_not_made_of_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Crew must rest.")
    settings = RunSettings.parse({"documents": [str(tmp_path)]}, "test")
    with pytest.raises(InputError, match="is the run's own folder"):
        run_stages(tmp_path, settings, NoProgress())
    with pytest.raises(InputError, match="is the run's own folder"):
        read_texts(tmp_path, settings)
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]


def test_a_changed_gate_puts_the_report_out_of_date_and_no_model_is_asked_for_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = saved(run).merge({"gate": {"margin": 0.2}}, "test")
    assert stale(run, settings) == ["report"]
    monkeypatch.setattr(Bench, "check", pytest.fail)
    run_stages(run, settings, NoProgress())
    assert stale(run, settings) == []


def test_a_users_prompt_puts_the_stages_with_models_out_of_date(run: Path) -> None:
    (run / "prompts").mkdir()
    (run / "prompts" / "question.md").write_text("{{ place }} {{ statement }} {{ opening }}:")
    assert state(run, saved(run), "ingest") == "up to date"
    assert state(run, saved(run), "generate") == "out of date"


def test_what_comes_out_the_same_leaves_the_later_stages_up_to_date(run: Path) -> None:
    settings = saved(run).merge({"curate": {"min_margin": 0.1001}}, "test")
    log = Log()
    run_stages(run, settings, log)
    assert log.ended == ["curate", "report"]  # which shows the settings
    assert stale(run, settings) == []


def test_a_stage_can_be_done_again(run: Path, asked: list[str]) -> None:
    before, log = read_manifest(run / "clauses"), Log()
    run_stages(run, saved(run), log, ["clauses"], again=True)
    assert log.ended == ["clauses"]
    assert asked == []  # all from the cache
    after = read_manifest(run / "clauses")
    assert before is not None
    assert after is not None
    assert (after.key, after.outputs) == (before.key, before.outputs)
    assert stale(run, saved(run)) == []


def test_one_changed_sentence_asks_only_for_what_it_touches(
    run: Path, tmp_path: Path, asked: list[str]
) -> None:
    """One of ten sentences changes, and the four clauses of its passage see new text."""
    data, old = (
        ["ingest", "clauses", "generate", "curate"],
        read_records(run / "clauses/clauses.jsonl", Clause),
    )
    everything = sum(requests_of(run, stage)["new"] for stage in data)
    text = DOCUMENT.read_text(encoding="utf-8")
    edited = tmp_path / DOCUMENT.name
    edited.write_text(text.replace("lend the club's boats", "sell the club's boats"), "utf-8")
    log = Log()
    run_stages(run, saved(run).merge({"documents": [str(edited)]}, "test"), log, data)
    new = {clause.id for clause in read_records(run / "clauses/clauses.jsonl", Clause)}
    assert len(new - {clause.id for clause in old}) == 1
    sent = {stage: requests_of(run, stage)["new"] for stage in data}
    assert sum(sent.values()) < everything / 2
    assert sent["clauses"] == 1
    assert sum(requests_of(run, stage)["reused"] for stage in data) > everything / 2
    assert len(asked) == sum(sent.values())
    said = requests_of(run, "generate")
    assert f"requests: {said['reused']:,} reused, {said['new']:,} new" in log.notes


def requests_of(run: Path, stage: str) -> dict[str, int]:
    manifest = read_manifest(run / stage)
    assert manifest is not None
    return manifest.facts["requests"]


def test_stages_are_done_in_the_order_of_the_table(run: Path) -> None:
    log = Log()
    run_stages(run, saved(run), log, ["report", "ingest"])
    assert list(log.stages) == ["ingest", "report"]


def test_what_an_earlier_stage_has_to_make_first_is_said_in_a_sentence(
    tmp_path: Path, run_settings: RunSettings
) -> None:
    with pytest.raises(InputError) as error:
        run_stages(tmp_path, run_settings, NoProgress(), ["sft"])
    assert str(error.value) == (
        f"{tmp_path}: 'sft' needs what 'curate' makes; run `adhere curate {tmp_path}` first, "
        f"or `adhere run {tmp_path}` for everything."
    )


def test_what_rests_on_what_was_replaced_is_said_in_a_sentence(run: Path) -> None:
    """Of several stages that are out of date, the first is named."""
    fewer = saved(run).merge({"clauses": {"max_per_passage": 1}}, "test")
    run_stages(run, fewer, NoProgress(), ["clauses"])
    for name in ("curate", "sft", "document-lm", "evaluate", "report"):
        with pytest.raises(InputError) as error:
            run_stages(run, fewer, NoProgress(), [name])
        assert str(error.value) == (
            f"{run}: 'generate' is out of date, since 'clauses' is another now; run "
            f"`adhere generate {run}` first, or `adhere run {run}` for everything."
        )
    assert stale(run, fewer) == LATER["generate"]
    run_stages(run, fewer, NoProgress(), ["generate", "curate"])
    with pytest.raises(InputError, match="'sft' is out of date, since 'curate' is another now"):
        run_stages(run, fewer, NoProgress(), ["dpo"])


def test_a_report_is_not_written_on_the_numbers_of_another_model(run: Path) -> None:
    longer = saved(run).merge({"dpo": {"beta": 0.5}}, "test")
    run_stages(run, longer, NoProgress(), ["dpo", "document-lm"])
    with pytest.raises(InputError, match="'evaluate' is out of date, since 'dpo' is another now"):
        run_stages(run, longer, NoProgress(), ["report"])


def test_a_report_names_the_place_of_a_broken_curve(run: Path) -> None:
    with (run / "sft/curve.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 1')
    with pytest.raises(InputError, match=r"curve\.jsonl: line \d+ is not a dict: Invalid JSON"):
        run_stages(run, saved(run), NoProgress(), ["report"], again=True)


def test_changed_settings_alone_are_in_no_stages_way(run: Path) -> None:
    changed = saved(run).merge({"curate": {"min_margin": 0.2}, "dpo": {"epochs": 2}}, "test")
    log = Log()
    run_stages(run, changed, log, ["report"], again=True)
    assert log.ended == ["report"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"models": {"teacher": "openvino:no-such"}}, SettingsError, "'no-such' is no model"),
        ({"models": {"teacher": "oracle:x"}}, SettingsError, "no engine address"),
        ({"models": {"student": "smolm2-135m"}}, SettingsError, "mean 'smollm2-135m-instruct'"),
        ({"models": {"embedder": "minilm"}}, SettingsError, "'minilm' is no model"),
        ({"models": {"teacher": "scripted:none.toml"}}, InputError, "none.toml: cannot be read"),
    ],
)
def test_models_are_looked_for_before_the_work(
    run: Path, asked: list[str], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_stages(run, saved(run).merge(changes, "test"), NoProgress())
    assert asked == []
    assert not list(run.glob("*.partial"))
    assert stale(run, saved(run)) == []


def test_how_trainings_are_set_is_in_no_data_stages_way(
    tmp_path: Path, run_settings: RunSettings
) -> None:
    settings = run_settings.merge({"sft": {"general": "none.jsonl"}}, "test")
    run_stages(tmp_path / "run", settings, NoProgress(), ["ingest", "clauses"])
    with pytest.raises(InputError, match=r"none\.jsonl: no such file"):
        run_stages(tmp_path / "run", settings, NoProgress())


@pytest.fixture
def failing(tmp_path: Path, run_settings: RunSettings) -> Callable[..., RunSettings]:
    """Settings with a copy of the teacher that fails where an expression is found."""

    def settings(match: str, reply: str = "error: out of paper") -> RunSettings:
        script = tmp_path / "failing.toml"
        rule = f"[[rules]]\nmatch = '{match}'\nreply = '{reply}'\n"
        script.write_text(rule + SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")
        return run_settings.merge({"models": {"teacher": f"scripted:{script}"}}, "test")

    return settings


MAY = r"\bmay\b[^\n]* comes to:\Z"


def test_requests_that_were_refused_are_counted_and_said(
    tmp_path: Path, failing: Callable[..., RunSettings]
) -> None:
    """Asked again they would be refused again, so that they are in no stage's way."""
    run, log = tmp_path / "run", Log()
    settings = failing(MAY, "refused: too long")
    run_stages(run, settings, log, ["ingest", "clauses"])
    found = requests_of(run, "clauses")
    assert found["failed"] > MOST_FAILED * found["new"]
    assert said_of(found, run, "too long") in log.notes
    run_stages(run, settings, log, ["clauses"], again=True)
    again = requests_of(run, "clauses")
    assert again["new"] == again["failed"] == found["failed"]
    assert said_of(again, run, "too long") in log.notes


def said_of(found: dict[str, int], run: Path, last: str) -> str:
    return (
        f"{found['failed']} of {found['new']} requests failed (the last: {last}); "
        f"`adhere clauses {run} --again` asks them anew."
    )


def test_a_few_requests_that_failed_are_counted_and_said(
    tmp_path: Path, failing: Callable[..., RunSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, log = tmp_path / "run", Log()
    monkeypatch.setattr(pipeline, "MOST_FAILED", 0.5)
    run_stages(run, failing(MAY), log, ["ingest", "clauses"])
    found = requests_of(run, "clauses")
    assert 0 < found["failed"] < 0.5 * found["new"]
    assert said_of(found, run, "out of paper") in log.notes


@pytest.mark.parametrize("reply", ["error: out of paper", "refused: out of paper"])
def test_a_stage_of_which_every_request_failed_is_not_finished(
    tmp_path: Path, failing: Callable[..., RunSettings], reply: str
) -> None:
    run = tmp_path / "run"
    said = r"clauses: (\d+) of \1 requests failed \(the last: out of paper\)\. Mend that"
    with pytest.raises(EngineError, match=said):
        run_stages(run, failing(".", reply), NoProgress(), ["ingest", "clauses"])
    assert not list(run.glob("clauses*"))


@pytest.mark.parametrize("most", [MOST_FAILED, 1.0])
def test_a_stage_whose_server_died_on_the_way_goes_on_with_the_same_command(
    tmp_path: Path, run_settings: RunSettings, monkeypatch: pytest.MonkeyPatch, most: float
) -> None:
    """It is not finished, whether a server that is away now says so or the share that failed."""
    run, wanted, answered = tmp_path / "run", ["ingest", "clauses"], list[str]()
    real = ScriptedEngine._answer

    def answer(self: ScriptedEngine, request: Request) -> Completion:
        if len(answered) == 9:
            return Completion(id=request.id, error="connection refused")
        answered.append(request.id)
        return real(self, request)

    def check(self: ScriptedEngine) -> None:
        if most == 1 and answered:
            raise EngineError("the server cannot be reached; start it.")

    with monkeypatch.context() as broken:
        broken.setattr(ScriptedEngine, "_answer", answer)
        broken.setattr(ScriptedEngine, "check", check)
        broken.setattr(pipeline, "MOST_FAILED", most)
        with pytest.raises(EngineError) as error:
            run_stages(run, run_settings, NoProgress(), wanted)
    remedy = "the server cannot be reached; start it." if most == 1 else "Mend that."
    assert re.fullmatch(
        r"clauses: (\d+) of \d+ requests failed \(the last: connection refused\)\. "
        rf"{remedy} The same command then goes on; what was answered is kept\.",
        str(error.value),
    )
    assert not list(run.glob("clauses*"))
    run_stages(run, run_settings, NoProgress(), wanted)
    found = requests_of(run, "clauses")
    assert (found["reused"], found["failed"]) == (9, 0)
    assert found["new"] > 0


def test_a_stage_that_a_dead_server_ends_says_that_the_same_command_goes_on(
    tmp_path: Path, run_settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def complete(self: ScriptedEngine, requests: Iterable[Request]) -> Iterator[Completion]:
        raise UnreachableError("http://here cannot be reached; start the server.")

    monkeypatch.setattr(ScriptedEngine, "complete", complete)
    said = r"clauses: http://here cannot .* start the server\. The same command then goes on"
    with pytest.raises(UnreachableError, match=said):
        run_stages(tmp_path / "run", run_settings, NoProgress(), ["ingest", "clauses"])
    assert not list((tmp_path / "run").glob("clauses*"))


def test_a_document_without_values_ends_in_a_sentence(
    tmp_path: Path, run_settings: RunSettings
) -> None:
    grey = tmp_path / "grey.md"
    grey.write_text("The sea is grey. The station has two platforms.")
    settings = run_settings.merge({"documents": [str(grey)]}, "test")
    with pytest.raises(InputError, match="No value content was found"):
        run_stages(tmp_path / "run", settings, NoProgress())
    assert not list((tmp_path / "run").glob("clauses*"))


def test_curation_that_keeps_nothing_ends_in_a_sentence(run: Path) -> None:
    settings = saved(run).merge({"curate": {"min_grounding": 99.0}}, "test")
    with pytest.raises(InputError, match=r"kept none of the examples: \{.*answer not grounded"):
        run_stages(run, settings, NoProgress(), ["curate"])
    assert stale(run, saved(run)) == []  # what was there before is still there


def test_an_unreadable_manifest_is_no_finished_stage(run: Path) -> None:
    (run / "sft" / "manifest.json").write_text("{")
    assert stale(run, saved(run)) == LATER["sft"]
    assert state(run, saved(run), "sft") == "not yet"


def test_a_stage_of_which_a_file_is_missing_is_made_again(run: Path) -> None:
    missing, log = run / "curate" / "examples.jsonl", Log()
    before = missing.read_bytes()
    missing.unlink()
    assert state(run, saved(run), "generate") == "up to date"
    assert state(run, saved(run), "curate") == "out of date"
    run_stages(run, saved(run), log)
    assert log.ended == ["curate"]
    assert missing.read_bytes() == before
    assert stale(run, saved(run)) == []


def test_a_manifest_says_what_a_stage_was_made_of(finished: Path) -> None:
    for name in ON:
        stage, manifest = STAGES[name], read_manifest(finished / name)
        assert manifest is not None
        assert manifest.stage == name
        assert set(manifest.settings) == set(stage.settings)
        assert manifest.outputs == folder_hashes(finished / name)
        assert manifest.seconds >= 0
        assert "adhere" in manifest.versions
        if stage.after:
            weights = {STUDENT} if {"models", STUDENT} & set(stage.settings) else set()
            assert set(manifest.inputs) == set(stage.after) & set(ON) | weights
        else:
            assert list(manifest.inputs) == [str(DOCUMENT)]


def test_counts_in_words() -> None:
    manifest = Manifest(
        stage="x",
        key="k",
        settings={},
        inputs={},
        outputs={},
        counts={"clauses": 1812, "rows": 2},
        dropped={"a": 20, "b": 11},
        versions={},
        seconds=1,
    )
    assert describe(manifest) == "1,812 clauses, 2 rows, 31 dropped"


def cached(run: Path) -> set[str]:
    if not (run / "cache.sqlite").exists():
        return set()
    try:
        with sqlite3.connect(run / "cache.sqlite", timeout=5) as database:
            return {key for (key,) in database.execute("SELECT key FROM answers")}
    except sqlite3.OperationalError:  # not yet a table
        return set()


def wait(for_what: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float) -> None:
    until = time.monotonic() + seconds
    while not for_what():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def slow(tmp_path: Path) -> tuple[str, Callable[[], object]]:
    """The address of a slow copy of the teacher, and how to make it fast; its name is the same."""
    script = tmp_path / "slow.toml"
    text = SCRIPT.read_text(encoding="utf-8")
    script.write_text(f"delay = 0.05\n{text}", encoding="utf-8")
    return f"scripted:{script}", lambda: script.write_text(text, encoding="utf-8")


def start(arguments: Iterable[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", "from adhere.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_killed_in_generate_asks_only_what_was_not_answered(
    finished: Path,
    tmp_path: Path,
    run_settings: RunSettings,
    slow: tuple[str, Callable[[], object]],
    asked: list[str],
) -> None:
    address, speed_up = slow
    run = tmp_path / "run"
    settings = run_settings.merge({"models": {"teacher": address}}, "test")
    settings.write(run / "run.toml")
    run_stages(run, settings, NoProgress(), ["ingest", "clauses"])
    known = cached(run)
    process = start(["generate", str(run)])
    wait(lambda: len(cached(run)) >= len(known) + 20, process, 60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = cached(run)
    assert not (run / "generate").exists()
    assert state(run, settings, "generate") == "unfinished"

    speed_up()
    asked.clear()
    run_stages(run, settings, NoProgress(), ["generate"])
    assert asked
    assert not killed & set(asked)
    assert len(set(asked)) == len(asked)
    assert cached(run) == killed | set(asked)
    made, expected = read_manifest(run / "generate"), read_manifest(finished / "generate")
    assert made is not None
    assert expected is not None
    assert made.outputs == expected.outputs
    assert not list(run.glob("*.partial"))


def test_a_second_command_on_a_run_is_refused_until_the_first_has_gone(
    tmp_path: Path, run_settings: RunSettings, slow: tuple[str, Callable[[], object]]
) -> None:
    address, speed_up = slow
    run = tmp_path / "run"
    settings = run_settings.merge({"models": {"teacher": address}}, "test")
    settings.write(run / "run.toml")
    process = start(["run", str(run)])
    wait(lambda: len(cached(run)) >= 5, process, 60)
    left = sorted(path.name for path in run.glob("*.partial"))
    with pytest.raises(InputError) as error:
        run_stages(run, settings, NoProgress(), ["clauses"], again=True)
    assert str(error.value) == (
        f"{run}: another adhere works in this folder (it holds {run / '.lock'}); wait for it, "
        "or stop it."
    )
    assert sorted(path.name for path in run.glob("*.partial")) == left
    process.send_signal(signal.SIGKILL)
    process.communicate()

    speed_up()
    run_stages(run, settings, NoProgress(), ["clauses"])
    assert state(run, settings, "clauses") == "up to date"


def test_an_interrupted_command_says_how_to_go_on_and_the_run_goes_on(
    tmp_path: Path,
    run_settings: RunSettings,
    slow: tuple[str, Callable[[], object]],
    asked: list[str],
) -> None:
    address, speed_up = slow
    run = tmp_path / "run"
    settings = run_settings.merge({"models": {"teacher": address}}, "test")
    process = start(["run", str(DOCUMENT), "--out", str(run), *flags(settings)])
    wait(lambda: len(cached(run)) >= 5, process, 60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        "adhere: Interrupted. Everything finished is kept; the same command goes on."
    )
    assert "Traceback" not in out + err
    assert not list(run.glob("*.partial"))
    known = cached(run)

    speed_up()
    run_stages(run, saved(run), NoProgress(), ["ingest", "clauses"])
    assert not known & set(asked)
    assert state(run, saved(run), "clauses") == "up to date"


def test_a_stage_that_is_switched_off_is_neither_run_nor_in_the_way(run: Path) -> None:
    without, log = saved(run).merge({"midtrain": {"enabled": False}}, "test"), Log()
    later = ["sft", "dpo", "document-lm", "evaluate", "report"]
    assert stale(run, without) == later
    run_stages(run, without, log, ["midtrain", "sft"])
    assert log.stages["midtrain"] == "off (midtrain.enabled is false)"
    assert state(run, without, "midtrain") == "off"
    assert stale(run, without) == later[1:]
    made = read_manifest(run / "sft")
    assert made is not None
    assert set(made.inputs) == {"curate", STUDENT}
    # Switched on again, what does not read from it is out of date.
    assert state(run, saved(run), "midtrain") == "up to date"
    assert state(run, saved(run), "sft") == "out of date"


def test_a_stage_that_was_switched_off_is_not_told_as_done(run: Path) -> None:
    without = saved(run).merge({"midtrain": {"enabled": False}}, "test")
    assert "midtrain" in counts(run)
    run_stages(run, without, NoProgress(), ["evaluate", "report"], again=True)
    assert set(counts(run)) == {*ON} - {"midtrain", "evaluate", "report"}
    page = BeautifulSoup((run / "report/report.html").read_text(encoding="utf-8"), "lxml")
    made = [row.get_text() for row in page.select("#settings table tbody th[scope=row]")]
    assert "sft" in made
    assert "midtrain" not in made


def counts(run: Path) -> dict[str, Any]:
    return json.loads((run / "evaluate/summary.json").read_text(encoding="utf-8"))["counts"]


def test_rewritings_are_read_beside_the_text_and_can_be_traced(run: Path) -> None:
    told, log = saved(run).merge({"midtrain": {"rewritings": 2}}, "test"), Log()
    assert state(run, saved(run), "rewrite") == "off"
    later = [name for name in ON if name not in ("ingest", "clauses", "generate", "curate")]
    assert stale(run, told) == [name for name in ["rewrite", *later] if name != "dpo-alone"]
    bare = read_manifest(run / "midtrain")
    run_stages(run, told, log, ["rewrite", "midtrain"])
    made, read = read_manifest(run / "rewrite"), read_manifest(run / "midtrain")
    assert made is not None
    assert made.counts["rewritings"] == made.counts["plain"] > 2
    assert made.dropped == {"copy of the passage": made.counts["plain"]}
    assert bare is not None
    assert read is not None
    assert read.facts["tokens"] > bare.facts["tokens"]
    assert set(read.inputs) == {"ingest", "rewrite", STUDENT}

    for one in read_records(run / "rewrite/rewritings.jsonl", Rewriting):
        trail = trace(read_run(run), one.id)
        assert (trail.kind, trail.passages, trail.rewritings) == (
            "rewriting",
            (one.passage,),
            (one,),
        )
        assert one in trace(read_run(run), one.passage).rewritings
        assert all(clause.clause.passage == one.passage for clause in trail.clauses)
    said = adhere("trace", str(run), one.id)
    assert f"told again, plain: {one.text}"[:60] in said.out

    run_stages(run, told.merge({"midtrain": {"enabled": False}}, "test"), log, ["rewrite"])
    assert log.stages["rewrite"] == "off (midtrain.enabled is false)"
    run_stages(run, saved(run), log, ["rewrite"])
    assert log.stages["rewrite"] == "off (midtrain.rewritings is 0)"


def test_other_weights_in_the_students_folder_put_what_was_made_of_it_out_of_date(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RunSettings.read(run / "run.toml")
    monkeypatch.setattr(pipeline, "weights_mark", lambda student: f"others in {student}")
    standing = {one.stage: one.state for one in standings(run, settings)}
    assert standing["clauses"] == "up to date"
    assert standing["sft"] == standing["evaluate"] == "out of date"
