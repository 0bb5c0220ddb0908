"""The ladder of a run: which systems there are, what they read, and what is said of them."""

import json
from pathlib import Path

import pytest
from conftest import SCRIPT, adhere

from adhere.assess import material
from adhere.bench import Bench
from adhere.errors import SettingsError
from adhere.evaluate.reading import fitting
from adhere.ladder import ladder
from adhere.progress import NoProgress
from adhere.records import Document
from adhere.run_files import DOCUMENTS
from adhere.settings import RunSettings


def bench(run: Path, **changes: object) -> Bench:
    settings = RunSettings.read(run / "run.toml").merge({"evaluate": changes}, "test")
    return Bench(run, settings, NoProgress())


def names(found) -> list[str]:
    return [system.name for system in found.systems]


def test_the_short_ladder_and_the_full_one(run: Path) -> None:
    one = bench(run)
    short, full = (ladder(each, material(each)) for each in (one, bench(run, ladder="full")))
    assert names(short) == [
        "base",
        "base+rag",
        "document-lm",
        "sft",
        "dpo",
        "sft+dpo",
        "sft+dpo+rag",
    ]
    assert set(names(full)) - set(names(short)) == {"base+document", "teacher+passage"}
    assert names(full)[0] == "base"
    assert [system.probes_only for system in full.systems].count(True) == 1


def test_what_each_system_reads(run: Path) -> None:
    one = bench(run, ladder="full")
    measured = material(one)
    found = ladder(one, measured)
    read = {
        system.name: system.read({probe.id: probe.question for probe in measured.probes})
        for system in found.systems
    }
    assert read["base"] == read["sft+dpo"] == {}
    assert read["base+rag"] == read["sft+dpo+rag"]
    sources = measured.sources()
    home = {clause.id: clause.passage for clause in measured.clauses}
    for probe in measured.probes:
        own, found_for_it = read["teacher+passage"][probe.id], read["base+rag"][probe.id]
        assert sources[probe.clause] in own.text
        assert own.passages == (home[probe.clause],)
        within = {item.id for item in measured.passages if item.text in found_for_it.text}
        assert within == set(found_for_it.passages)
        assert len(within) == 2
    [document] = one.read(DOCUMENTS)
    begun = document.text.strip()[:200]
    assert all(begun in read["base+document"][probe.id].text for probe in measured.probes)
    assert found.tuning is None
    assert found.retrieval() == {"passages": 2, "tuning": None}


def test_the_number_of_passages_is_tuned_on_training_questions(run: Path) -> None:
    one = bench(run, retrieved=None)
    found = ladder(one, material(one))
    assert found.tuning is not None
    assert found.retrieved.count == found.tuning.count
    assert found.tuning.questions > 10
    assert found.tuning.recall[1] <= found.tuning.recall[3]
    assert json.dumps(found.retrieval())


def test_as_much_of_the_document_is_read_as_fits(run: Path) -> None:
    one = bench(run)
    documents, probes = one.read(DOCUMENTS), material(one).probes
    whole = fitting(documents, probes[:1], 8, one.student)
    crowded = fitting(documents, probes, 1500, one.student)
    assert 0 < crowded.share < whole.share
    text = documents[0].text.strip()
    assert text.startswith(crowded.text)
    assert text[len(crowded.text)] == "\n"  # whole lines
    assert str(crowded).startswith(f"It reads the first {crowded.share:.0%}".replace("%", " %"))
    assert "2,048 tokens" in str(crowded)
    little = fitting(
        [Document(**{**vars_of(documents[0]), "text": "Be kind."})], [], 8, one.student
    )
    assert (little.text, little.share) == ("Be kind.", 1)
    assert str(little) == "It reads all of the documents."


def vars_of(document: Document) -> dict[str, object]:
    return {name: getattr(document, name) for name in document.__slots__}


def test_other_models_come_last_and_may_not_take_a_rungs_name(run: Path) -> None:
    one = bench(run, systems={"mine": f"scripted:{SCRIPT}"})
    found = ladder(one, material(one))
    assert names(found)[-1] == "mine"
    assert found.systems[-1].note == f"scripted:{SCRIPT}"
    taken = bench(run, systems={"sft": f"scripted:{SCRIPT}"})
    with pytest.raises(SettingsError, match="'sft' is one of adhere's own systems"):
        ladder(taken, material(taken))


def test_a_system_is_added_by_the_command_and_stays_in_the_run_file(run: Path) -> None:
    said = adhere("evaluate", str(run), "--system", f"mine=scripted:{SCRIPT}", "--quiet")
    assert said.code == 0, said.err
    summary = json.loads((run / "evaluate/summary.json").read_text(encoding="utf-8"))
    assert list(summary["systems"])[-1] == "mine"
    assert summary["notes"]["mine"] == f"scripted:{SCRIPT}"
    assert summary["retrieval"] == {"passages": 2, "tuning": None}
    assert RunSettings.read(run / "run.toml").evaluate.systems == {"mine": f"scripted:{SCRIPT}"}
    again = adhere("evaluate", str(run))
    assert "up to date" in again.err


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("mine", "--system mine: write NAME=ADDRESS"),
        ("=openvino:x", "--system =openvino:x: write NAME=ADDRESS"),
        ("mine=nonsense", "'nonsense' is no engine address"),
        ("sft=scripted:{script}", "'sft' is one of adhere's own systems"),
        ("mine=scripted:none.toml", "none.toml: cannot be read"),
    ],
)
def test_a_wrong_system_is_one_sentence(run: Path, flag: str, message: str) -> None:
    before = {name: (run / name).read_bytes() for name in ("run.toml", "evaluate/summary.json")}
    said = adhere("evaluate", str(run), "--system", flag.format(script=SCRIPT))
    assert said.code == 2
    assert message in said.err
    assert "Traceback" not in said.err
    assert {name: (run / name).read_bytes() for name in before} == before
