"""What is checked before the first step and watched while a training runs."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from conftest import ON
from conftest import adhere as command
from test_train import EXAMPLES, PAIRS, PROBES, Recorder, named, spy, train_dpo, train_sft

import adhere.train
from adhere.errors import EngineError, InputError
from adhere.pipeline import standings
from adhere.progress import NoProgress
from adhere.records import Dropped
from adhere.settings import DPOSettings, RunSettings, SFTSettings, TrainSettings
from adhere.train import Task, TrainingResult, loading, session
from adhere.train.preview import preview
from adhere.train.watch import watcher

T = TypeVar("T")

SFT = SFTSettings(epochs=2, batch_size=4, lora_rank=4, learning_rate=1e-2)
DPO = DPOSettings(epochs=2, batch_size=4, lora_rank=4, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "has_bfloat16", lambda: False)


# Before


def test_the_rows_are_shown_with_the_mask_that_is_trained_with(
    tiny_student: Path, tmp_path: Path
) -> None:
    train_sft(EXAMPLES, PROBES, tiny_student, None, SFT, tmp_path, NoProgress())
    page = (tmp_path / "rows.md").read_text(encoding="utf-8")
    assert page.startswith("# What `sft` trains on\n\n24 rows to train on, 8 held out")
    assert "Dropped: nothing." in page
    longest = max(EXAMPLES, key=lambda x: len(x.question) + len(x.answer))
    said = f"<|user|>{longest.question}<|end|><|assistant|>⟦{longest.answer}<|end|>⟧"
    assert said in page
    assert page.count("⟦") == page.count("⟧") == 3 + 1  # three rows, and the sentence about them


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_the_answers_of_pairs_are_shown_too(
    tiny_student: Path, tmp_path: Path, method: str
) -> None:
    settings = DPO.model_copy(update={"method": method, "epochs": 1})
    train_dpo(PAIRS, [], tiny_student, None, settings, tmp_path, NoProgress())
    page = (tmp_path / "rows.md").read_text(encoding="utf-8")
    names = {"dpo": ("## chosen,", "## rejected,"), "kto": ("(good),", "(bad),")}[method]
    assert any(name in page for name in names)
    assert "<|assistant|>⟦" in page


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_rows_can_be_looked_at_while_the_references_are_computed(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    from trl.trainer.dpo_trainer import DPOTrainer
    from trl.trainer.kto_trainer import KTOTrainer

    pages: list[str] = []
    trainer = {"dpo": DPOTrainer, "kto": KTOTrainer}[method]
    compute = trainer.compute_ref_log_probs

    def looked_at(*given: Any) -> Any:
        pages.append((tmp_path / "rows.md").read_text(encoding="utf-8"))
        return compute(*given)

    monkeypatch.setattr(trainer, "compute_ref_log_probs", looked_at)
    settings = DPO.model_copy(update={"method": method, "epochs": 1})
    train_dpo(PAIRS, [], tiny_student, None, settings, tmp_path, NoProgress())
    assert set(pages) == {(tmp_path / "rows.md").read_text(encoding="utf-8")}


class Letters:
    """Decodes to letters."""

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))


def test_the_page_says_how_long_the_rows_are_and_what_was_dropped() -> None:
    rows = [
        {"input_ids": [97] * (count + 1), "labels": [-100] * count + [97]} for count in range(1, 12)
    ]
    dropped = [Dropped(record_id="x", stage="sft", reason="too long", detail="")] * 2
    page = preview("sft", rows, Letters(), dropped, 0)
    assert "Dropped: 2 too long." in page
    assert "| tokens | 2 | 3 | 7 | 11 | 12 |" in page
    assert "| of them learned | 1 | 1 | 1 | 1 | 1 |" in page
    assert "## text, 12 tokens\n\n~~~~text\naaaaaaaaaaa⟦a⟧\n~~~~" in page


def test_a_row_without_anything_to_learn_stops_the_training() -> None:
    rows = [{"input_ids": [1, 2], "labels": [-100, 2]}, {"input_ids": [1], "labels": [-100]}]
    with pytest.raises(EngineError, match="1 of 2 sequences have nothing to learn"):
        preview("sft", rows, Letters(), [], 0)


def test_a_chat_template_without_an_assistants_turn_is_refused(
    tiny_student: Path, tmp_path: Path
) -> None:
    tokenizer = loading.load_tokenizer(tiny_student)
    only_user = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    tokenizer.chat_template = only_user
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(EngineError, match="leaves out what the assistant says"):
        train_sft(EXAMPLES, [], tmp_path, None, SFT, tmp_path / "sft", NoProgress())


# While it runs


def noise(number: int) -> str:
    return "".join(Random(number).choices("abcdefghij", k=8))


NOISE = [replace(x, answer=noise(i)) for i, x in enumerate(EXAMPLES)]
"""Answers that cannot be guessed: learned by heart, the others become less likely."""
NOISY_PAIRS = [replace(pair, chosen=noise(i)) for i, pair in enumerate(PAIRS)]


@pytest.mark.parametrize("call", [train_sft, train_dpo])
def test_early_stopping_keeps_the_best_and_looks_at_no_probe(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any
) -> None:
    seen: list[Any] = []
    spy(monkeypatch, seen.append)
    monkeypatch.setattr(adhere.train, "overfitting", lambda *curve: "The last is worse.")
    rows, settings = (NOISE, SFT) if call is train_sft else (NOISY_PAIRS, DPO)
    changes = {"early_stopping": True, "epochs": 10, "learning_rate": 0.1}
    settings = settings.model_copy(update=changes)
    result = call(rows, PROBES, tiny_student, None, settings, tmp_path, NoProgress())
    [trainer] = seen
    assert result.rows == 22
    assert "The last is worse." not in result.alarms
    assert len(trainer.eval_dataset) == 2
    assert result.steps < 60
    losses = [point["eval_loss"] for point in result.curve if "eval_loss" in point]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(min(losses[1:]), rel=1e-3)
    used = (*trainer.eval_dataset, *trainer.train_dataset)
    questions = {row["prompt"][0]["content"] for row in used}
    assert questions == {row.question for row in rows}


def test_one_row_is_too_few_to_hold_some_back(tiny_student: Path, tmp_path: Path) -> None:
    settings = SFT.model_copy(update={"early_stopping": True})
    with pytest.raises(InputError, match="there is only one"):
        train_sft(EXAMPLES[:1], [], tiny_student, None, settings, tmp_path, NoProgress())


def test_a_loss_that_breaks_stops_the_training_and_keeps_the_last_good_adapter(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    def break_at_nine(trainer: Any) -> None:
        loss_of = trainer.compute_loss

        def broken(*given: Any, **named: Any) -> Any:
            loss = loss_of(*given, **named)
            return loss * float("nan") if trainer.state.global_step >= 9 else loss

        trainer.compute_loss = broken

    with pytest.MonkeyPatch.context() as patch:
        spy(patch, break_at_nine)
        with pytest.raises(EngineError, match=r"nan at step 10, .* at step 8 is kept in") as error:
            train_sft(EXAMPLES, [], tiny_student, None, SFT, tmp_path, NoProgress())
    kept = tmp_path / "last-good"
    assert str(kept) in str(error.value)
    weights = load_file(kept / "adapter_model.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert (kept / "adapter_config.json").exists()
    assert not (tmp_path / "checkpoints").exists()
    assert not (tmp_path / "adapter").exists()
    lines = (tmp_path / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    points = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    assert [point["step"] for point in points if "loss" in point][-1] < points[-1]["step"] == 10
    result = train_sft(EXAMPLES, [], tiny_student, None, SFT, tmp_path, NoProgress())
    assert result.steps == 12  # from the beginning
    assert not kept.exists()


def test_a_checkpoint_with_broken_weights_is_not_kept(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    for step, value in ((1, 1.0), (2, 2.0), (3, float("nan"))):
        folder = tmp_path / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        save_file({"a": torch.tensor([value])}, folder / "adapter_model.safetensors")
        (folder / "trainer_state.json").write_text("{}", encoding="utf-8")
    assert "at step 2 is kept" in session.keep_last_good(tmp_path)
    assert not (tmp_path / "checkpoints").exists()


class Listener(Recorder):
    """Remembers after how many steps it was told what."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, str]] = []

    def note(self, message: str) -> None:
        self.heard.append((len(self.ticks), message))


