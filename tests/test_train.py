"""Training on a tiny random Llama: what moves, what is learned, what is the reference, resuming."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adhere.train
from adhere.errors import EngineError, InputError, MissingExtraError
from adhere.progress import NoProgress
from adhere.records import Example, Origin, PreferencePair, Probe
from adhere.settings import DPOSettings, SFTSettings
from adhere.store import Manifest, write_manifest
from adhere.train import Task, TrainingResult, alarms, libraries, loading, session
from adhere.train.rows import answer_row, fit

T = TypeVar("T")

ORIGIN = Origin(parents=(), prompt="test@0", model="none")
RULES = ("gifts", "loans", "data", "rest", "travel", "speech", "safety", "trade")
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
WORDS = ("may", "i", "have", "today", "again", "yes", "no", "ask", "first", "never", *RULES)
SFT = SFTSettings(epochs=3, batch_size=4, lora_rank=4, learning_rate=1e-2)
DPO = DPOSettings(epochs=3, batch_size=4, lora_rank=4, learning_rate=1e-2)

EXAMPLES = [
    Example(
        id=f"e{i}",
        clause="c",
        kind="k",
        question=f"may i have {RULES[i % 8]} " + "again " * (i // 8),
        answer="no ask first " + "never " * (i % 5),
        origin=ORIGIN,
    )
    for i in range(24)
]
PAIRS = [
    PreferencePair(
        id=f"p{i}",
        clause="c",
        kind="k",
        question=example.question,
        chosen=example.answer,
        rejected="yes today " + "have " * (i % 3),
        origin=ORIGIN,
    )
    for i, example in enumerate(EXAMPLES)
]
PROBES = [
    Probe(
        id=f"q{i}",
        clause="c",
        kind="k",
        question=f"may i have {rule} today",
        reference="no ask first",
        contrast="yes today" if i % 2 else None,
        origin=ORIGIN,
    )
    for i, rule in enumerate(RULES)
]


def train_sft(
    examples: list[Example], held_out: list[Probe], *task: Any, **more: Any
) -> TrainingResult:
    """`task`: model, adapter, settings, folder, progress."""
    return adhere.train.train_sft(examples, held_out, Task(**named("sft", *task)), **more)


def train_dpo(pairs: list[PreferencePair], held_out: list[Probe], *task: Any) -> TrainingResult:
    return adhere.train.train_dpo(pairs, held_out, Task(**named("dpo", *task)))


def named(stage: str, *values: Any) -> dict[str, Any]:
    names = ("model", "adapter", "settings", "folder", "progress")
    return {"stage": stage, **dict(zip(names, values, strict=True))}


class Recorder:
    """A Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ticks: list[str] = []

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        for item in items:
            yield item
            self.ticks.append(what)

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 2 layers with a tokenizer of two dozen words."""
    folder = tmp_path_factory.mktemp("model")
    with libraries.training_libraries():
        import torch
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

        special = ("<pad>", "<end>", "<unk>", "<user>", "<assistant>")
        vocabulary = {word: i for i, word in enumerate((*special, *WORDS))}
        words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
        )
        tokenizer.chat_template = TEMPLATE
        tokenizer.save_pretrained(folder)
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
            initializer_range=0.3,  # else the frozen head cannot tell the words apart
        )
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact enough to compare log-likelihoods, and the same on every machine."""
    monkeypatch.setattr(loading, "has_bfloat16", lambda: False)


def spy(patch: pytest.MonkeyPatch, look: Callable[[Any], None]) -> None:
    """Call `look` with the trainer just before it trains."""
    train = adhere.train.run

    def looked_at(trainer: Any, *args: Any) -> TrainingResult:
        look(trainer)
        return train(trainer, *args)

    patch.setattr(adhere.train, "run", looked_at)


