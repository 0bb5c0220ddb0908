"""People as judges: blind sheets out, filled sheets in, wrong sheets refused in one sentence."""

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import adhere
from fakes import Notes
from test_evaluate import CLAUSES, PASSAGES, PROBES
from test_evaluate import run as evaluated

from adhere.assess import material
from adhere.bench import Bench
from adhere.evaluate.exam import exam_pairs
from adhere.evaluate.judges import Comparison
from adhere.evaluate.sheet import KEY, BlindPair, blind_pairs, people_alpha, people_verdicts
from adhere.people import judged_before
from adhere.records import Answer, Document, Verdict
from adhere.review.decisions import Decision, write_decisions
from adhere.settings import RunSettings
from adhere.sheets import read_sheets
from adhere.store import (
    Manifest,
    alone_in,
    folder_hashes,
    read_manifest,
    read_records,
    write_manifest,
    write_records,
)

REFERENCE = {probe.question: probe.reference for probe in PROBES}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of an evaluated run that the sheet is made from."""
    run = tmp_path_factory.mktemp("people") / "run"
    for name in ("ingest", "clauses", "generate", "curate", "evaluate"):
        (run / name).mkdir(parents=True)
    RunSettings().write(run / "run.toml")
    write_records(run / "ingest/passages.jsonl", PASSAGES)
    write_records(run / "clauses/clauses.jsonl", CLAUSES)
    write_records(run / "generate/probes.jsonl", PROBES)
    write_records(run / "curate/probes.jsonl", PROBES)
    found = evaluated()
    write_records(run / "evaluate/answers.jsonl", found.answers)
    write_records(run / "evaluate/verdicts.jsonl", found.verdicts)
    (run / "evaluate/summary.json").write_text(json.dumps(found.summary()), encoding="utf-8")
    manifest = Manifest(
        stage="evaluate",
        key="key",
        settings={},
        inputs={},
        outputs=folder_hashes(run / "evaluate"),
        counts={"answers": len(found.answers), "verdicts": len(found.verdicts)},
        dropped={},
        versions={},
        seconds=1.0,
    )
    write_manifest(run / "evaluate", manifest)
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import shutil

    monkeypatch.chdir(tmp_path)
    return shutil.copytree(made, tmp_path / "run")


def export(run: Path, name: str = "sheet.csv", *flags: str) -> list[dict[str, str]]:
    said = adhere("judge-export", str(run), "--out", name, *flags)
    assert (said.code, said.err) == (0, "")
    return [line.cells for line in read_sheets(Path(name))]


def fill(rows: list[dict[str, str]], choose, name: str = "filled.csv") -> str:
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "better": choose(row)} for row in rows)
    return name


def rightly(row: dict[str, str]) -> str:
    """As one who knows the reference: the sheet tells it not, the question does here."""
    right = REFERENCE[row["question"]]
    if row["answer 1"] == row["answer 2"]:
        return "tie"
    return "1" if row["answer 1"] == right else "2"


def summary(run: Path) -> dict:
    return json.loads((run / "evaluate/summary.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["sheet.csv", "sheet.xlsx"])
def test_the_sheet_shows_what_is_needed_and_tells_no_system(run: Path, name: str) -> None:
    rows = export(run, name, "--pairs", "24", "--exam", "20")
    assert len(rows) == 24 + 20 + 2  # two pairs set an answer against itself
    assert list(rows[0]) == ["id", "text", "rule", "question", "answer 1", "answer 2", "better"]
    assert {row["better"] for row in rows} == {""}
    key = {pair.id: pair for pair in KEY.read(run)}
    assert set(key) == {row["id"] for row in rows}
    for hidden in ("match", "exam"):
        first = [
            key[row["id"]].comparison.a == row["answer 1"]
            for row in rows
            if getattr(key[row["id"]], hidden) and row["answer 1"] != row["answer 2"]
        ]
        assert sum(first) == {"match": 12, "exam": 20}[hidden]
    better = [pair.exam[2] for pair in key.values() if pair.exam]
    assert (better.count("a"), better.count("b")) == (10, 10)
    kinds = [key[row["id"]].exam is not None for row in rows]
    assert kinds != sorted(kinds)  # shuffled
    for row in rows:
        assert not {"sft", "dpo", "base", "rag"} & set(" ".join(row.values()).lower().split())


def test_no_judge_is_examined_on_a_reference_that_a_person_rejected(run: Path) -> None:
    wrong, poor = PROBES[:2]
    texts = {"question": poor.question, "reference": "As the person says.", "contrast": ""}
    decisions = [
        Decision(kind="probes", row=wrong.id, choice="reject", seen=texts),
        Decision(kind="probes", row=poor.id, choice="edit", seen=texts, texts=texts),
    ]
    write_decisions(run, decisions)
    export(run, "sheet.csv", "--exam", "1000")
    key = [pair.comparison for pair in KEY.read(run) if pair.exam]
    shown = {text for pair in key for text in (pair.a, pair.b)}
    assert shown.isdisjoint({wrong.reference, poor.reference})
    assert texts["reference"] in shown
    for name in ("examples", "pairs"):
        write_records(run / f"curate/{name}.jsonl", [])
    of = sorted({clause.document for clause in CLAUSES})
    documents = [Document(id=one, name=one, format="text", sha256=one, text="") for one in of]
    write_records(run / "ingest/documents.jsonl", documents)
    exam = material(Bench(run, RunSettings(), Notes())).exam
    others = [probe.reference for probe in PROBES[2:]]
    assert [one.reference for one in exam] == [texts["reference"], *others]


def test_the_same_run_gives_the_same_sheet(run: Path) -> None:
    assert export(run) == export(run, "again.csv")


def test_a_system_that_is_named_twice_is_set_against_once(run: Path) -> None:
    rows = export(run, "sheet.csv", "--against", "base", "--against", "base")
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)
    said = adhere("judge-import", str(run), fill(rows, rightly))
    assert (said.code, said.err) == (0, "")


def test_filled_sheets_become_a_judge_named_people(run: Path) -> None:
    rows = export(run, "sheet.csv", "--against", "base", "--pairs", "12", "--exam", "40")
    before = read_manifest(run / "evaluate")
    with alone_in(run):
        said = adhere("judge-import", str(run), fill(rows, rightly))
    assert (said.code, "another adhere works in this folder" in said.err) == (2, True)
    said = adhere("judge-import", str(run), *[fill(rows, rightly)] * 2)
    assert (said.code, "is given twice; give each person's sheet once." in said.err) == (2, True)
    said = adhere("judge-import", str(run), fill(rows, rightly))
    assert (said.code, said.err) == (0, "")
    assert "people: 32 of 32 exam pairs right." in said.out
    found = summary(run)
    judge = found["judges"][-1]
    assert (judge["name"], judge["admitted"], judge["persons"]) == ("people", True, 1)
    assert (judge["alpha"], judge["kinds"]["itself"]["right"]) == (None, 3)
    [row] = [row for row in found["win_rates"] if row["judge"] == "people"]
    assert (row["a"], row["b"], row["n"], row["rate"]) == ("sft+dpo", "base", 12, 1.0)
    assert row["corrected"]["low"] < row["corrected"]["rate"] == 1.0
    [agreed] = [row for row in found["agreement"] if row["judges"] == ["likelihood", "people"]]
    assert (agreed["n"], agreed["same"]) == (12, 1.0)
    verdicts = read_records(run / "evaluate/verdicts.jsonl", Verdict)
    assert sum(verdict.judge == "people" for verdict in verdicts) == 12
    after = read_manifest(run / "evaluate")
    assert after.outputs == folder_hashes(run / "evaluate") != before.outputs
    assert (after.key, after.counts["verdicts"]) == (before.key, len(verdicts))


def test_importing_again_replaces_what_the_people_said(run: Path) -> None:
    rows = export(run, "sheet.csv", "--pairs", "12", "--exam", "40")
    for _ in range(2):
        assert adhere("judge-import", str(run), fill(rows, rightly)).code == 0
    found = summary(run)
    assert sum(judge["name"] == "people" for judge in found["judges"]) == 1
    assert sum(row["judge"] == "people" for row in found["win_rates"]) == 1


def test_people_who_fail_the_exam_have_no_win_rates_either(run: Path) -> None:
    rows = export(run)
    said = adhere("judge-import", str(run), fill(rows, lambda row: "1"))
    assert said.code == 0
    assert "withheld: the judge `people` sorted" in said.out
    found = summary(run)
    assert found["judges"][-1]["admitted"] is False
    assert not [row for row in found["win_rates"] if row["judge"] == "people"]


def test_several_people_vote_and_their_agreement_is_shown(run: Path) -> None:
    rows = export(run, "sheet.csv", "--pairs", "12")
    names = [
        fill(rows, rightly, "one.csv"),
        fill(rows, rightly, "two.csv"),
        fill(rows, lambda row: "1", "three.csv"),
    ]
    assert adhere("judge-import", str(run), *names).code == 0
    judge = summary(run)["judges"][-1]
    assert (judge["persons"], judge["right"]) == (3, 20)
    assert 0 < judge["alpha"] < 1


def blind(probe: str, swapped: bool) -> BlindPair:
    item = Comparison(probe=probe, passage="", statement="", question="", a="from x", b="from y")
    return BlindPair(id=probe, swapped=swapped, comparison=item, match=("x", "y"))


def test_the_seats_are_undone_and_a_split_is_a_tie() -> None:
    pairs = [blind("p", False), blind("q", True), blind("r", True)]
    assert pairs[1].cells()["answer 1"] == "from y"
    votes = [{"p": "1", "q": "1", "r": "1"}, {"p": "1", "q": "1", "r": "tie"}]
    winners = [verdict.winner for verdict in people_verdicts(pairs, votes)]
    assert winners == ["a", "b", "tie"]
    assert people_alpha(pairs, votes[:1]) is None
    assert people_alpha(pairs, [votes[0], votes[0]]) == 1


def test_what_a_row_hides_does_not_show_in_its_id() -> None:
    statements, passages = ({f"c{i}": f"{i}" for i in range(12)} for _ in range(2))
    known = exam_pairs(PROBES, passages, statements, ["Well."], count=20, seed=0)
    ids = [pair.id for pair in blind_pairs([], known, seed=0)]
    assert len(set(ids)) == len(known)
    assert ids == sorted(ids) != [pair.id for pair in blind_pairs([], known, seed=1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:-1], "filled.csv: 1 of 22 rows are missing"),
        (lambda rows: [*rows, rows[0]], "stands in the sheet twice."),
        (
            lambda rows: [{**rows[0], "id": "nobody"}, *rows[1:]],
            "filled.csv: row 2: 'nobody' is no id of the sheet that was exported last",
        ),
        (
            lambda rows: [
                {**row, "better": "3" if place == 1 else "1"} for place, row in enumerate(rows)
            ],
            "filled.csv: row 3: under 'better' stands '3'; write 1, 2 or tie.",
        ),
        (
            lambda rows: [{**row, "better": ""} for row in rows],
            "filled.csv: row 2: under 'better' stands ''; write 1, 2 or tie.",
        ),
        (
            lambda rows: [{"id": row["id"], "best": "1"} for row in rows],
            "filled.csv: there is no column 'better'; the first row must hold id, text",
        ),
    ],
)
def test_a_sheet_that_is_not_as_it_was_exported_is_refused(run: Path, change, message) -> None:
    rows = export(run, "sheet.csv", "--pairs", "10", "--exam", "11")
    before = (run / "evaluate/summary.json").read_bytes()
    filled = change([{**row, "better": "1"} for row in rows])
    with Path("filled.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(filled[0]))
        writer.writeheader()
        writer.writerows(filled)
    said = adhere("judge-import", str(run), "filled.csv")
    assert said.code == 2
    assert said.err.startswith("adhere: ")
    assert message in said.err
    assert "Traceback" not in said.err
    assert (run / "evaluate/summary.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["judge-export", "run", "--out", "sheet.pdf"], "ends in .xlsx or .csv"),
        (["judge-export", "run", "--out", "taken.csv"], "taken.csv: there already"),
        (
            ["judge-export", "run", "--out", "s.csv", "--against", "bose"],
            "no system 'bose' to set against sft+dpo; evaluated are: base, base+rag, sft, dpo.",
        ),
        (["judge-export", "run", "--out", "s.csv", "--pairs", "0"], "--pairs"),
        (["judge-export", "nowhere", "--out", "s.csv"], "nowhere: no run here"),
        (["judge-import", "run"], "no sheet: `adhere judge-import run FILE`."),
        (["judge-import", "run", "taken.csv"], "run: no sheet was exported"),
    ],
)
def test_mistakes_are_one_sentence(run: Path, arguments: list[str], message: str) -> None:
    Path("taken.csv").write_text("id,better\n", encoding="utf-8")
    said = adhere(*arguments)
    assert said.code == 2
    assert message in said.err
    assert not (run / "people").exists()


def test_a_run_that_is_not_evaluated_has_nothing_to_judge(run: Path) -> None:
    (run / "evaluate/summary.json").unlink()
    said = adhere("judge-export", "run", "--out", "s.csv")
    assert (said.code, "not evaluated yet" in said.err) == (2, True)


def test_a_sheet_of_other_answers_is_refused(run: Path) -> None:
    rows = export(run)
    answers = read_records(run / "evaluate/answers.jsonl", Answer)
    changed = [Answer(**{**asdict(answer), "text": "New words."}) for answer in answers]
    write_records(run / "evaluate/answers.jsonl", changed)
    said = adhere("judge-import", "run", fill(rows, rightly))
    assert said.code == 2
    assert "evaluated again since the sheet was exported" in said.err


def evaluated_again(run: Path, made: Path, answers: list[Answer]) -> tuple[dict, list, list[str]]:
    """The summary, the verdicts and the notes of a new evaluation with these answers."""
    folder = run / "evaluate.partial"
    folder.mkdir(exist_ok=True)
    write_records(folder / "answers.jsonl", answers)
    write_records(
        folder / "verdicts.jsonl", read_records(made / "evaluate/verdicts.jsonl", Verdict)
    )
    progress = Notes()
    found, counts = judged_before(run, folder, summary(made), RunSettings(), progress)
    verdicts = read_records(folder / "verdicts.jsonl", Verdict)
    assert counts in ({}, {"verdicts": len(verdicts)})
    return found, verdicts, progress.notes


def test_what_people_said_is_heard_again_after_an_evaluation(made: Path, run: Path) -> None:
    answers = read_records(run / "evaluate/answers.jsonl", Answer)
    untouched = summary(made), read_records(made / "evaluate/verdicts.jsonl", Verdict), []
    assert evaluated_again(run, made, answers) == untouched  # nobody was asked
    rows = export(run, "sheet.csv", "--pairs", "12", "--exam", "40")
    assert adhere("judge-import", str(run), fill(rows, rightly)).code == 0
    export(run, "next.csv")  # a new sheet does not undo the old votes
    verdicts = read_records(run / "evaluate/verdicts.jsonl", Verdict)
    assert evaluated_again(run, made, answers) == (summary(run), verdicts, [])


def test_what_people_said_of_other_answers_is_left_out_with_a_note(made: Path, run: Path) -> None:
    rows = export(run, "sheet.csv", "--pairs", "12", "--exam", "40")
    assert adhere("judge-import", str(run), fill(rows, rightly)).code == 0
    answers = read_records(run / "evaluate/answers.jsonl", Answer)
    changed = [replace(answer, text="New words.") for answer in answers]
    found, verdicts, [note] = evaluated_again(run, made, changed)
    assert found == summary(made)
    assert not [verdict for verdict in verdicts if verdict.judge == "people"]
    assert "People's verdicts are left out, since the answers that they judged changed" in note
