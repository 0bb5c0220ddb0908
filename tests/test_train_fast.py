"""What makes training fast changes nothing that is learned: TRL's own trainers are the measure."""

import platform
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_train import EXAMPLES, PAIRS, PROBES, model, sft, spy, train_dpo, train_sft

from adhere.progress import NoProgress
from adhere.settings import DPOSettings, SFTSettings
from adhere.train import libraries, loading
from adhere.train.rows import answer_row, dataset

__all__ = ["model", "sft"]  # fixtures

STEPS = 3
SAME: dict[str, Any] = {
    "epochs": STEPS,
    "batch_size": len(EXAMPLES),
    "learning_rate": 1e-3,
    "lora_rank": 4,
}
SETTINGS = {"sft": SFTSettings(**SAME), "dpo": DPOSettings(method="dpo", **SAME)}
TOLERANCE = {False: 1e-5, True: 2e-2}
"""Of losses and gradient norms, relative: in float32, and under bfloat16 (8 bits of mantissa)."""


def by_adhere(stage: str, model: Path, adapter: Path, folder: Path) -> list[dict[str, Any]]:
    """The probes are held out, so that what is fast is evaluated with too."""
    train, rows = {"sft": (train_sft, EXAMPLES), "dpo": (train_dpo, PAIRS)}[stage]
    given: Any = (rows, PROBES, model, adapter, SETTINGS[stage], folder, NoProgress())
    return [point for point in train(*given).curve if "loss" in point]


def by_trl(stage: str, model: Path, adapter: Path, folder: Path) -> list[dict[str, Any]]:
    """The same steps with TRL's own defaults, in float32."""
    with libraries.training_libraries():
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

        policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        told: Any = {
            "output_dir": str(folder),
            "num_train_epochs": STEPS,
            "per_device_train_batch_size": SAME["batch_size"],
            "learning_rate": SAME["learning_rate"],
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0.05,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
            "bf16": False,
        }
        rows = [
            answer_row(x.question, completion=x.answer)
            if stage == "sft"
            else answer_row(x.question, chosen=x.chosen, rejected=x.rejected)
            for x in (EXAMPLES if stage == "sft" else PAIRS)
        ]
        trainer, config = {"sft": (SFTTrainer, SFTConfig), "dpo": (DPOTrainer, DPOConfig)}[stage]
        made: Any = trainer(
            loading.load_adapter(policy, adapter),
            args=config(**told),
            train_dataset=dataset(rows, folder / "rows"),
            processing_class=AutoTokenizer.from_pretrained(model),
        )
        made.train()
        return [point for point in made.state.log_history if "loss" in point]


@pytest.mark.parametrize("stage", ["sft", "dpo"])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_losses_and_gradients_are_those_of_trl(
    model: Path,
    sft: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    stage: str,
    bfloat16: bool,
) -> None:
    """All rows are in every batch, so both take the same steps."""
    monkeypatch.setattr(loading, "has_bfloat16", lambda: bfloat16)
    ours = by_adhere(stage, model, sft.adapter, tmp_path / "ours")
    monkeypatch.setattr(libraries, "_logits_of_answers_only", nullcontext)
    theirs = by_trl(stage, model, sft.adapter, tmp_path / "theirs")
    assert len(ours) == len(theirs) == STEPS
    for here, there in zip(ours, theirs, strict=True):
        for name in ("loss", "grad_norm"):
            assert here[name] == pytest.approx(there[name], rel=TOLERANCE[bfloat16]), name


@pytest.mark.parametrize(
    ("able", "tuning", "dtype"),
    [(True, "lora", "bfloat16"), (True, "full", "float32"), (False, "lora", "float32")],
)
def test_only_frozen_weights_are_bfloat16_and_only_where_the_machine_can(
    model: Path, monkeypatch: pytest.MonkeyPatch, able: bool, tuning: str, dtype: str
) -> None:
    monkeypatch.setattr(loading, "has_bfloat16", lambda: able)
    loaded = loading.load_model(model, 10, tuning)
    assert {str(weight.dtype) for weight in loaded.parameters()} == {f"torch.{dtype}"}


@pytest.mark.parametrize(("tuning", "frozen"), [("lora", {"torch.bfloat16"}), ("full", set())])
def test_what_is_trained_is_float32_on_frozen_weights_that_are_not(
    model: Path,
    sft: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tuning: str,
    frozen: set[str],
) -> None:
    monkeypatch.setattr(loading, "has_bfloat16", lambda: True)
    dtypes: dict[bool, set[str]] = {True: set(), False: set()}

    def look(trainer: Any) -> None:
        for weight in trainer.model.parameters():
            dtypes[weight.requires_grad].add(str(weight.dtype))

    spy(monkeypatch, look)
    settings = SETTINGS["sft"].model_copy(update={"tuning": tuning, "epochs": 1})
    train_sft(EXAMPLES, [], model, sft.adapter, settings, tmp_path, NoProgress())
    assert dtypes == {True: {"torch.float32"}, False: frozen}


def test_what_trl_makes_bfloat16_over_four_bits_is_trained_in_float32(
    model: Path, sft: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four bits need a GPU; here the test makes it bfloat16, as TRL does there."""
    import torch

    monkeypatch.setattr(loading, "has_bfloat16", lambda: True)
    trained: list[Any] = []

    def look(trainer: Any) -> None:
        trained.extend(one for one in trainer.model.parameters() if one.requires_grad)
        for weight in trained:
            weight.data = weight.data.to(torch.bfloat16)

    spy(monkeypatch, look)
    settings = SETTINGS["sft"].model_copy(update={"epochs": 1})
    train_sft(EXAMPLES, [], model, sft.adapter, settings, tmp_path, NoProgress())
    assert {str(weight.dtype) for weight in trained} == {"torch.float32"}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_freed_memory_is_kept_while_training_and_given_back_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    def held() -> int:
        return psutil.Process().memory_info().rss

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    size, count = 8_000_000, 20
    with libraries.training_libraries():
        before = held()
        blocks = [b"x" * size for _ in range(count)]
        del blocks
        assert held() - before > 0.9 * size * count
    assert held() - before < 0.1 * size * count


def test_trl_is_left_as_it_was_found() -> None:
    from trl.trainer import utils

    def found() -> list[object]:
        return [utils._use_triton, utils._CHUNKED_LOGPROB_CHUNK_SIZE]

    def fail() -> None:
        with libraries.training_libraries():
            assert all(ours != theirs for ours, theirs in zip(found(), before, strict=True))
            raise KeyError

    before = found()
    with pytest.raises(KeyError):
        fail()
    assert found() == before
