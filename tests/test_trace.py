"""Any id leads to its whole chain, through the library and through the command."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from conftest import adhere
from fakes import FakeEngine

from adhere.assess import write_official
from adhere.errors import InputError
from adhere.evaluate.judges import Judgement
from adhere.evaluate.official import Official, Situation, Turn
from adhere.evaluate.systems import System
from adhere.progress import NoProgress
from adhere.records import Clause, Relation, Rewriting, record_id
from adhere.settings import EvaluateSettings
from adhere.store import read_records, write_records
from adhere.trace import Kind, RunRecords, find, read_run, trace


@pytest.fixture(scope="module")
def whole(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with something of every kind, the official answers and the people's sheet too."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("whole") / "whole")
    one, other, *_ = read_records(run / "clauses/clauses.jsonl", Clause)
    conflict = Relation(
        id=record_id("contradiction", one.id, other.id),
        kind="contradiction",
        first=one.id,
        second=other.id,
        score=0.9,
    )
    write_records(run / "clauses/conflicts.jsonl", [conflict])
    told = Rewriting(
        id=record_id("told"), passage=one.passage, angle="plain", text="Told.", origin=one.origin
    )
    (run / "rewrite").mkdir()
    write_records(run / "rewrite/rewritings.jsonl", [told])
    write_official(run / "evaluate", marked_by_people())
    said = adhere("judge-export", str(run), "--out", str(run / "sheet.csv"))
    assert said.code == 0, said.err
    return run


class Honest:
    """A judge that prefers what begins with "good"."""

    name = "honest"

    def compare(self, items):
        return [Judgement(winner="a" if item.a.startswith("good") else "b") for item in items]


def marked_by_people() -> Official:
    situations = [
        Situation(
            id=f"situation-{n}",
            turns=(Turn(role="user", text=f"May I keep gift {n}?"),),
            good=(f"good {n}",),
            bad=(f"{'very ' * (n % 2)}bad {n}",),
        )
        for n in range(24)
    ]
    ours = FakeEngine("ours", lambda text: "good answer")
    ours.favourites = {"good"}
    systems = [System(name="base", engine=FakeEngine("base")), System(name="sft+dpo", engine=ours)]
    found = Official(situations, systems, EvaluateSettings(resamples=200))
    found.score(NoProgress())
    found.judge([Honest()], {one.id: "Be good." for one in situations}, NoProgress())
    return found


@pytest.fixture(scope="module")
def records(finished: Path) -> RunRecords:
    return read_run(finished)


def rows(run: Path, name: str) -> list[dict[str, object]]:
    text = (run / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def test_every_id_of_every_stage_leads_to_a_trail(whole: Path) -> None:
    records = read_run(whole)
    wanted = {
        str(row["id"])
        for path in whole.glob("*/*.jsonl")
        for row in rows(whole, str(path.relative_to(whole)))
        if "id" in row
    } | {str(row["record_id"]) for row in rows(whole, "clauses/dropped.jsonl")}
    wanted |= {
        f"{row['system']}:{row['probe']}"
        for name in ("answers", "official_answers")
        for row in rows(whole, f"evaluate/{name}.jsonl")
    }
    kinds = records.kinds()
    assert wanted <= set(kinds)
    # A kind of which the run has nothing would pass by its absence.
    assert set(kinds.values()) == set(get_args(Kind))
    for key in wanted:
        trail = trace(records, key)
        assert (trail.id, trail.kind) == (key, kinds[key])
        assert trail.place or trail.dropped or trail.situation or trail.relation


def test_an_answer_leads_to_its_probe_and_to_its_own_verdicts_alone(whole: Path) -> None:
    records = read_run(whole)
    probe = str(rows(whole, "curate/probes.jsonl")[0]["id"])
    trail = trace(records, f"base:{probe}")
    [clause] = trail.clauses
    assert trail.place == clause.place
    [tested] = [one for one in clause.probes if one.row.id == probe]
    assert [answer.system for answer in tested.answers] == ["base"]
    assert [score.system for score in tested.scores] == ["base"]
    judged = [one for one in rows(whole, "evaluate/verdicts.jsonl") if one["probe"] == probe]
    assert len(tested.verdicts) == len([one for one in judged if "base" in (one["a"], one["b"])])
    assert 0 < len(tested.verdicts) < len(judged)
    others = [one for one in clause.probes if one.row.id != probe]
    assert others == [one for one in trace(records, probe).clauses[0].probes if one.row.id != probe]
    words = " ".join(adhere("trace", str(whole), f"base:{probe}").out.split())
    assert tested.row.question in words
    assert "and base: a tie by" in words or " base by " in words or "base beats" in words


def test_an_answer_leads_to_the_passages_that_were_read_and_they_lead_back(whole: Path) -> None:
    records = read_run(whole)
    probe = str(rows(whole, "curate/probes.jsonl")[0]["id"])
    key = f"base+rag:{probe}"
    read = records.answered()[key].passages
    assert read
    shown = " ".join(adhere("trace", str(whole), key).out.split())
    assert f"having read {', '.join(read)}" in shown
    for passage in records.passages:
        found = trace(records, passage).read_for
        assert (key in found) == (passage in read)
        assert f"base:{probe}" not in found
    assert key in adhere("trace", str(whole), read[0]).out


def test_a_conflict_leads_to_both_clauses_and_each_of_them_to_it(whole: Path) -> None:
    records = read_run(whole)
    [relation] = records.relations.values()
    trail = trace(records, relation.id)
    assert [one.clause.id for one in trail.clauses] == [relation.first, relation.second]
    for side in (relation.first, relation.second):
        assert trace(records, side).clauses[0].relations == (relation,)
        assert relation.id in adhere("trace", str(whole), side).out
    words = " ".join(adhere("trace", str(whole), relation.id).out.split())
    assert "is contradiction" in words
    for clause in trail.clauses:
        assert " ".join(clause.place.text.split()) in words


def test_a_situation_leads_to_its_answers_and_judges_and_back(whole: Path) -> None:
    records = read_run(whole)
    [found] = [trace(records, "situation-3").situation]
    assert found is not None
    assert {one.system for one in found.answers} == {"base", "sft+dpo"}
    assert [one.judge for one in found.verdicts] == ["honest"]
    words = " ".join(adhere("trace", str(whole), "situation-3").out.split())
    assert "question May I keep gift 3?" in words
    assert "good good 3 bad very bad 3" in words
    assert "sft+dpo good answer [finds the good likelier than the bad in 100% of" in words
    assert "sft+dpo beats base by honest" in words
    own = trace(records, "base:situation-3").situation
    assert own is not None
    assert [one.system for one in (*own.answers, *own.scores)] == ["base", "base"]


def test_a_row_of_the_peoples_sheet_leads_to_its_probe(whole: Path) -> None:
    records = read_run(whole)
    matches = [pair for pair in records.sheet.values() if pair.match]
    exams = [pair for pair in records.sheet.values() if pair.exam]
    assert matches
    assert exams
    for pair in (matches[0], exams[0]):
        trail = trace(records, pair.id)
        assert trail.sheet == pair
        assert pair.comparison.probe in {one.row.id for one in trail.clauses[0].probes}
        words = " ".join(adhere("trace", str(whole), pair.id).out.split())
        hidden = pair.match[0] if pair.match else "an exam pair"
        assert "hides" in words
        assert hidden in words
        assert pair.comparison.question in words


def test_a_probe_leads_down_to_its_sentence_and_up_to_its_verdicts(
    finished: Path, records: RunRecords
) -> None:
    probe = next(one for one in rows(finished, "curate/probes.jsonl"))
    trail = trace(records, str(probe["id"]))
    [clause] = trail.clauses
    assert trail.place is not None
    text = records.documents[trail.place.document].text
    assert text[trail.place.start : trail.place.end] == trail.place.text
    assert trail.place.before + trail.place.text + trail.place.after in text
    assert clause.clause.id == probe["clause"]
    assert clause.result["id"] == probe["clause"]
    [tested] = [one for one in clause.probes if one.row.id == probe["id"]]
    assert tested.kept
    answers = [
        row for row in rows(finished, "evaluate/answers.jsonl") if row["probe"] == probe["id"]
    ]
    assert [answer.system for answer in tested.answers] == [row["system"] for row in answers]
    assert {"base", "sft+dpo"} <= {answer.system for answer in tested.answers}
    verdicts = rows(finished, "evaluate/verdicts.jsonl")
    assert len(tested.verdicts) == len([one for one in verdicts if one["probe"] == probe["id"]])


def test_a_clause_leads_to_all_its_rows_with_those_that_were_dropped(
    finished: Path, records: RunRecords
) -> None:
    for clause in records.clauses:
        [trail] = trace(records, clause).clauses
        for name, found in (
            ("examples", trail.examples),
            ("pairs", trail.pairs),
            ("probes", trail.probes),
        ):
            made, kept = (
                {
                    row["id"]
                    for row in rows(finished, f"{stage}/{name}.jsonl")
                    if row["clause"] == clause
                }
                for stage in ("generate", "curate")
            )
            assert {one.row.id for one in found} == made
            assert {one.row.id for one in found if one.kept} == kept
            assert all(one.dropped for one in found if not one.kept)


def test_a_sentence_passed_over_leads_to_its_place(finished: Path, records: RunRecords) -> None:
    drop = next(
        row for row in rows(finished, "clauses/dropped.jsonl") if ":" in str(row["record_id"])
    )
    trail = trace(records, str(drop["record_id"]))
    assert trail.kind == "dropped"
    assert trail.place is not None
    assert trail.place.text == drop["detail"]
    assert trail.dropped[0].reason == drop["reason"]


def test_a_beginning_is_enough_where_it_begins_one_id(records: RunRecords) -> None:
    ids = sorted(key for key in records.kinds() if ":" not in key)
    for key in ids:
        short = next(
            key[:n] for n in range(1, 13) if sum(one.startswith(key[:n]) for one in ids) == 1
        )
        assert find(records, short) == key
    first = next(key[0] for key in ids if sum(one.startswith(key[0]) for one in ids) > 1)
    with pytest.raises(InputError, match=f"'{first}' begins several ids: "):
        find(records, first)


@pytest.mark.parametrize("wanted", ["no-such", "", ":", "ffffffffffffffff"])
def test_an_unknown_id_names_the_nearest(records: RunRecords, wanted: str) -> None:
    with pytest.raises(InputError, match="is no id of this run; the nearest are ") as error:
        find(records, wanted)
    assert sum(key in str(error.value) for key in records.kinds()) >= 3


def test_an_answer_that_is_not_there_yet_is_told_from_an_unknown_id(records: RunRecords) -> None:
    probe = next(
        row.id for rows in records.probes.values() for row in rows if row.id in records.kept
    )
    unasked = replace(records, answers={})
    with pytest.raises(InputError, match="probe is not evaluated yet; `adhere evaluate RUN`"):
        find(unasked, f"sft+dpo:{probe}")
    with pytest.raises(InputError, match=r"'gpt' is not evaluated; those that are: base, .*sft"):
        find(records, f"gpt:{probe}")
    failed = {key: said for key, said in records.answers.items() if key != probe}
    with pytest.raises(InputError, match=f"'base' has no answer to this probe; trace {probe}"):
        find(replace(records, answers=failed), f"base:{probe}")
    with pytest.raises(InputError, match="the probe was dropped, so no system is asked it"):
        find(replace(unasked, kept=frozenset()), f"base:{probe}")
    with pytest.raises(InputError, match="is no id of this run"):
        find(unasked, "sft+dpo:nothing-like-it")


def test_a_run_that_has_only_read_its_documents_can_be_traced(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copy(finished / "run.toml", tmp_path)
    shutil.copytree(finished / "ingest", tmp_path / "ingest")
    records = read_run(tmp_path)
    for key in (*records.documents, *records.passages):
        assert trace(records, key).clauses == ()


def test_the_command_shows_the_chain(finished: Path, records: RunRecords) -> None:
    clause = next(iter(records.clauses.values()))
    said = adhere("trace", str(finished), clause.id)
    assert said.code == 0, said.err
    trail = trace(records, clause.id).clauses[0]
    words = " ".join(said.out.split())
    assert " ".join(trail.place.text.split()) in words
    assert f"binds {trail.clause.binds} " in words
    assert f"reason {trail.clause.rationale} " in words
    assert trail.result["result"] in words
    for row in (*trail.examples, *trail.pairs, *trail.probes):
        assert row.row.id in words
        assert row.row.question in words
    assert "sft+dpo and base: a tie by likelihood" in words or "by likelihood, margin" in words


def test_every_kind_of_record_is_shown_within_80_columns(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {kind: key for key, kind in read_run(whole).kinds().items()}
    for kind, key in kinds.items():
        said = adhere("trace", str(whole), key, columns=80)
        assert said.code == 0, said.err
        assert said.out.split()[:2] == [kind, key]
        assert max(map(len, said.out.splitlines())) <= 80


def test_the_command_gives_json(finished: Path, records: RunRecords) -> None:
    key = next(iter(records.clauses))
    said = adhere("trace", str(finished), key, "--json")
    found = json.loads(said.out)
    assert (found["id"], found["kind"]) == (key, "clause")
    [clause] = found["clauses"]
    assert clause["clause"]["id"] == key
    assert [row["row"]["id"] for row in clause["probes"]] == [
        row.row.id for row in trace(records, key).clauses[0].probes
    ]


def test_mistakes_are_one_sentence(finished: Path, tmp_path: Path) -> None:
    said = adhere("trace", str(finished), "nothing-like-it")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("adhere: 'nothing-like-it' is no id of this run; the nearest are ")
    assert said.err.count("\n") == 1
    said = adhere("trace", str(tmp_path), "x")
    assert said.code == 2
    assert said.err.startswith(f"adhere: {tmp_path}: no run here (no run.toml)")
    shutil.copy(finished / "run.toml", tmp_path)
    said = adhere("trace", str(tmp_path), "x")
    assert said.code == 2
    assert "documents.jsonl: not there; run the stage that writes it." in said.err