def copies(trainer: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


@dataclass
class Trained:
    """An SFT, and its trainer with the parameters that it began with."""

    result: TrainingResult
    folder: Path
    trainer: Any
    before: dict[str, Any]

    @property
    def adapter(self) -> Path:
        return self.folder / "adapter"


@pytest.fixture(scope="session")
def sft(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("sft")
    seen: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "has_bfloat16", lambda: False)
        spy(patch, lambda trainer: seen.extend((trainer, copies(trainer))))
        result = train_sft(EXAMPLES, PROBES, model, None, SFT, folder, NoProgress())
    return Trained(result, folder, *seen)


def first(result: TrainingResult, key: str) -> float:
    return next(point[key] for point in result.curve if key in point)


def same_curve(one: TrainingResult, other: TrainingResult) -> None:
    for here, there in zip(one.curve, other.curve, strict=True):
        assert here == pytest.approx(there, rel=1e-4, abs=1e-4)


def last(result: TrainingResult, key: str) -> float:
    return [point[key] for point in result.curve if key in point][-1]


# What is learned


def test_sft_learns_the_answers_and_leaves_adapter_and_curve(sft: Trained) -> None:
    result = sft.result
    assert (result.rows, result.steps, result.dropped) == (24, 18, [])
    assert last(result, "loss") < 0.3 * first(result, "loss")
    assert last(result, "eval_loss") < 0.5 * first(result, "eval_loss")
    assert result.curve[0]["step"] == 0
    assert "loss" not in result.curve[0]
    files = sorted(path.relative_to(sft.folder).as_posix() for path in sft.folder.rglob("*"))
    assert files == [
        "adapter",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "curve.jsonl",
        "rows.md",
    ]
    written = (sft.folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in written] == result.curve


def test_sft_moves_every_lora_tensor_and_nothing_else(sft: Trained) -> None:
    after = copies(sft.trainer)
    moved = {name for name in after if not after[name].equal(sft.before[name])}
    assert moved == {name for name in after if "lora_" in name}
    assert len(moved) == 2 * 7 * 2  # layers, linear maps a layer, A and B
    assert sft.result.trained_parameters == sum(after[name].numel() for name in moved)


def test_dpo_moves_every_lora_tensor_and_not_its_reference(
    model: Path, sft: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    spy(monkeypatch, lambda trainer: seen.extend((trainer, copies(trainer))))
    result = train_dpo(PAIRS, [], model, sft.adapter, DPO, tmp_path, NoProgress())
    trainer, before = seen
    after = copies(trainer)
    moved = {name for name in after if not after[name].equal(before[name])}
    assert len(moved) == 28
    assert moved == {name for name in after if ".default." in name}
    assert result.trained_parameters == sum(after[name].numel() for name in moved)
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_the_loss_is_over_the_answer_alone_and_over_all_of_it(sft: Trained) -> None:
    learned = [
        sft.trainer.processing_class.decode([label for label in labels if label != -100])
        for labels in sft.trainer.train_dataset["labels"]
    ]
    assert sorted(learned) == sorted(f"{' '.join(e.answer.split())} <end>" for e in EXAMPLES)


def test_computing_logits_of_the_answers_only_changes_no_loss(
    model: Path, sft: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = sft.adapter
    only = train_dpo(PAIRS, PROBES, model, adapter, DPO, tmp_path / "only", NoProgress())
    monkeypatch.setattr(libraries, "_logits_of_answers_only", nullcontext)
    plain = train_sft(EXAMPLES, PROBES, model, None, SFT, tmp_path / "sft", NoProgress())
    all_of = train_dpo(PAIRS, PROBES, model, adapter, DPO, tmp_path / "dpo", NoProgress())
    same_curve(sft.result, plain)
    same_curve(only, all_of)


# The reference


def answer_logps(model: Path, adapter: Path | None) -> list[float]:
    """Log-likelihood of each chosen answer, by transformers and PEFT alone."""
    with libraries.training_libraries():
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model)
        policy: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        if adapter:
            policy = PeftModel.from_pretrained(policy, str(adapter))
        sums: list[float] = []
        for pair in PAIRS:
            prompt = tokenizer(f"<user> {pair.question} <end> <assistant>")["input_ids"]
            answer = tokenizer(f"{pair.chosen} <end>")["input_ids"]
            with torch.no_grad():
                logits = policy(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
            steps = enumerate(answer, start=len(prompt) - 1)
            sums.append(sum(logits[place, token].item() for place, token in steps))
    return sorted(sums)


@pytest.mark.parametrize("after_sft", [True, False])
def test_the_reference_is_what_dpo_starts_from(
    model: Path,
    sft: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after_sft: bool,
) -> None:
    reference: list[float] = []
    spy(monkeypatch, lambda trainer: reference.extend(trainer.train_dataset["ref_chosen_logps"]))
    adapter = sft.adapter if after_sft else None
    result = train_dpo(PAIRS, PROBES, model, adapter, DPO, tmp_path, NoProgress())
    start, base = answer_logps(model, adapter), answer_logps(model, None)
    assert sorted(reference) == pytest.approx(start, abs=1e-3)
    assert (start == pytest.approx(base, abs=0.1)) is not after_sft
    assert first(result, "rewards/margins") == pytest.approx(0, abs=1e-4)
    assert first(result, "eval_rewards/chosen") == pytest.approx(0, abs=1e-4)


def test_dpo_prefers_the_chosen_answers_and_makes_them_likelier(
    model: Path, tmp_path: Path
) -> None:
    result = train_dpo(PAIRS, PROBES, model, None, DPO, tmp_path, NoProgress())
    assert last(result, "rewards/accuracies") == 1
    assert last(result, "eval_rewards/margins") > 0.5
    assert last(result, "rewards/chosen") > 0 > last(result, "rewards/rejected")
    assert last(result, "eval_logps/chosen") > first(result, "eval_logps/chosen")
    assert result.alarms == []


# Rows


def test_rows_that_are_too_long_are_dropped_aloud(model: Path, tmp_path: Path) -> None:
    settings = SFT.model_copy(update={"max_length": 32, "epochs": 1})
    long = Example(
        id="long", clause="c", kind="k", question="may i", answer="never " * 40, origin=ORIGIN
    )
    progress = Recorder()
    result = train_sft([*EXAMPLES, long], [], model, None, settings, tmp_path, progress)
    assert result.rows == 24
    assert [(d.record_id, d.stage, d.reason) for d in result.dropped] == [
        ("long", "sft", "too long")
    ]
    assert progress.notes[0] == (
        "sft: 24 of 25 rows to train on; dropped: 1 too long "
        "(the first: 46 tokens, and max_length is 32)."
    )
    with pytest.raises(InputError, match="0 of 1 rows"):
        train_sft([long], [], model, None, settings, tmp_path, progress)


def test_pairs_of_the_rarer_side_are_trained_on_again(model: Path, tmp_path: Path) -> None:
    no = [replace(x, chosen="no, ask first", rejected="yes, take it") for x in PAIRS[:6]]
    yes = [replace(x, chosen="yes, take it", rejected="no, ask first") for x in PAIRS[6:8]]
    for balance, steps in ((True, 3), (False, 2)):  # of 6 + 2 * 3 pairs and of 8, by fours
        settings = DPO.model_copy(update={"balance": balance, "epochs": 1})
        folder, progress = tmp_path / str(balance), Recorder()
        result = train_dpo([*no, *yes], [], model, None, settings, folder, progress)
        assert (result.rows, result.steps) == (8, steps)
        assert any("of the fewer, 4 are taken again" in note for note in progress.notes) == balance


def test_examples_of_the_rarer_side_are_trained_on_again(model: Path, tmp_path: Path) -> None:
    no = [replace(x, answer="no, ask first") for x in EXAMPLES[:6]]
    yes = [replace(x, answer="yes, take it") for x in EXAMPLES[6:8]]
    settings, progress = SFT.model_copy(update={"epochs": 1}), Recorder()
    result = train_sft([*no, *yes], [], model, None, settings, tmp_path, progress)
    assert (result.rows, result.steps) == (8, 3)  # 12 rows, by fours
    assert any("of the fewer, 4 are taken again" in note for note in progress.notes)


class Letters:
    """A tokenizer of characters whose template loses answers that begin with "-"."""

    def apply_chat_template(
        self, messages: list[dict[str, str]], return_dict: bool, add_generation_prompt: bool = False
    ) -> dict[str, list[int]]:
        said = "".join(m["content"] for m in messages if not m["content"].startswith("-"))
        return {"input_ids": [ord(letter) for letter in said]}


@given(
    st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8)), max_size=8)
)
def test_every_row_is_kept_or_dropped_with_its_reason(texts: list[tuple[str, str, str]]) -> None:
    rows = [
        (str(i), answer_row(question, chosen=chosen, rejected=rejected))
        for i, (question, chosen, rejected) in enumerate(texts)
    ]
    kept, dropped = fit("dpo", rows, Letters(), 10)
    lengths = [row["length"] for row in kept]
    assert lengths == sorted(lengths)
    assert all(length <= 10 for length in lengths)
    assert len(kept) + len(dropped) == len(rows)
    for drop in dropped:
        question, *answers = texts[int(drop.record_id)]
        if drop.reason == "empty answer mask":
            assert any(not answer or answer.startswith("-") for answer in answers)
        else:
            assert len(question) + max(map(len, answers)) > 10


