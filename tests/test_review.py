"""A person's decisions: checked row by row, applied last, kept over re-runs, never half taken."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import adhere
from fakes import Notes

from adhere.errors import InputError
from adhere.pipeline import run_stages, standings
from adhere.records import Clause, Dropped, Example, PreferencePair, Probe
from adhere.review import export_review, import_review
from adhere.review.decisions import EDITED, Decision, read_decisions, write_decisions
from adhere.review.rows import decide, items
from adhere.settings import RunSettings
from adhere.store import folder_hashes, read_manifest, read_records

Cells = dict[str, str]


def edit(run: Path, change: Callable[[list[Cells]], object], path: Path | None = None) -> Path:
    """Export as CSV, let `change` edit the rows, and save."""
    path = path or run.parent / "review.csv"
    path.unlink(missing_ok=True)
    export_review(run, path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def of(rows: list[Cells], sheet: str, place: int = 0) -> Cells:
    return [row for row in rows if row["sheet"] == sheet][place]


def set_cells(sheet: str, place: int = 0, **cells: str) -> Callable[[list[Cells]], object]:
    return lambda rows: of(rows, sheet, place).update(cells)


def settings_of(run: Path) -> RunSettings:
    return RunSettings.read(run / "run.toml")


def stage(run: Path, *names: str, again: bool = False) -> list[str]:
    notes = Notes()
    run_stages(run, settings_of(run), notes, names, again=again)
    return notes.notes


def rows_of(run: Path, name: str, kind: type[Any]) -> list[Any]:
    return read_records(run / name, kind)


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
def test_what_is_exported_and_imported_untouched_decides_nothing(run: Path, suffix: str) -> None:
    path = run.parent / f"review{suffix}"
    count = export_review(run, path)
    before = folder_hashes(run / "curate")
    done = import_review(run, path)
    assert (done.accepted, done.edited, done.rejected, done.undecided) == (0, 0, 0, count)
    assert read_decisions(run) == []
    states = {one.stage: one.state for one in standings(run, settings_of(run))}
    assert states["clauses"] == states["curate"] == "up to date"
    assert folder_hashes(run / "curate") == before


def test_rows_that_excel_cut_short_decide_nothing(run: Path) -> None:
    path = edit(run, lambda rows: None)
    with path.open(encoding="utf-8-sig", newline="") as file:
        names, *rows = csv.reader(file)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([names, *(row[:-1] for row in rows)])
    assert names[-1] == "decision"
    assert import_review(run, path).undecided == len(rows)


def test_every_row_and_clause_is_there_with_its_clause_and_sentence(finished: Path) -> None:
    found = items(finished)
    for kind, file, record in (
        ("examples", "curate/examples.jsonl", Example),
        ("pairs", "curate/pairs.jsonl", PreferencePair),
        ("probes", "curate/probes.jsonl", Probe),
        ("clauses", "clauses/clauses.jsonl", Clause),
    ):
        ids = [row.id for row in rows_of(finished, file, record)]
        assert [item.id for item in found if item.kind == kind] == ids
    assert all(item.seen["sentence"] for item in found)
    document = (finished / "ingest/documents.jsonl").read_text(encoding="utf-8")
    assert found[0].seen["sentence"].split("\n")[0][:20] in document


def test_a_clause_shows_its_parts_which_nobody_changes(finished: Path, tmp_path: Path) -> None:
    [clause, *_] = rows_of(finished, "clauses/clauses.jsonl", Clause)
    [item, *_] = [item for item in items(finished) if item.kind == "clauses"]
    assert clause.rationale
    assert (item.seen["binds"], item.seen["rationale"]) == (clause.binds, clause.rationale)
    path = edit(finished, set_cells("clauses", rationale="because I say so"), tmp_path / "r.csv")
    with pytest.raises(InputError, match="'rationale' was changed, and only statement, "):
        import_review(finished, path)


def test_a_decision_from_before_a_column_was_shown_is_still_good(run: Path) -> None:
    item = next(item for item in items(run) if item.kind == "clauses" and item.seen["rationale"])
    seen = {name: text for name, text in item.seen.items() if name != "rationale"}
    write_decisions(run, [Decision(kind="clauses", row=item.id, choice="reject", seen=seen)])
    stage(run, "clauses", "generate", "curate")
    export_review(run, run.parent / "review.csv")
    import_review(run, run.parent / "review.csv")
    [again] = [one for one in items(run) if one.id == item.id]
    assert again.seen["rationale"] == ""


def test_decisions_reach_the_rows_and_keep_their_lineage(run: Path) -> None:
    examples = rows_of(run, "curate/examples.jsonl", Example)
    pairs = rows_of(run, "curate/pairs.jsonl", PreferencePair)
    probes = rows_of(run, "curate/probes.jsonl", Probe)

    def change(rows: list[Cells]) -> None:
        of(rows, "examples").update(decision="Accept")
        of(rows, "examples", 1).update(decision="reject", comment="not so")
        of(rows, "pairs").update(decision="edit", chosen="=Please do,\nas the rule says.")
        of(rows, "probes").update(decision="edit", reference="Put it on at once.", contrast="")

    done = import_review(run, edit(run, change))
    assert (done.accepted, done.edited, done.rejected) == (1, 2, 1)
    states = {one.stage: one.state for one in standings(run, settings_of(run))}
    assert states["clauses"] == states["generate"] == "up to date"
    assert states["curate"] == "out of date"
    stage(run, "curate")

    kept = rows_of(run, "curate/examples.jsonl", Example)
    assert kept == [examples[0], *examples[2:]]
    [pair, *others] = rows_of(run, "curate/pairs.jsonl", PreferencePair)
    assert others == pairs[1:]
    assert (pair.chosen, pair.rejected) == ("=Please do,\nas the rule says.", pairs[0].rejected)
    assert pair.id != pairs[0].id
    assert pair.origin.parents == (*pairs[0].origin.parents, pairs[0].id)
    assert pair.origin.model.endswith(EDITED)
    assert pair.origin.prompt == pairs[0].origin.prompt
    [probe, *_] = rows_of(run, "curate/probes.jsonl", Probe)
    assert (probe.question, probe.contrast) == (probes[0].question, None)
    assert probe.reference == "Put it on at once."
    drops = rows_of(run, "curate/dropped.jsonl", Dropped)
    [gone] = [drop for drop in drops if drop.reason == "rejected by a person"]
    assert gone.record_id == examples[1].id
    assert gone.detail.startswith("not so: ")
    manifest = read_manifest(run / "curate")
    assert manifest is not None
    assert manifest.facts["review"] == {"accept": 1, "reject": 1, "edit": 2, "waiting": []}


def test_a_second_look_starts_from_the_first_and_can_take_it_back(run: Path) -> None:
    before = folder_hashes(run / "curate")

    def first(rows: list[Cells]) -> None:
        of(rows, "examples").update(decision="reject")
        of(rows, "examples", 1).update(decision="edit", answer="Wear it, always.")

    import_review(run, edit(run, first))
    pending = items(run)
    stage(run, "curate")
    assert sorted(items(run), key=repr) == sorted(pending, key=repr)  # applied or not yet: the same

    def untouched(rows: list[Cells]) -> None:
        one = next(row for row in rows if row["decision"] == "edit")
        assert one["answer"] == "Wear it, always."

    decisions = read_decisions(run)
    import_review(run, edit(run, untouched))
    assert read_decisions(run) == decisions

    original = {item.id: item.seen for item in items(run) if item.choice == "edit"}

    def take_back(rows: list[Cells]) -> None:
        for row in rows:
            if row["id"] in original:
                row["answer"] = original[row["id"]]["answer"]
            row["decision"] = ""

    done = import_review(run, edit(run, take_back))
    assert (done.accepted, done.edited, done.rejected) == (0, 0, 0)
    stage(run, "curate")
    assert folder_hashes(run / "curate") == before


def test_decisions_outlive_a_rerun_and_wait_for_rows_that_are_gone(run: Path) -> None:
    import_review(run, edit(run, set_cells("pairs", decision="edit", chosen="Do wear it.")))
    stage(run, "curate")
    stage(run, "curate", again=True)
    assert rows_of(run, "curate/pairs.jsonl", PreferencePair)[0].chosen == "Do wear it."
    lost = Decision(kind="examples", row="gone", choice="accept", seen={})
    decide(run, {("examples", "gone"): lost})
    [note] = [said for said in stage(run, "curate") if "decisions" in said]
    assert note.endswith("(review/decisions.jsonl): gone.")
    manifest = read_manifest(run / "curate")
    assert manifest is not None
    assert manifest.facts["review"]["waiting"] == ["gone"]
    assert lost in read_decisions(run)
    export_review(run, run.parent / "again.xlsx")
    import_review(run, run.parent / "again.xlsx")
    assert lost in read_decisions(run)


def test_a_persons_word_on_a_clause_counts_before_anything_is_generated(run: Path) -> None:
    clauses = rows_of(run, "clauses/clauses.jsonl", Clause)

    def change(rows: list[Cells]) -> None:
        of(rows, "clauses").update(decision="reject")
        of(rows, "clauses", 1).update(decision="edit", statement="Guests may always help.")

    import_review(run, edit(run, change))
    stage(run, "clauses", "generate", "curate")
    after = rows_of(run, "clauses/clauses.jsonl", Clause)
    assert after[1:] == clauses[2:]
    assert after[0].statement == "Guests may always help."
    assert (clauses[1].polarity, after[0].polarity) == ("forbidden", "permitted")
    assert (after[0].rationale, after[0].binds) == ("", "Guests")
    assert (after[0].start, after[0].end) == (clauses[1].start, clauses[1].end)
    assert after[0].origin.parents[-1] == clauses[1].id
    used = {row.clause for row in rows_of(run, "generate/examples.jsonl", Example)}
    assert not used & {clauses[0].id, clauses[1].id}
    shown = {item.id: item.choice for item in items(run) if item.kind == "clauses"}
    assert shown[clauses[0].id] == "reject"
    assert shown[clauses[1].id] == "edit"


@pytest.mark.parametrize(
    ("sheet", "cells", "message"),
    [
        ("examples", {"id": "nobody"}, "the run has no row 'nobody'"),
        ("examples", {"sentence": "Members may swim."}, "'sentence' was changed, and only"),
        ("probes", {"clause": "x"}, "'clause' was changed, and only question, reference, contr"),
        ("examples", {"decision": "maybe"}, "'maybe' is no decision; choose accept, edit, reject"),
        ("examples", {"answer": "Do."}, "'answer' was changed; choose edit to keep the change"),
        ("examples", {"answer": "Do.", "decision": "accept"}, "choose edit"),
        ("examples", {"decision": "edit"}, "nothing was changed; choose accept"),
        ("examples", {"comment": "Odd."}, "a comment without a decision is not kept; choose acc"),
        ("examples", {"answer": " ", "decision": "edit"}, "'answer' is empty"),
        ("pairs", {"answer": "Do.", "decision": "edit"}, "'answer' is filled in, and rows of pair"),
        ("pairs", {"chosen": "No.", "rejected": " No.", "decision": "edit"}, "are the same"),
        ("probes", {"sheet": "exams"}, "no sheet of this name"),
    ],
)
def test_a_wrong_row_is_named_and_nothing_is_taken_over(
    finished: Path, tmp_path: Path, sheet: str, cells: Cells, message: str
) -> None:
    def change(rows: list[Cells]) -> None:
        of(rows, "clauses").update(decision="accept")
        of(rows, sheet).update(cells)

    path = tmp_path / "review.csv"
    edit(finished, change, path)
    with pytest.raises(InputError, match=message) as error:
        import_review(finished, path)
    first, last = str(error.value).splitlines()
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    wanted = cells.get("sheet", sheet)
    row = next(n for n, line in enumerate(lines, 2) if line["sheet"] == wanted)
    assert first.startswith(f"{path}: sheet {wanted}, row {row}: ")
    assert last == "Nothing was imported."
    assert not (finished / "review").exists()


@pytest.mark.parametrize(
    ("edited", "other", "told"),
    [("examples", "probes", "that of a probe"), ("probes", "pairs", "that of a training row")],
)
def test_an_edit_must_not_bring_training_and_probes_together(
    finished: Path, tmp_path: Path, edited: str, other: str, told: str
) -> None:
    def change(rows: list[Cells]) -> None:
        of(rows, edited).update(decision="edit", question=of(rows, other)["question"].upper())

    edit(finished, change, tmp_path / "r.csv")
    with pytest.raises(InputError, match=f"{edited}, .* the question is {told}"):
        import_review(finished, tmp_path / "r.csv")


def test_twice_the_same_row_is_refused(finished: Path, tmp_path: Path) -> None:
    edit(finished, lambda rows: rows.append(dict(rows[0])), tmp_path / "r.csv")
    with pytest.raises(InputError, match="stands here twice"):
        import_review(finished, tmp_path / "r.csv")


def test_other_columns_are_one_sentence_however_many_rows(finished: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    edit(finished, lambda rows: [row.pop("comment") for row in rows], path)
    with pytest.raises(InputError, match=r"examples: the column 'comment' is missing") as error:
        import_review(finished, path)
    assert "\n" not in str(error.value)
    path.write_text("name,age\n" + "Ann,40\n" * 30)
    with pytest.raises(InputError, match=r"r\.csv: none of the sheets examples, pairs, ") as error:
        import_review(finished, path)
    assert "\n" not in str(error.value)
    assert "with the columns id, kind, clause" in str(error.value)
    assert "Is it a file of `adhere export-review`?" in str(error.value)
    assert not (finished / "review").exists()


def test_a_decision_that_cannot_be_is_refused_with_its_line(run: Path) -> None:
    write_decisions(run, [Decision(kind="pairs", row="a", choice="accept", seen={})])
    path = run / "review" / "decisions.jsonl"
    path.write_text(path.read_text().replace('"accept"', '"edit"'), encoding="utf-8")
    with pytest.raises(InputError, match=r"line 1 is not a Decision: .*an edit gives all of"):
        read_decisions(run)
    with pytest.raises(ValueError, match="only an edit"):
        Decision(kind="pairs", row="a", choice="reject", seen={}, texts={"question": "x"})


def test_the_commands(run: Path) -> None:
    path = run.parent / "out" / "review.xlsx"
    said = adhere("export-review", str(run), "--out", str(path))
    assert said.code == 0, said.err
    assert f"adhere import-review {run} {path}" in said.out
    import openpyxl

    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["examples", "pairs", "probes", "clauses"]
    page = book["examples"]
    names = [cell.value for cell in page[1]]
    assert names[:4] == ["id", "kind", "clause", "sentence"]
    page.cell(2, names.index("decision") + 1).value = "reject"
    book.save(path)
    said = adhere("import-review", str(run), str(path))
    assert said.code == 0, said.err
    assert said.out.startswith("0 accepted, 0 edited, 1 rejected, ")
    assert len(read_decisions(run)) == 1


def test_the_commands_end_in_a_sentence(finished: Path, tmp_path: Path) -> None:
    said = adhere("export-review", str(tmp_path), "--out", str(tmp_path / "r.csv"))
    assert (said.code, "no run here" in said.err) == (2, True)
    said = adhere("export-review", str(finished), "--out", str(tmp_path / "r.txt"))
    assert (said.code, "ends in .xlsx or .csv" in said.err) == (2, True)
    (tmp_path / "filled.csv").write_text("filled in")
    said = adhere("export-review", str(finished), "--out", str(tmp_path / "filled.csv"))
    assert (said.code, "perhaps filled in; choose another name" in said.err) == (2, True)
    assert (tmp_path / "filled.csv").read_text() == "filled in"
    said = adhere("import-review", str(finished), str(tmp_path / "none.csv"))
    assert (said.code, "no such file" in said.err) == (2, True)
