"""The estimate of what a training needs, against the parts that can be counted and a real one."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_train import EXAMPLES, train_sft

from adhere.errors import EngineError
from adhere.models import checkpoint_folder
from adhere.progress import NoProgress
from adhere.settings import SFTSettings
from adhere.train import loading, plan
from adhere.train.memory import MARGIN, Shape, needed, shape_of

SFT = SFTSettings(epochs=1, batch_size=4, lora_rank=4)
SMALL = Shape(parameters=135_000_000, layers=30, hidden=576, heads=9, linear=305_000)


def test_the_shape_is_that_of_the_model_and_of_its_adapter(tiny_student: Path) -> None:
    from peft import get_peft_model

    shape, model = shape_of(tiny_student), loading.load_model(tiny_student, 10)
    assert shape.parameters == model.num_parameters()
    adapted = get_peft_model(model, loading.new_adapter(SFT))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert SFT.lora_rank * shape.linear == trained


@given(st.integers(1, 2000), st.integers(1, 16), st.booleans())
def test_more_of_anything_needs_more(longest: int, count: int, bf16: bool) -> None:
    def total(longest: int = longest, sequences: int = count, **changes: object) -> float:
        settings = SFT.model_copy(update=changes)
        return needed(SMALL, settings, longest, sequences, bf16=bf16).total

    assert total(longest + 1) > total()
    assert total(sequences=count + 1) > total()
    assert total(lora_rank=64) > total()
    assert total() > total(tuning="qlora")


@given(st.integers(1, 2000), st.booleans())
def test_full_tuning_trains_more_and_keeps_less_of_its_layers(longest: int, bf16: bool) -> None:
    full = SFT.model_copy(update={"tuning": "full"})
    lora, whole = (needed(SMALL, one, longest, 1, bf16=bf16) for one in (SFT, full))
    assert whole.training > lora.training
    assert whole.activations < lora.activations


def test_full_tuning_needs_sixteen_bytes_a_parameter_beside_the_activations() -> None:
    full = SFT.model_copy(update={"tuning": "full"})
    need = needed(SMALL, full, 100, 1, bf16=False)
    assert need.weights + need.training == 16 * SMALL.parameters


def test_a_training_that_will_not_fit_leaves_nothing_trained(
    tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "free_bytes", lambda torch: 1000)
    with pytest.raises(EngineError, match=r"sft: lora, .* too much: lower max_length, or"):
        train_sft(EXAMPLES, [], tiny_student, None, SFT, tmp_path, NoProgress())
    assert not (tmp_path / "adapter").exists()


MEASURE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import psutil
import test_train as t
from adhere.settings import SFTSettings
from adhere.train import libraries, plan

settings = SFTSettings(epochs=0.1, batch_size=8)
model, answer = Path({model!r}), "no ask first " * 40
rows = [t.Example(id=f"e{{i}}", clause="c", kind="k", question=f"may i {{i}}", answer=answer,
                  origin=t.ORIGIN) for i in range(16)]
with libraries.training_libraries():
    from trl.trainer.sft_trainer import SFTTrainer
seen = []
recommended = plan.recommended
def remember(*given, **named):
    made = recommended(*given, **named)
    seen.extend((made.need.total, psutil.Process().memory_info().rss))
    return made
t.session.recommended = remember
t.train_sft(rows, [], model, None, settings, Path({folder!r}), t.NoProgress())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(seen[0], peak - seen[1])
"""


@pytest.mark.model
@pytest.mark.timeout(600)  # three minutes on two busy cores without bfloat16
def test_the_estimate_is_within_its_margin_for_smollm2(tmp_path: Path) -> None:
    script = MEASURE.format(
        tests=str(Path(__file__).parent),
        model=str(checkpoint_folder("smollm2-135m-instruct", NoProgress())),
        folder=str(tmp_path),
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    estimate, measured = map(float, done.stdout.split())
    assert measured / MARGIN <= estimate <= measured * MARGIN, (estimate, measured)
