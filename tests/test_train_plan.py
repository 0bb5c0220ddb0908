"""What is settled before a training: the rate by the model's size, the parts by what is free."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_train import EXAMPLES, PROBES, Recorder, spy, train_sft

from adhere.errors import EngineError
from adhere.settings import (
    DPOSettings,
    MidtrainSettings,
    RunSettings,
    SFTSettings,
    TrainSettings,
)
from adhere.train import plan
from adhere.train.memory import MARGIN, Shape
from adhere.train.plan import Machine, Plan, in_words, recommended

SMOLLM2 = Shape(parameters=134_515_008, layers=30, hidden=576, heads=9, linear=305_000)
MISTRAL = Shape(
    parameters=7_248_023_552, layers=32, hidden=4096, heads=32, linear=32 * (4 * 4096 + 55_296)
)
LAPTOP = Machine(free=12e9, bf16=False, gpu=False)
GPU = Machine(free=24e9, bf16=True, gpu=True)


def planned(shape: Shape, settings: TrainSettings, machine: Machine, **load: int) -> Plan:
    full = {"batch": settings.batch_size, "answers": 2, "longest": settings.max_length}
    return recommended(shape, settings, machine, **(full | load))


def test_the_small_student_is_trained_on_a_laptop_as_it_always_was() -> None:
    for settings, rate, batch in (
        (SFTSettings(), 4e-4, 8),
        (DPOSettings(), 3e-4, 8),
        (MidtrainSettings(), 4e-4, 4),
    ):
        plan = planned(SMOLLM2, settings, LAPTOP, longest=128)
        assert (plan.tuning, plan.learning_rate) == ("lora", rate)
        assert (plan.batch, plan.micro_batch) == (batch, batch)


@pytest.mark.parametrize(
    ("parameters", "sft", "dpo"),
    [(1e9, 4e-4, 3e-4), (1.1e9, 2e-4, 5e-5), (13e9, 2e-4, 5e-5), (70e9, 1e-4, 2.5e-5)],
)
def test_a_larger_model_is_trained_at_a_lower_rate(
    parameters: float, sft: float, dpo: float
) -> None:
    def rate(settings: TrainSettings) -> float:
        shape = replace(MISTRAL, parameters=int(parameters))
        return planned(shape, settings, GPU).learning_rate

    assert rate(SFTSettings(tuning="qlora")) == pytest.approx(sft)
    assert rate(DPOSettings()) == pytest.approx(dpo)
    assert rate(SFTSettings(tuning="full")) == pytest.approx(sft / 10)
    assert rate(SFTSettings(learning_rate=3e-3)) == 3e-3


@given(st.floats(1e9, 1e11), st.integers(1, 64), st.integers(32, 4096))
def test_as_many_rows_are_taken_at_a_time_as_fit(free: float, batch: int, longest: int) -> None:
    settings, machine = SFTSettings(batch_size=batch, tuning="qlora"), replace(GPU, free=free)

    def at(rows: int | None) -> Plan:
        chosen = settings.model_copy(update={"micro_batch_size": rows})
        return planned(MISTRAL, chosen, machine, longest=longest)

    found = at(None)
    assert batch % found.micro_batch == 0
    assert found == at(found.micro_batch)
    larger = [rows for rows in range(found.micro_batch + 1, batch + 1) if batch % rows == 0]
    assert all(at(rows).need.total > free for rows in larger)
    assert found.need.total <= free or found.micro_batch == 1


def test_the_papers_set_up_fits_the_gpu_that_its_readme_names() -> None:
    example = Path(__file__).parent.parent / "examples" / "mistral-7b"
    chosen = RunSettings.read(example / "run.toml")
    assert "GPU of 24 GB" in (example / "README.md").read_text(encoding="utf-8")
    room = replace(GPU, free=22e9)  # beside what CUDA itself takes
    sft, dpo = planned(MISTRAL, chosen.sft, room, answers=1), planned(MISTRAL, chosen.dpo, room)
    assert max(sft.need.total, dpo.need.total) <= room.free
    assert (sft.micro_batch, dpo.micro_batch) == (16, 8)


def test_weights_that_are_spread_leave_room_for_more_rows() -> None:
    shared = replace(GPU, processes=8)
    alone, spread = (
        planned(MISTRAL, SFTSettings(batch_size=64), machine, longest=2048)
        for machine in (shared, replace(shared, sharded=True))
    )
    assert spread.micro_batch > alone.micro_batch
    assert "steps of 64 rows in each of 8 processes" in str(alone)


def test_what_will_not_fit_is_refused_and_what_may_not_is_said() -> None:
    need = planned(MISTRAL, SFTSettings(batch_size=1), GPU).need.total

    def said(share: float, tuning: str = "lora", gpu: bool = True) -> str:
        settings = SFTSettings.model_validate({"tuning": tuning, "batch_size": 1})
        machine = replace(GPU, free=share * need, gpu=gpu)
        return in_words("sft", planned(MISTRAL, settings, machine))

    assert said(1.01).endswith("GB free.")
    assert said(0.9).endswith("GB free; it may run out.")
    with pytest.raises(EngineError, match=r"a smaller student, or take tuning = 'qlora'\.$"):
        said(0.9 / MARGIN)
    with pytest.raises(EngineError, match=r"a smaller student\.$"):
        said(0.9 / MARGIN, gpu=False)
    with pytest.raises(EngineError, match=r"or take tuning = 'lora'\.$"):
        said(0.9 / MARGIN, "full")


MEASURED = [
    # tokens of the rows and of the held-out probes, epochs, pairs?, and seconds on AVX2 alone:
    (15_812 / 4, 1_172, 4, False, 137),  # SFT on the Universal Declaration
    (24_512 / 4, 2_408, 4, True, 255),  # DPO on it
    (4_252 / 4, 1_185, 4, False, 48),  # SFT on the example code
    (41_287, 0, 1, False, 315),  # plain training on the Universal Declaration's text
]


@pytest.mark.parametrize(("rows", "held_out", "epochs", "pairs", "seconds"), MEASURED)
def test_the_time_is_what_trainings_were_seen_to_take(
    rows: float, held_out: float, epochs: float, pairs: bool, seconds: float
) -> None:
    pace = plan.seconds_a_token(SMOLLM2.parameters, LAPTOP)
    assert pace
    work = plan.effort(rows, held_out, epochs, pairs=pairs)
    assert pace * work == pytest.approx(seconds, rel=0.25)


def test_the_time_grows_with_the_model_and_is_not_known_where_nothing_was_measured() -> None:
    with_bf16 = replace(LAPTOP, bf16=True)
    small = plan.seconds_a_token(SMOLLM2.parameters, with_bf16)
    large = plan.seconds_a_token(MISTRAL.parameters, with_bf16)
    assert small
    assert large == pytest.approx(small * MISTRAL.parameters / SMOLLM2.parameters)
    for unknown in (GPU, replace(LAPTOP, processes=2)):
        assert plan.seconds_a_token(MISTRAL.parameters, unknown) is None


def test_a_training_says_its_plan_keeps_to_it_and_leaves_it_in_the_result(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that has room for a part of each step only."""
    progress, seen = Recorder(), list[Any]()
    settings = SFTSettings(epochs=1, batch_size=8, lora_rank=4)
    spy(monkeypatch, seen.append)
    run = (EXAMPLES, PROBES, tiny_student, None, settings)
    whole = train_sft(*run, tmp_path / "whole", progress).plan
    assert f"sft: {whole}. It takes about 0.0 s." in progress.notes
    assert "learning rate 0.0004, steps of 8 rows, at once; about 0.0 GB of memory" in str(whole)

    less = whole.need.total - 0.4 * whole.need.activations
    monkeypatch.setattr(plan, "free_bytes", lambda torch: less)
    parts = train_sft(*run, tmp_path / "parts", progress).plan
    assert "steps of 8 rows, 4 at a time" in progress.notes[-1]
    assert parts.facts == {
        "tuning": "lora",
        "learning_rate": 4e-4,
        "micro_batch_size": 4,
        "estimated_bytes": round(parts.need.total),
    }
    told = [trainer.args for trainer in seen]
    assert [args.per_device_train_batch_size for args in told] == [8, 4]
    assert [args.gradient_accumulation_steps for args in told] == [1, 2]
    assert [args.learning_rate for args in told] == [4e-4, 4e-4]