@dataclass(frozen=True)
class Gone:
    """A training that goes wrong: its call, and what its alarm says."""

    train: Callable[..., TrainingResult]
    rows: list[Any]
    probes: list[Any]
    adapter: Path | None
    settings: TrainSettings
    words: str


@pytest.fixture(scope="module")
def fluent(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter under which the chosen answers of the pairs are likely."""
    folder = tmp_path_factory.mktemp("fluent")
    settings = SFT.model_copy(update={"epochs": 6})
    train_sft(EXAMPLES, [], tiny_student, None, settings, folder, NoProgress())
    return folder / "adapter"


@pytest.fixture(params=["sft", "dpo"])
def gone(request: pytest.FixtureRequest, fluent: Path) -> Gone:
    if request.param == "sft":
        probes = [replace(probe, reference=noise(100 + i)) for i, probe in enumerate(PROBES)]
        changes = {"tuning": "full", "epochs": 20, "learning_rate": 3e-3}
        return Gone(train_sft, NOISE, probes, None, SFT.model_copy(update=changes), "by heart")
    # Two answers that hardly differ: plain DPO makes both of them less likely.
    alike = [replace(pair, rejected=f"{pair.chosen[:-2]}x ") for pair in PAIRS]
    settings = DPO.model_copy(update={"method": "dpo", "epochs": 6})
    return Gone(train_dpo, alike, [], fluent, settings, "unlearns good answers")


def test_an_alarm_speaks_once_and_while_there_is_time(
    tiny_student: Path, tmp_path: Path, gone: Gone
) -> None:
    listener = Listener()
    result = gone.train(
        gone.rows, gone.probes, tiny_student, gone.adapter, gone.settings, tmp_path, listener
    )
    [(step, said)] = [(step, said) for step, said in listener.heard if gone.words in said]
    assert f": At step {step}: " in said
    assert step < 0.8 * result.steps
    [kept] = result.alarms  # in the words of the end
    assert gone.words in kept
    assert kept not in said


def test_a_training_can_be_stopped_by_an_alarm(
    tiny_student: Path, tmp_path: Path, gone: Gone
) -> None:
    settings = gone.settings.model_copy(update={"stop_on_alarm": True})
    said = rf"stopped by an alarm\. At step \d+: .*{gone.words}.* is kept in "
    with pytest.raises(EngineError, match=said) as error:
        gone.train(
            gone.rows, gone.probes, tiny_student, gone.adapter, settings, tmp_path, NoProgress()
        )
    assert str(error.value).endswith(f"is kept in {tmp_path / 'last-good'}.")
    assert list((tmp_path / "last-good").glob("*model.safetensors"))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"curve.jsonl", "last-good", "rows.md"}
    if gone.train is train_sft:  # what is kept is the best, not the last
        state = json.loads((tmp_path / "last-good" / "trainer_state.json").read_text())
        losses = [point["eval_loss"] for point in state["log_history"] if "eval_loss" in point]
        assert losses[-1] == min(losses)


class Interrupting(NoProgress):
    """Ends a training after so many steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        for done, item in enumerate(items):
            if done > self.steps:
                raise KeyboardInterrupt
            yield item


def test_early_stopping_goes_on_with_the_patience_it_had_left(
    tiny_student: Path, tmp_path: Path
) -> None:
    changes = {"early_stopping": True, "epochs": 10, "learning_rate": 0.1}
    settings = SFT.model_copy(update=changes)
    call = partial(train_sft, NOISE, PROBES, tiny_student, None, settings)
    straight = call(tmp_path / "straight", NoProgress())
    assert straight.steps < 60
    with pytest.raises(KeyboardInterrupt):  # after the first loss that was no better
        call(tmp_path / "broken", Interrupting(straight.steps - 2))
    listener = Listener()
    assert call(tmp_path / "broken", listener).steps == straight.steps
    assert any("resumed from step" in said for _, said in listener.heard)


def test_an_alarm_from_before_a_kill_is_still_told_and_not_said_again() -> None:
    def high(curve: list[dict[str, float]], points: int) -> str | None:
        return f"{curve[-1]['loss']} of {points}" if curve[-1]["loss"] > 5 else None

    history = [{"step": step, "loss": loss} for step, loss in ((2, 1.0), (4, 9.0), (6, 1.0))]
    state = SimpleNamespace(log_history=history, max_steps=8, logging_steps=2, global_step=6)
    listener = Listener()
    watch = watcher("sft", listener, [high], stop=False)
    watch.on_train_begin(None, state, None)
    assert watch.raised(state) == ["At step 4: 9.0 of 4"]
    history.append({"step": 8, "loss": 8.0})
    watch.on_log(None, state, None, logs=history[-1])
    assert not listener.heard
    assert watch.raised(state) == ["8.0 of 4"]


# Trackers


def test_a_tracker_that_is_not_installed_is_named_before_any_work(run: Path) -> None:
    for tracker in ("tensorboard", "trackio", "wandb", "mlflow"):
        if find_spec(tracker):
            continue
        said = command("sft", str(run), f"--tracking.report-to={tracker}", "--again")
        assert said.code == 2
        assert said.err.strip() == (
            f"adhere: tracking.report_to = '{tracker}' needs that package; pip install {tracker}."
        )
    assert not list(run.glob("*.partial"))


def test_a_tracker_hears_of_the_training_and_changes_nothing_of_it(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.integrations import integration_utils
    from transformers.trainer_callback import TrainerCallback

    heard: list[tuple[str, dict[str, float]]] = []

    class Tracker(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            heard.append((args.run_name, given["logs"]))

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "trackio", Tracker)
    plain = train_sft(EXAMPLES, [], tiny_student, None, SFT, tmp_path / "sft", NoProgress())
    names = named("sft", tiny_student, None, SFT, tmp_path / "run" / "sft", NoProgress())
    tracked = adhere.train.train_sft(EXAMPLES, [], Task(**names, report_to="trackio"))
    losses = [logs["loss"] for name, logs in heard if "loss" in logs and name == "run-sft"]
    assert losses == [point["loss"] for point in plain.curve if "loss" in point]
    assert tracked.curve == plain.curve


def test_tensorboard_writes_beside_the_folder_of_each_stage(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL's callback reads where to write when it is made, as this one does."""
    from transformers.integrations import integration_utils
    from transformers.trainer_callback import TrainerCallback

    told: list[str] = []

    class Tracker(TrainerCallback):
        def __init__(self) -> None:
            told.append(os.environ["TENSORBOARD_LOGGING_DIR"])

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Tracker)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "theirs")

    def task(stage: str, settings: Any) -> Task[Any]:
        folder = tmp_path / f"{stage}.partial"
        names = named(stage, tiny_student, None, settings, folder, NoProgress())
        return Task(**names, report_to="tensorboard")

    adhere.train.train_sft(EXAMPLES[:4], [], task("sft", SFT))
    adhere.train.train_dpo(PAIRS[:4], [], task("dpo", DPO))
    assert told == [str(tmp_path / "tracking" / stage) for stage in ("sft", "dpo")]
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == "theirs"


def test_the_tracker_is_no_part_of_what_a_stage_depends_on(run: Path) -> None:
    settings = RunSettings.read(run / "run.toml")
    watched = settings.merge({"tracking": {"report_to": "wandb"}}, "test")
    assert [one.stage for one in standings(run, watched) if one.state == "up to date"] == ON
