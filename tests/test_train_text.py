"""Plain training on the documents' text: its windows, an opponent's budget, what is learned."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_train import EXAMPLES, copies, train_sft

import adhere.train
from adhere.progress import NoProgress
from adhere.settings import MidtrainSettings, SFTSettings
from adhere.train import Budget, Task, TrainingResult, loading
from adhere.train.text import SHORTEST_WINDOW, windows

TEXTS = ("Crew must rest. " * 12, "Guests may row. " * 5)
TOKENS = sum(len(text) + 1 for text in TEXTS)  # a letter is a token; each text has an end
SETTINGS = MidtrainSettings(
    enabled=True, epochs=3, batch_size=2, lora_rank=4, learning_rate=1e-2, max_length=64
)


def train_text(
    stage: str,
    model: Path,
    settings: Any,
    folder: Path,
    progress: Any,
    budget: Budget | None = None,
) -> TrainingResult:
    task = Task(stage=stage, model=model, settings=settings, folder=folder, progress=progress)
    return adhere.train.train_text(TEXTS, task, budget)


class Letters:
    """A tokenizer of characters."""

    eos_token_id = 0

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}


@given(st.lists(st.text(min_size=1, max_size=60), max_size=5), st.integers(2, 20))
def test_every_token_is_in_one_window_and_the_windows_are_even(
    texts: list[str], longest: int
) -> None:
    rows = windows(texts, Letters(), longest)
    lengths = [row["length"] for row in rows]
    assert lengths == sorted(lengths)
    assert lengths == [len(row["input_ids"]) for row in rows]
    assert all(length <= longest for length in lengths)
    learned = sorted(token for row in rows for token in row["input_ids"])
    assert learned == sorted([ord(letter) for text in texts for letter in text] + [0] * len(texts))
    if len(texts) == 1:
        assert lengths[-1] - lengths[0] <= 1
        assert all(length >= longest / 2 for length in lengths) or len(lengths) == 1


@given(st.integers(1, 500), st.integers(1, 10**6), st.integers(1, 64), st.integers(32, 2048))
def test_a_budget_makes_windows_in_which_its_steps_read_its_tokens(
    steps: int, tokens: int, batch: int, longest: int
) -> None:
    window = Budget(steps, tokens).window(batch, longest)
    assert SHORTEST_WINDOW <= window <= longest
    if SHORTEST_WINDOW < window < longest:
        assert abs(window * steps * batch - tokens) <= steps * batch / 2


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "has_bfloat16", lambda: False)


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trainers that are run, as they were before."""
    seen: list[Any] = []
    train = adhere.train.run

    def looked_at(trainer: Any, *args: Any) -> TrainingResult:
        seen.append(trainer)
        return train(trainer, *args)

    monkeypatch.setattr(adhere.train, "run", looked_at)
    return seen


def test_every_token_of_the_text_is_learned_and_no_chat_template_is_laid_over_it(
    tiny_student: Path, tmp_path: Path, trainers: list[Any]
) -> None:
    result = train_text("midtrain", tiny_student, SETTINGS, tmp_path, NoProgress())
    rows = trainers[0].train_dataset
    assert list(rows["labels"]) == list(rows["input_ids"])
    tokenizer = trainers[0].processing_class
    said = [tokenizer.decode(ids) for ids in rows["input_ids"]]
    assert sum(len(ids) for ids in rows["input_ids"]) == TOKENS
    assert "".join(sorted("".join(said))) == "".join(sorted("".join(TEXTS) + "<|end|>" * 2))
    assert (result.rows, result.steps, result.tokens) == (6, 9, 3 * TOKENS)
    assert result.passes == 3
    losses = [point["loss"] for point in result.curve if "loss" in point]
    assert losses[-1] < losses[0] - 0.3
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()


def test_an_opponent_takes_as_many_steps_and_about_as_many_tokens(
    tiny_student: Path, tmp_path: Path
) -> None:
    notes: list[str] = []

    class Listening(NoProgress):
        def note(self, message: str) -> None:
            notes.append(message)

    settings = SFTSettings(epochs=1, batch_size=2, lora_rank=4)
    budget = Budget(steps=11, tokens=11 * 2 * 40)
    result = train_text("document-lm", tiny_student, settings, tmp_path, Listening(), budget)
    assert (result.steps, result.passes) == (11, 2.75)
    assert 0.8 * budget.tokens < result.tokens <= budget.tokens
    assert notes[0] == (
        f"document-lm: {TOKENS} tokens of text in 8 windows of up to 40, read 2.75 times."
    )


def test_sft_goes_on_from_the_midtrained_adapter(
    tiny_student: Path, tmp_path: Path, trainers: list[Any]
) -> None:
    train_text("midtrain", tiny_student, SETTINGS, tmp_path / "text", NoProgress())
    settings = SFTSettings(epochs=1, batch_size=8, lora_rank=4, learning_rate=1e-3)
    adapter = tmp_path / "text" / "adapter"
    read = copies(trainers[0])
    train_sft(EXAMPLES, [], tiny_student, adapter, settings, tmp_path / "sft", NoProgress())
    moved = copies(trainers[1])
    assert moved.keys() == read.keys()
    lora = {name for name in moved if "lora_" in name}
    assert {name for name in moved if not moved[name].equal(read[name])} == lora
    for name in lora:  # near where the text left them, not at a new beginning
        assert (moved[name] - read[name]).norm() < 0.5 * read[name].norm()