# Interruptions and failures

KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_train as t

class Killing(t.NoProgress):
    def track(self, items, what, total):
        for item in items:
            if item == 9:
                os.kill(os.getpid(), signal.SIGKILL)
            yield item

t.loading.has_bfloat16 = lambda: False
t.{call}(Path({model!r}), {adapter}, Path({folder!r}), Killing())
"""


def call_sft(model: Path, adapter: Path | None, folder: Path, progress: Any) -> TrainingResult:
    return train_sft(EXAMPLES, PROBES, model, None, SFT, folder, progress)


def call_dpo(model: Path, adapter: Path | None, folder: Path, progress: Any) -> TrainingResult:
    return train_dpo(PAIRS, PROBES, model, adapter, DPO, folder, progress)


@pytest.mark.parametrize("call", [call_sft, call_dpo])
def test_a_killed_training_goes_on_to_the_same_end(
    model: Path, sft: Trained, tmp_path: Path, call: Any
) -> None:
    straight = call(model, sft.adapter, tmp_path / "straight", NoProgress())
    folder = tmp_path / "killed"
    script = KILLED.format(
        tests=str(Path(__file__).parent),
        call=call.__name__,
        model=str(model),
        adapter=f"Path({str(sft.adapter)!r})",
        folder=str(folder),
    )
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert not (folder / "adapter").exists()
    progress = Recorder()
    resumed = call(model, sft.adapter, folder, progress)
    assert any(note.endswith("resumed from step 8.") for note in progress.notes)
    assert len(progress.ticks) == 10
    assert (resumed.steps, resumed.tokens) == (straight.steps, straight.tokens)
    same_curve(resumed, straight)  # to 0.01 %, the last loss included
    assert not (folder / "checkpoints").exists()


def test_only_a_whole_checkpoint_of_the_same_work_is_resumed(tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    assert session.last_checkpoint(checkpoints, "work") is None
    for step, state in (("9", "{}"), ("10", "{}"), ("11", '{"epo'), ("12", None)):
        checkpoint = checkpoints / f"checkpoint-{step}"
        checkpoint.mkdir()
        if state is not None:
            (checkpoint / "trainer_state.json").write_text(state, encoding="utf-8")
    assert session.last_checkpoint(checkpoints, "work") == checkpoints / "checkpoint-10"
    assert session.last_checkpoint(checkpoints, "other work") is None
    assert session.last_checkpoint(checkpoints, "work") is None


def test_work_on_another_fully_tuned_model_is_other_work(tmp_path: Path) -> None:
    def key(outputs: dict[str, str]) -> str:
        left = Manifest(
            stage="midtrain",
            key="",
            settings={},
            inputs={},
            outputs=outputs,
            counts={},
            dropped={},
            versions={},
            seconds=0.0,
        )
        (tmp_path / "midtrain").mkdir(exist_ok=True)
        write_manifest(tmp_path / "midtrain", left)
        task = Task(
            stage="sft",
            model=tmp_path / "midtrain/model",
            settings=SFT,
            folder=tmp_path / "sft",
            progress=NoProgress(),
        )
        return task.key([], [])

    assert key({"model/weights": "one"}) == key({"model/weights": "one"})
    assert key({"model/weights": "one"}) != key({"model/weights": "another"})


def test_work_on_other_weights_is_other_work(tmp_path: Path) -> None:
    def key(weights: bytes) -> str:
        (tmp_path / "model.safetensors").write_bytes(weights)
        names = named("sft", tmp_path, None, SFT, tmp_path / "sft", NoProgress())
        return Task(**names).key([], [])

    assert key(b"one") != key(b"other")


def test_work_of_another_version_is_other_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(**named("sft", tmp_path / "model", None, SFT, tmp_path / "sft", NoProgress()))
    keys = {task.key([], [])}
    for name in ("adhere", "trl"):
        versions = {"adhere": "1", "trl": "1", name: "2"}
        monkeypatch.setattr(session, "version", versions.__getitem__)
        keys.add(task.key([], []))
    assert len(keys) == 3


def test_a_training_that_diverges_stops_with_a_sentence(model: Path, tmp_path: Path) -> None:
    settings = SFT.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        EngineError, match=r"step \d+, so the training has diverged\..*Lower the learning rate"
    ):
        train_sft(EXAMPLES, [], model, None, settings, tmp_path, NoProgress())
    assert not (tmp_path / "checkpoints").exists()
    assert not (tmp_path / "adapter").exists()


def test_running_out_of_memory_names_the_remedy(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(trainer: Any) -> None:
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory")

    spy(monkeypatch, look)
    with pytest.raises(EngineError, match="lower micro_batch_size or max_length"):
        train_sft(EXAMPLES, [], model, None, SFT, tmp_path, NoProgress())


def test_weights_that_cannot_be_written_are_one_sentence(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    def look(trainer: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    spy(monkeypatch, look)
    with pytest.raises(EngineError, match=r"No space left on device.*Free some space"):
        train_sft(EXAMPLES, [], model, None, SFT, tmp_path, NoProgress())


@pytest.mark.parametrize(
    "said",
    [
        "[enforce fail at inline_container.cc:672] . unexpected pos 256 vs 150\nframe #0: c10",
        "PytorchStreamWriter failed writing file data/1: file write failed",
    ],
)
def test_a_checkpoint_that_cannot_be_written_is_one_sentence(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """As `torch.save` says it of the optimiser's state."""

    def look(trainer: Any) -> None:
        raise RuntimeError(said)

    spy(monkeypatch, look)
    with pytest.raises(EngineError, match=r"could not be written.*Free some space") as error:
        train_sft(EXAMPLES, [], model, None, SFT, tmp_path, NoProgress())
    assert "\n" not in str(error.value)


