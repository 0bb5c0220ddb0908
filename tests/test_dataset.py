"""The exported folder: `datasets` loads it, TRL trains on it, and its card says what is so."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import DOCUMENT, adhere

from adhere import hub
from adhere.dataset import export_data
from adhere.errors import EngineError, InputError
from adhere.records import Clause, Document, Example, PreferencePair, Probe
from adhere.review import Kind, decisions_key
from adhere.review.decisions import Decision, write_decisions
from adhere.store import (
    file_sha256,
    folder_hashes,
    read_manifest,
    read_records,
    write_manifest,
    write_records,
)


@pytest.fixture(scope="module", params=["jsonl", "parquet"])
def exported(
    request: pytest.FixtureRequest, finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("data") / request.param
    export_data(finished, out, request.param, licence=["CC BY 4.0, the town"])
    return out


def load(folder: Path, *config: str) -> Any:
    from datasets import load_dataset
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    return load_dataset(str(folder), *config, cache_dir=str(folder.parent / "cache"))


def test_datasets_loads_every_configuration(exported: Path, finished: Path) -> None:
    examples = read_records(finished / "curate/examples.jsonl", Example)
    pairs = read_records(finished / "curate/pairs.jsonl", PreferencePair)
    probes = read_records(finished / "curate/probes.jsonl", Probe)

    sft = load(exported)["train"]
    assert sft[:] == load(exported, "sft")["train"][:]
    assert sft["id"] == [row.id for row in examples]
    assert sft[0]["messages"] == [
        {"role": "user", "content": examples[0].question},
        {"role": "assistant", "content": examples[0].answer},
    ]
    preference = load(exported, "preference")["train"]
    assert preference["id"] == [row.id for row in pairs]
    assert preference[0]["prompt"] == [{"role": "user", "content": pairs[0].question}]
    assert preference[0]["chosen"] == [{"role": "assistant", "content": pairs[0].chosen}]
    assert preference[0]["rejected"] == [{"role": "assistant", "content": pairs[0].rejected}]
    held_out = load(exported, "probes")
    assert list(held_out) == ["test"]
    assert held_out["test"]["reference"] == [row.reference for row in probes]
    assert held_out["test"]["contrast"] == [row.contrast or "" for row in probes]
    assert {row["document"] for row in preference} == {DOCUMENT.name}
    assert {row["statement"] for row in preference} <= {
        clause.statement for clause in read_records(finished / "clauses/clauses.jsonl", Clause)
    }


def test_trl_knows_the_layouts_and_takes_a_step(
    exported: Path, tiny_student: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
    from trl.data_utils import is_conversational

    tokenizer = AutoTokenizer.from_pretrained(tiny_student)
    shared = {
        "output_dir": str(tmp_path),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "disable_tqdm": True,
        "activation_checkpointing": False,
    }
    for config, trainer, arguments in (
        ("sft", SFTTrainer, SFTConfig),
        ("preference", DPOTrainer, DPOConfig),
    ):
        rows = load(exported, config)["train"].select(range(4))
        assert is_conversational(rows[0])
        model = AutoModelForCausalLM.from_pretrained(tiny_student)
        training = trainer(
            model=model,
            args=arguments(**shared),
            train_dataset=rows,
            processing_class=tokenizer,
        )
        assert training.train().training_loss > 0
    assert is_conversational(load(exported, "probes")["test"][0])


def test_the_card_says_what_the_run_says(exported: Path, finished: Path) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    licence, sha256 = "CC BY 4.0, the town", file_sha256(DOCUMENT)
    assert f"| {DOCUMENT.name} | markdown | en | {licence} | `{sha256}` |" in card
    assert 'license: "other"\nlicense_name: "CC BY 4.0, the town"' in card
    manifest = read_manifest(finished / "curate")
    assert manifest is not None
    for reason, count in manifest.dropped.items():
        assert f"| curate | {reason} | {count} |" in card
    assert "`min_margin` 0.1" in card
    examples = read_records(finished / "curate/examples.jsonl", Example)
    origin = examples[0].origin
    assert f"| {origin.model} | `{origin.prompt}` |" in card
    clauses = len({row.clause for row in examples})
    assert f"| `sft` | `train` | {len(examples)} | {clauses} | `messages` |" in card
    assert "No person has decided on any of these rows." in card
    assert "0 of " in card.split("## Personal data")[1]
    assert "The judge `asked` sorted " in card
    assert ", too few to be used." in card
    assert "{{" not in card
    assert "{%" not in card


def test_the_card_counts_weaknesses(run: Path, tmp_path: Path) -> None:
    examples = read_records(run / "curate/examples.jsonl", Example)
    text = json.loads((run / "ingest/documents.jsonl").read_text(encoding="utf-8"))
    address = "ring 0171 2345678"
    changed = {
        "id": examples[0].id,
        "clause": examples[0].clause,
        "kind": examples[0].kind,
        "question": "I want to know.",
        "answer": f"Do {address}.",
        "origin": examples[0].origin,
    }
    write_records(run / "curate/examples.jsonl", [Example(**changed), *examples[1:]])
    export_data(run, tmp_path / "one")
    card = (tmp_path / "one" / "README.md").read_text(encoding="utf-8")
    assert "1 of " in card.split("## Personal data")[1].split("rows")[0]
    assert "license:" not in card
    assert "| markdown | en | not stated | `" in card
    text["text"] += f" {address}"
    (run / "ingest/documents.jsonl").write_text(json.dumps(text) + "\n", encoding="utf-8")
    export_data(run, tmp_path / "one")
    after = (tmp_path / "one" / "README.md").read_text(encoding="utf-8").split("## Personal")[1]
    assert ", and 1 hold an e-mail address or a number that stands in the documents" in after


def test_each_document_has_its_own_licence(run: Path, tmp_path: Path) -> None:
    path = run / "ingest/documents.jsonl"
    [document] = read_records(path, Document)
    write_records(path, [document, replace(document, id="other", name="other.md")])
    command = ("export-data", str(run), "--out", str(tmp_path / "out"), "--licence")
    ours = f"{DOCUMENT.name}=cc0-1.0"

    def card(*more: str) -> str:
        said = adhere(*command, ours, *more)
        assert said.code == 0, said.err
        return (tmp_path / "out" / "README.md").read_text(encoding="utf-8")

    assert f"| {DOCUMENT.name} | markdown | en | cc0-1.0 |" in card()
    assert "| other.md | markdown | en | not stated |" in card()
    assert "license:" not in card()  # it would be said of the other's rows too
    both = card("--licence", "other.md=mit")
    assert "| other.md | markdown | en | mit |" in both
    assert 'license: "other"\nlicense_name: "several, see the sources"' in both
    assert 'license: "cc0-1.0"\nlang' in card("--licence", "other.md=cc0-1.0")
    said = adhere(*command, "third.md=mit")
    assert said.code == 2
    assert f"no document of that name; the run's are {DOCUMENT.name}, other.md." in said.err


def test_rows_older_than_the_clauses_are_refused(run: Path, tmp_path: Path) -> None:
    clauses = read_records(run / "clauses/clauses.jsonl", Clause)
    kept = {row.clause for row in read_records(run / "curate/pairs.jsonl", PreferencePair)}
    write_records(run / "clauses/clauses.jsonl", [one for one in clauses if one.id not in kept])
    with pytest.raises(InputError, match=r"no longer there\. Run `adhere run"):
        export_data(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("kind", "stage"), [("examples", "curate"), ("clauses", "clauses")])
def test_rows_of_other_decisions_than_those_imported_last_are_refused(
    run: Path, tmp_path: Path, kind: Kind, stage: str
) -> None:
    write_decisions(run, [Decision(kind=kind, row="a", choice="accept", seen={})])
    refusal = (
        f"'{stage}' is out of date, .* run `adhere {stage} {run}` first, or `adhere run {run}`"
    )
    with pytest.raises(InputError, match=refusal):
        export_data(run, tmp_path / "out")
    manifest = read_manifest(run / stage)
    assert manifest is not None
    key = decisions_key(run, [kind])
    assert key is not None
    write_manifest(run / stage, replace(manifest, inputs=manifest.inputs | {"review": key}))
    export_data(run, tmp_path / "out")
    write_decisions(run, [])
    with pytest.raises(InputError, match=refusal):
        export_data(run, tmp_path / "out")


def test_only_an_older_export_is_replaced(finished: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    export_data(finished, mine)
    before = folder_hashes(mine)
    export_data(finished, mine)
    assert folder_hashes(mine) == before
    (mine / "README.md").write_text("My own notes.")
    with pytest.raises(InputError, match="holds something else"):
        export_data(finished, mine)
    assert (mine / "README.md").read_text() == "My own notes."


@pytest.mark.parametrize("name", [".git/config", "notes.md", "sft/train.csv", "figures/a.png"])
def test_an_export_that_somebody_added_to_is_not_replaced(
    finished: Path, tmp_path: Path, name: str
) -> None:
    export_data(finished, tmp_path / "out")
    mine = tmp_path / "out" / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        export_data(finished, tmp_path / "out")
    assert mine.read_text() == "mine"


def test_the_folder_that_the_user_is_in_is_not_replaced(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_data(finished, tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out" / "sft")
    for out in (".", ".."):
        said = adhere("export-data", str(finished), "--out", out)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert f"{out}: you are in this folder, and it would be replaced" in said.err


def test_an_export_in_another_format_is_replaced(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_data(finished, out)
    for path in out.rglob("*.jsonl"):
        path.rename(path.with_suffix(".parquet"))
    export_data(finished, out)
    assert not list(out.rglob("*.parquet"))


class FakeHub:
    """Remembers what it was asked for, and refuses where it is told to."""

    def __init__(self, refuses: str = "") -> None:
        self.refuses = refuses
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self) -> "FakeHub":
        return self

    def create_repo(self, name: str, **options: Any) -> str:
        self.asked.append((name, options))
        return f"https://hub.example/datasets/{name}"

    def upload_folder(self, **options: Any) -> None:
        if self.refuses:
            raise OSError(f"{self.refuses}\nmore")
        self.asked.append(("upload", options))


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeHub], FakeHub]:
    def use(fake: FakeHub) -> FakeHub:
        monkeypatch.setattr("huggingface_hub.HfApi", fake)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub, "_hub_problem", lambda endpoint, offline: None)
        return fake

    return use


def test_a_folder_is_pushed_and_private_unless_told_otherwise(
    finished: Path, tmp_path: Path, fake_hub: Callable[[FakeHub], FakeHub]
) -> None:
    fake, out = fake_hub(FakeHub()), tmp_path / "out"
    said = adhere("export-data", str(finished), "--out", str(out), "--push", "me/data")
    assert said.code == 0, said.err
    assert f'load_dataset("{out}", "preference")' in said.out
    assert said.out.endswith("https://hub.example/datasets/me/data\n")
    assert fake.asked == [
        ("me/data", {"repo_type": "dataset", "private": True, "exist_ok": True}),
        ("upload", {"repo_id": "me/data", "repo_type": "dataset", "folder_path": out}),
    ]
    fake.asked.clear()
    words = ("export-data", str(finished), "--out", str(out), "--push", "me/data", "--public")
    assert adhere(*words).code == 0
    assert fake.asked[0][1]["private"] is False


def test_a_hub_that_refuses_or_is_out_of_reach_ends_in_a_sentence(
    tmp_path: Path, fake_hub: Callable[[FakeHub], FakeHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(EngineError, match=r"^me/data: not pushed .*HF_HUB_OFFLINE is set"):
            hub.push_dataset(tmp_path, "me/data", private=True)
    fake_hub(FakeHub(refuses="403 Forbidden"))
    with pytest.raises(EngineError, match=f"403 Forbidden. Check .* the data is in {tmp_path}"):
        hub.push_dataset(tmp_path, "me/data", private=True)


def test_wrong_commands_end_in_a_sentence(finished: Path, tmp_path: Path) -> None:
    said = adhere("export-data", str(tmp_path), "--out", str(tmp_path / "x"))
    assert (said.code, "no run here" in said.err) == (2, True)
    said = adhere("export-data", str(finished), "--out", str(tmp_path / "x"), "--format", "xml")
    assert said.code == 2
    (tmp_path / "notes.txt").write_text("mine")
    said = adhere("export-data", str(finished), "--out", str(tmp_path))
    assert (said.code, "holds something else" in said.err) == (2, True)
