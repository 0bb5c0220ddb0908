"""A run of which a stage was made anew: what reads the rest says so in a sentence."""

import csv
import json
from pathlib import Path

import pytest
from conftest import DOCUMENT, adhere
from fakes import finish

from adhere.records import Clause
from adhere.store import read_records


def refused(run: Path, stage: str, *command: str) -> None:
    said = adhere(*command)
    assert said.code == 2
    assert said.err.startswith(f"adhere: {run}: '{stage}' is out of date, since ")
    assert said.err.count("\n") == 1


@pytest.fixture
def edited(run: Path, tmp_path: Path) -> Path:
    """The run, its document edited and read again."""
    document = tmp_path / DOCUMENT.name
    document.write_text(DOCUMENT.read_text(encoding="utf-8") + "\nBoats must be dry.\n")
    chosen = run / "run.toml"
    text = chosen.read_text(encoding="utf-8")
    chosen.write_text(text.replace(str(DOCUMENT), str(document)), encoding="utf-8")
    assert adhere("ingest", str(run)).code == 0
    return run


def test_rows_of_an_edited_document_are_not_exported(edited: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "review.csv"
    sheet.write_text("id\n")
    run, out = str(edited), str(tmp_path / "out.csv")
    refused(edited, "clauses", "export-review", run, "--out", out)
    refused(edited, "clauses", "import-review", run, str(sheet))
    refused(edited, "clauses", "export-data", run, "--out", out)
    refused(edited, "evaluate", "judge-export", run, "--out", out)
    refused(edited, "clauses", "trace", run, "x")
    assert not Path(out).exists()


def test_clauses_of_other_passages_are_not_compared(run: Path, finished: Path) -> None:
    assert adhere("ingest", str(run), "--ingest.passage-chars=200").code == 0
    refused(run, "clauses", "diff", str(finished), str(run))


def test_results_of_an_earlier_model_are_told_as_such(run: Path, finished: Path) -> None:
    [clause, *_] = read_records(run / "clauses/clauses.jsonl", Clause)
    commands = (("trace", str(run), clause.id), ("diff", str(finished), str(run)))
    for command in commands:
        assert (adhere(*command).code, adhere(*command).err) == (0, "")
    finish(run, "dpo", "trained anew")
    for command in commands:
        said = adhere(*command, "--json")
        assert said.code == 0
        assert json.loads(said.out)
        assert said.err.startswith(
            f"adhere: results are of an earlier state of the run: {run}: 'evaluate' is out of date"
        )
        assert said.err.count("\n") == 1


def test_sheets_about_other_probes_are_not_imported(run: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    assert adhere("judge-export", str(run), "--out", str(sheet)).code == 0
    with sheet.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([row | {"better": "1"} for row in rows])
    assert adhere("curate", str(run), "--curate.near-duplicate=0.05").code == 0
    refused(run, "sft", "judge-import", str(run), str(sheet))
