"""What makes training fast changes nothing that is learned: TRL's own trainers are the measure."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from test_train import EXAMPLES, PAIRS, model, sft, train_dpo, train_sft

from adhere.progress import NoProgress
from adhere.settings import DPOSettings, SFTSettings
from adhere.train import libraries, loading
from adhere.train.rows import answer_row, dataset

__all__ = ["model", "sft"]  # fixtures

STEPS = 3
SAME: dict[str, Any] = {"epochs": STEPS, "batch_size": len(EXAMPLES), "learning_rate": 1e-3}
SETTINGS = {"sft": SFTSettings(**SAME), "dpo": DPOSettings(method="dpo", **SAME)}
TOLERANCE = {False: 1e-5, True: 2e-2}
"""Of losses and gradient norms, relative: in float32, and under bfloat16 (8 bits of mantissa)."""


def by_adhere(stage: str, model: Path, adapter: Path, folder: Path) -> list[dict[str, Any]]:
    train, rows = {"sft": (train_sft, EXAMPLES), "dpo": (train_dpo, PAIRS)}[stage]
    given: Any = (rows, [], model, adapter, SETTINGS[stage], folder, NoProgress())
    return train(*given).curve


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
            train_dataset=dataset(rows),
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


def test_what_is_trained_is_float32_on_frozen_weights_that_are_not(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import get_peft_model

    monkeypatch.setattr(loading, "has_bfloat16", lambda: True)
    adapted = get_peft_model(loading.load_model(model, 10), loading.new_adapter(SETTINGS["sft"]))
    found = {(p.requires_grad, str(p.dtype)) for p in adapted.parameters()}
    assert found == {(True, "torch.float32"), (False, "torch.bfloat16")}


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
