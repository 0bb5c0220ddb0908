"""The evaluation of the documents as they were: kept, and what changed since is reported."""

import json
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from conftest import DOCUMENT, adhere
from fakes import Notes

from adhere.gate import changes_between, read_evidence
from adhere.pipeline import run_stages
from adhere.previous import PREVIOUS, changes
from adhere.progress import NoProgress
from adhere.records import Clause
from adhere.settings import GateSettings, RunSettings
from adhere.store import folder_hashes, read_records

LENT, SOLD = "must not lend the club's boats", "must not sell the club's boats"
GONE = "We aim to keep one boat free for children, because young rowers carry the club on.\n"


def edited(folder: Path) -> Path:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert LENT in text
    assert GONE in text
    path = folder / DOCUMENT.name
    path.write_text(text.replace(LENT, SOLD).replace(GONE, ""), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def renewed(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run after a new version of its document was run in the same folder."""
    folder = tmp_path_factory.mktemp("renewed")
    run = shutil.copytree(finished, folder / "renewed")
    said = adhere("run", str(edited(folder)), "--out", str(run), "--quiet")
    assert said.code == 0, said.err
    return run


def ingested(run: Path, document: Path) -> None:
    settings = RunSettings.read(run / "run.toml").merge({"documents": [str(document)]}, "test")
    run_stages(run, settings, NoProgress(), ["ingest"])


def statements(run: Path) -> dict[str, str]:
    return {one.statement: one.id for one in read_records(run / "clauses/clauses.jsonl", Clause)}


def test_the_evaluation_of_the_old_document_is_kept(finished: Path, renewed: Path) -> None:
    kept = folder_hashes(renewed / PREVIOUS)
    before = folder_hashes(finished)
    assert {"clauses/clauses.jsonl", "curate/probes.jsonl", "evaluate/summary.json"} <= set(kept)
    assert all(before[name] == value for name, value in kept.items() if name != "settings.json")
    assert statements(renewed) != statements(renewed / PREVIOUS)


def test_a_run_that_reads_the_same_words_again_keeps_nothing(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "under-another-name.md"
    shutil.copy(DOCUMENT, other)
    ingested(run, other)
    assert not (run / PREVIOUS).exists()


def test_what_was_kept_stays_until_the_new_documents_were_evaluated(
    run: Path, tmp_path: Path
) -> None:
    ingested(run, edited(tmp_path))
    kept = folder_hashes(run / PREVIOUS)
    assert kept
    (tmp_path / DOCUMENT.name).write_text("# Code\n\nCrews must rest on Mondays.\n", "utf-8")
    ingested(run, tmp_path / DOCUMENT.name)
    assert folder_hashes(run / PREVIOUS) == kept


def test_changes_are_those_of_diff_and_gate(renewed: Path) -> None:
    found = changes(renewed, GateSettings())
    assert found is not None
    assert found.before == (DOCUMENT.name,)
    kinds = {one.kind: one for one in found.clauses if one.kind != "judged"}
    assert set(kinds) == {"reworded", "removed"}
    assert ("old", "lend") in kinds["reworded"].pieces
    assert ("new", "sell") in kinds["reworded"].pieces
    assert (kinds["removed"].now, bool(kinds["removed"].was)) == ("", True)
    old, new = read_evidence(renewed / PREVIOUS), read_evidence(renewed)
    by_gate = {one.clause: one for one in changes_between(old, new, GateSettings().margin)}
    assert by_gate
    assert {one.clause: one.gain.value for one in found.behaviour} == {
        clause: one.gain for clause, one in by_gate.items()
    }
    gains = [one.gain.value for one in found.behaviour]
    assert gains == sorted(gains)


def test_settings_that_are_others_are_named(renewed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(renewed, tmp_path / "run")
    assert adhere("evaluate", str(run), "--evaluate.max-tokens", "24", "--quiet").code == 0
    assert adhere("report", str(run), "--quiet").code == 0
    found = changes(run, GateSettings())
    assert found is not None
    ((name, was, now),) = found.settings
    assert (name, now) == ("evaluate.max_tokens", "24")
    page = BeautifulSoup((run / "report/report.html").read_text(encoding="utf-8"), "lxml")
    section = page.select_one("section#changes")
    assert section is not None
    assert f"evaluate.max_tokens was {was} and is 24." in section.get_text(" ", strip=True)


def test_the_report_says_what_changed(renewed: Path, finished: Path) -> None:
    page = BeautifulSoup((renewed / "report/report.html").read_text(encoding="utf-8"), "lxml")
    section = page.select_one("section#changes")
    assert section is not None
    assert [node.get_text() for node in section.select("del")] == ["lend"]
    assert [node.get_text() for node in section.select("ins")] == ["sell"]
    found = changes(renewed, GateSettings())
    assert found is not None
    words = section.get_text(" ", strip=True)
    assert f"{found.unchanged} clauses unchanged" in words
    for row in found.behaviour:
        link = section.select_one(f'a[href="#clause-{row.clause}"]')
        assert link is not None
        assert page.select_one(f"#clause-{row.clause}") is not None
    for outcome, reason in found.overall:
        assert outcome in words
        assert reason in words
    assert "Settings are others too" not in words
    before = BeautifulSoup((finished / "report/report.html").read_text(encoding="utf-8"), "lxml")
    assert before.select_one("section#changes") is None


def test_gate_and_diff_take_what_was_kept_for_a_run(renewed: Path) -> None:
    previous = str(renewed / PREVIOUS)
    said = adhere("gate", str(renewed), "--against", previous)
    assert said.code in (0, 1), said.err
    assert "against: reference_nll: Reference NLL: better by" in said.out
    said = adhere("diff", previous, str(renewed), "--json")
    assert said.code == 0, said.err
    kinds = {change["kind"] for change in json.loads(said.out)["changes"]}
    assert {"reworded", "removed"} <= kinds


def test_what_becomes_of_the_old_run_is_said_before_the_work(run: Path, tmp_path: Path) -> None:
    document = edited(tmp_path)
    note = (
        f"{run} holds a run of other documents (boathouse.md): its models are replaced, and its "
        f"evaluation is kept in {run / PREVIOUS}."
    )
    dry = adhere("run", str(document), "--out", str(run), "--dry-run")
    assert dry.out.splitlines()[1] == note
    same = adhere("run", str(run), "--dry-run")
    assert "other documents" not in same.out
    settings = RunSettings.read(run / "run.toml").merge({"documents": [str(document)]}, "test")
    said = Notes()
    run_stages(run, settings, said, ["ingest"])
    assert note in said.notes