def test_any_other_failure_of_torch_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="shapes"), libraries.training_libraries():
        raise RuntimeError("shapes cannot be multiplied")


def test_a_missing_library_is_one_sentence(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(libraries.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"'accelerate'; pip install 'adhere\[train\]'"):
        train_sft(EXAMPLES, [], model, None, SFT, tmp_path, NoProgress())


def test_models_and_adapters_that_are_not_there_are_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no tokenizer"):
        train_sft(EXAMPLES, [], tmp_path, None, SFT, tmp_path / "sft", NoProgress())
    with pytest.raises(EngineError, match="no model"):
        loading.load_model(tmp_path, 10)
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        train_dpo(PAIRS, [], model, tmp_path, DPO, tmp_path / "dpo", NoProgress())


def test_training_is_silent(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    progress = Recorder()
    train_dpo(PAIRS, PROBES, model, None, DPO, tmp_path, progress)
    assert capfd.readouterr() == ("", "")
    assert progress.ticks == ["dpo"] * 18


# Alarms


def test_a_fall_of_the_chosen_answers_raises_an_alarm() -> None:
    fall = partial(alarms.displacement, beta=0.1, method="dpo")
    curve = [{"step": step, "rewards/chosen": -step / 10} for step in range(8)]
    # The last quarter is -0.65 on average: 6.5 nats at beta 0.1, 0.65 a token of 10.
    assert "fell by 0.65 nats a token" in (fall(curve, 8, tokens=10) or "")
    assert fall(curve, 8, tokens=66) is None
    assert fall(curve, 36, tokens=10) is None  # of 36 points a quarter is nine
    assert "fell by 0.35 nats a token" in (fall(curve, 32, tokens=10) or "")
    assert fall([{"step": 1, "rewards/chosen": 5.0}], 1, tokens=10) is None


@pytest.mark.parametrize("method", ["dpo+nll", "dpo", "ipo", "kto"])
def test_the_remedy_against_a_fall_is_one_that_the_method_has(method: str) -> None:
    curve = [{"step": 1, "rewards/chosen": -5.0}]
    said = alarms.displacement(curve, 1, beta=0.1, tokens=10, method=method) or ""
    assert ("Raise nll_weight" in said) is (method == "dpo+nll")
    assert ("Take method = 'dpo+nll'" in said) is (method != "dpo+nll")


def test_a_held_out_loss_that_rises_raises_an_alarm() -> None:
    losses = (3.0, 2.0, 2.5)
    curve = [{"step": float(step), "eval_loss": loss} for step, loss in enumerate(losses)]
    assert "its lowest, 2.00 at step 1, to 2.50" in (alarms.overfitting(curve, 3) or "")
    assert alarms.overfitting(curve[:2], 3) is None
    assert alarms.overfitting([{"step": 1, "loss": 9.0}], 3) is None
