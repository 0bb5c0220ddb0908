"""The recipes: methods of preference learning, ways of tuning, general instructions."""

from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import adhere as command
from fakes import FakeEngine
from hypothesis import given
from hypothesis import strategies as st
from test_train import EXAMPLES, PAIRS, PROBES, copies, first, last, train_dpo, train_sft

import adhere.train
from adhere.bench import Bench
from adhere.errors import InputError, MissingExtraError, SettingsError
from adhere.pipeline import run_stages, standings
from adhere.progress import NoProgress
from adhere.records import Instruction
from adhere.settings import DPOSettings, Method, RunSettings, SFTSettings
from adhere.train import (
    TrainingResult,
    check_training,
    loading,
    own_answers,
    read_general,
    training_problems,
)
from adhere.train.balance import balanced
from adhere.train.general import general_rows
from adhere.train.preferences import unpaired
from adhere.train.rates import peak_rate
from adhere.train.rows import answer_row

SFT = SFTSettings(epochs=2, batch_size=8, lora_rank=4, learning_rate=1e-2)
DPO = DPOSettings(epochs=2, batch_size=8, lora_rank=4, learning_rate=1e-2)


def other(settings: Any, **changes: Any) -> Any:
    return type(settings).model_validate(settings.model_dump() | changes)


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "has_bfloat16", lambda: False)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """Each trainer that was run, with the parameters that it began with."""
    seen: list[tuple[Any, dict[str, Any]]] = []
    train = adhere.train.run

    def looked_at(trainer: Any, *args: Any) -> TrainingResult:
        seen.append((trainer, copies(trainer)))
        return train(trainer, *args)

    monkeypatch.setattr(adhere.train, "run", looked_at)
    return seen


@pytest.fixture(scope="module")
def after_sft(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that SFT left."""
    folder = tmp_path_factory.mktemp("sft")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "has_bfloat16", lambda: False)
        train_sft(EXAMPLES, [], tiny_student, None, SFT, folder, NoProgress())
    return folder / "adapter"


# Methods

START = {
    "dpo": 0.6931,  # -log sigmoid(0)
    "ipo": 0.25,  # (0 - 1 / (2 beta)) squared
    "kto": 0.5,  # 1 - sigmoid(0)
}
"""The loss of a policy that is its reference."""


@pytest.mark.parametrize("method", ["dpo", "dpo+nll", "ipo", "kto"])
def test_every_method_starts_at_its_reference_and_learns_to_prefer(
    tiny_student: Path, after_sft: Path, tmp_path: Path, method: str
) -> None:
    # IPO aims at a margin, which large steps leap over.
    settings = other(DPO, method=method, learning_rate=2e-3 if method == "ipo" else 1e-2)
    result = train_dpo(PAIRS, PROBES, tiny_student, after_sft, settings, tmp_path, NoProgress())
    assert result.steps == 6  # 24 pairs in batches of 8, twice; a pair counts once in KTO too
    assert first(result, "rewards/margins") == pytest.approx(0, abs=1e-4)
    assert first(result, "eval_rewards/chosen") == pytest.approx(0, abs=1e-4)
    if method in START:
        assert first(result, "loss") == pytest.approx(START[method], abs=1e-3)
    else:
        assert first(result, "loss") > START["dpo"] + 0.01
    assert last(result, "rewards/margins") > 0.5
    assert result.tokens > 0
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()


@given(st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=6), st.integers(0, 3))
def test_unpaired_rows_hold_every_answer_once_with_its_label(words: list[str], seed: int) -> None:
    pairs = [answer_row(word, chosen=f"{word}+", rejected=f"{word}-") for word in words]
    rows = unpaired(pairs, seed)
    assert rows == unpaired(pairs[::-1], seed)
    found = {(row["completion"][0]["content"], row["label"]) for row in rows}
    assert found == {(f"{w}+", True) for w in words} | {(f"{w}-", False) for w in words}
    assert len(rows) == 2 * len(words)


@pytest.mark.parametrize("batch", [2, 4, 8, 16])
@pytest.mark.parametrize(("yes", "no"), [(26, 7), (9, 31)])
def test_a_row_taken_again_is_not_its_own_neighbour(yes: int, no: int, batch: int) -> None:
    """TRL reads each prompt with the answer before it in its batch, and the first with the last."""
    said = ["Yes."] * yes + ["No."] * no
    pairs = [
        answer_row(f"{n}?", chosen=f"{word} {n}.", rejected=f"Maybe {n}.") | {"length": n}
        for n, word in enumerate(said)
    ]
    for seed in range(10):
        rows = unpaired(balanced(pairs, "dpo", print), seed)
        assert len(rows) == 4 * max(yes, no)
        answers = [row["completion"] for row in rows]
        for start in range(0, len(answers), batch):
            part = answers[start : start + batch]
            before = part[-1:] + part[:-1]
            assert not [one for one, other in zip(part, before, strict=True) if one == other]


# Tuning


def test_full_tuning_moves_every_parameter_and_leaves_a_checkpoint(
    tiny_student: Path, tmp_path: Path, begun: list[Any]
) -> None:
    settings = other(SFT, tuning="full", learning_rate=None)
    train_sft(EXAMPLES, PROBES, tiny_student, None, settings, tmp_path / "sft", NoProgress())
    trainer, before = begun[0]
    after = copies(trainer)
    assert {name for name in after if not after[name].equal(before[name])} == set(before)
    assert not (tmp_path / "sft" / "adapter").exists()
    model = loading.load_model(tmp_path / "sft" / "model", 10)
    for name, weights in model.named_parameters():
        assert weights.equal(after[name])
    assert loading.load_tokenizer(tmp_path / "sft" / "model").chat_template


@pytest.mark.parametrize("merged", [True, False])
def test_full_preference_tuning_starts_at_its_reference(
    tiny_student: Path, after_sft: Path, tmp_path: Path, begun: list[Any], merged: bool
) -> None:
    settings = other(DPO, tuning="full", learning_rate=None, method="dpo")
    adapter = after_sft if merged else None
    result = train_dpo(PAIRS, PROBES, tiny_student, adapter, settings, tmp_path, NoProgress())
    assert first(result, "loss") == pytest.approx(START["dpo"], abs=1e-3)
    assert first(result, "eval_rewards/chosen") == pytest.approx(0, abs=1e-4)
    base = dict(loading.load_model(tiny_student, 10).named_parameters())
    same = [begun[0][1][name].equal(weights) for name, weights in base.items()]
    assert all(same) is not merged
    after = copies(begun[0][0])
    assert not any(begun[0][1][name].equal(after[name]) for name in after)
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_the_learning_rate_follows_the_tuning_unless_it_is_given() -> None:
    small = 134_515_008
    assert peak_rate(SFTSettings(), small) == 4e-4
    assert peak_rate(SFTSettings(tuning="qlora"), small) == 4e-4
    assert peak_rate(DPOSettings(tuning="full"), small) == pytest.approx(3e-5)
    assert peak_rate(SFTSettings(tuning="full", learning_rate=4e-4), small) == 4e-4


def test_only_dpo_with_the_likelihood_term_is_trained_at_the_higher_rate() -> None:
    rates = {method: peak_rate(DPOSettings(method=method), 1) for method in get_args(Method)}
    assert rates == {"dpo+nll": 3e-4, "dpo": 1e-4, "ipo": 1e-4, "kto": 1e-4}


def test_the_adapter_has_the_rank_and_alpha_that_were_asked_for(
    tiny_student: Path, tmp_path: Path, begun: list[Any]
) -> None:
    settings = other(SFT, epochs=1, lora_alpha=7, lora_rank=2)
    train_sft(EXAMPLES, [], tiny_student, None, settings, tmp_path, NoProgress())
    config = begun[0][0].model.peft_config["default"]
    assert (config.r, config.lora_alpha) == (2, 7)


# Steps in parts


@pytest.mark.parametrize("rows_at_a_time", [1, 4])
def test_a_step_in_parts_is_the_step(
    tiny_student: Path, tmp_path: Path, begun: list[Any], rows_at_a_time: int
) -> None:
    """Also at the end of an epoch, where 22 rows leave six for the last step of eight."""
    parts = other(SFT, micro_batch_size=rows_at_a_time)
    runs = [
        train_sft(EXAMPLES[:22], [], tiny_student, None, settings, tmp_path / name, NoProgress())
        for name, settings in (("whole", SFT), ("parts", parts))
    ]
    whole, taken = (trainer for trainer, _ in begun)
    assert {len(batch["input_ids"]) for batch in whole.get_train_dataloader()} == {8, 6}
    assert max(len(batch["input_ids"]) for batch in taken.get_train_dataloader()) == rows_at_a_time
    assert (runs[0].steps, runs[0].tokens) == (runs[1].steps, runs[1].tokens)
    for name in ("loss", "grad_norm"):
        curves = [[point[name] for point in run.curve] for run in runs]
        assert curves[1] == pytest.approx(curves[0], rel=1e-4)


@pytest.mark.parametrize("method", ["dpo", "ipo"])
def test_pairs_in_parts_teach_the_same(tiny_student: Path, tmp_path: Path, method: str) -> None:
    whole = other(DPO, method=method, beta=0.1)
    runs = [
        train_dpo(PAIRS, [], tiny_student, None, settings, tmp_path / name, NoProgress())
        for name, settings in (("whole", whole), ("parts", other(whole, micro_batch_size=2)))
    ]
    for name in ("loss", "rewards/margins"):
        curves = [[point[name] for point in run.curve] for run in runs]
        assert curves[1] == pytest.approx(curves[0], rel=1e-3, abs=1e-4)


def test_what_does_not_divide_the_batch_is_refused() -> None:
    with pytest.raises(SettingsError) as error:
        RunSettings.parse({"sft": {"batch_size": 6, "micro_batch_size": 4}}, "run.toml")
    assert str(error.value) == (
        "run.toml: sft.micro_batch_size: it must divide batch_size, 6 (got 4)."
    )


def no_cuda() -> bool:
    import torch

    return not torch.cuda.is_available()


def test_qlora_is_refused_before_any_work_where_it_cannot_run(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_cuda():
        said = adhere_says("sft", str(run), "--sft.tuning=qlora")
        assert said == "adhere: tuning = 'qlora' needs a CUDA GPU, and there is none; take 'lora'."
        assert not list(run.glob("*.partial"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'adhere\[qlora\]'"):
        loading.check_tuning("qlora")


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        (
            {"sft": {"lora_rank": 64}, "dpo": {"lora_rank": 64}},
            [
                "sft.lora_rank is 64, and sft goes on from midtrain's adapter, whose lora_rank is "
                "32; set midtrain.lora_rank too, or midtrain.enabled = false."
            ],
        ),
        (
            {"dpo": {"lora_alpha": 8}},
            [
                "dpo.lora_alpha is 8, and dpo goes on from sft's adapter, whose lora_alpha is 32; "
                "set sft.lora_alpha too."
            ],
        ),
        ({"midtrain": {"enabled": False, "lora_rank": 64}}, []),
        ({"midtrain": {"tuning": "full", "lora_rank": 64}}, []),
        ({"dpo": {"tuning": "full", "lora_rank": 64}}, []),
    ],
)
def test_an_adapter_that_would_not_get_its_rank_or_alpha_is_refused_before_any_work(
    changes: dict[str, Any], problems: list[str]
) -> None:
    settings = RunSettings.parse(changes, "test")
    assert [str(problem) for problem in training_problems(settings)] == problems


@pytest.mark.parametrize(("name", "has"), [("lora_rank", 4), ("lora_alpha", 32)])
def test_an_adapter_of_another_rank_or_alpha_is_not_gone_on_from(
    tiny_student: Path, after_sft: Path, tmp_path: Path, name: str, has: int
) -> None:
    settings = other(DPO, epochs=1, **{name: 7})
    with pytest.raises(InputError, match=rf"adapter of {name} {has}, and its own {name} is 7;"):
        train_dpo(PAIRS, [], tiny_student, after_sft, settings, tmp_path, NoProgress())


def adhere_says(*arguments: str) -> str:
    said = command(*arguments)
    assert said.code == 2
    return said.err.strip()


def test_an_adapter_is_laid_over_the_checkpoint_that_it_was_trained_on(run: Path) -> None:
    settings = RunSettings.read(run / "run.toml").merge({"sft": {"tuning": "full"}}, "test")
    bench = Bench(run, settings, NoProgress())
    before = bench.student_engine("dpo").name
    assert bench.trained("dpo") == (bench.student, run / "dpo" / "adapter")
    run_stages(run, settings, NoProgress(), ["sft", "dpo", "document-lm"])
    assert bench.trained("sft") == (run / "sft" / "model", None)
    assert bench.trained("dpo") == (run / "sft" / "model", run / "dpo" / "adapter")
    assert bench.trained("dpo-alone") == (bench.student, run / "dpo-alone" / "adapter")
    assert bench.trained("document-lm") == (run / "document-lm" / "model", None)
    assert bench.student_engine("dpo").name != before
    # Trained anew in the same folder, it is another model to the cache.
    name = bench.student_engine("sft").name
    longer = settings.merge({"sft": {"epochs": 2}}, "test")
    run_stages(run, longer, NoProgress(), ["sft"])
    assert Bench(run, longer, NoProgress()).student_engine("sft").name != name


def test_what_an_attempt_in_another_tuning_left_is_not_kept(
    tiny_student: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    train_sft(EXAMPLES, [], tiny_student, None, other(SFT, epochs=1), tmp_path, NoProgress())
    assert not (tmp_path / "model").exists()
    assert (tmp_path / "adapter" / "adapter_config.json").exists()


# General instructions

GENERAL = [Instruction(question=f"general {i}", answer="yes") for i in range(12)]


@given(st.integers(1, 60), st.floats(0, 0.9), st.integers(0, 5))
def test_general_rows_make_up_their_share(examples: int, share: float, seed: int) -> None:
    rows = general_rows(GENERAL, examples, SFTSettings(general_share=share, seed=seed))
    assert len({name for name, _ in rows}) == len(rows)
    wanted = share * (examples + len(rows))
    assert len(rows) == len(GENERAL) or abs(len(rows) - wanted) <= 1


def test_general_rows_are_trained_on(tiny_student: Path, tmp_path: Path, begun: list[Any]) -> None:
    settings = other(SFT, epochs=1, general_share=0.2)
    result = train_sft(
        EXAMPLES, [], tiny_student, None, settings, tmp_path, NoProgress(), general=GENERAL
    )
    assert result.rows == 30
    questions = [row["prompt"][0]["content"] for row in begun[0][0].train_dataset]
    assert sum(question.startswith("general ") for question in questions) == 6


@pytest.mark.parametrize(("share", "notes"), [(0.2, 0), (0.5, 1)])
def test_too_few_general_rows_for_their_share_are_said(
    tiny_student: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
    notes: int,
) -> None:
    said: list[str] = []

    class Listening(NoProgress):
        def note(self, message: str) -> None:
            said.append(message)

    monkeypatch.setattr(adhere.train, "_next_token", lambda work: work)
    settings = other(SFT, general_share=share)
    train_sft(EXAMPLES, [], tiny_student, None, settings, tmp_path, Listening(), general=GENERAL)
    found = [message for message in said if "general instructions" in message]
    expected = (
        "sft: 12 general instructions of the 24 that general_share = 0.5 wants; "
        "a longer file (sft.general) has more."
    )
    assert found == [expected][:notes]


def test_the_students_own_answers_leave_out_what_it_did_not_finish() -> None:
    def reply(text: str) -> str | None:
        return None if "bees" in text else " " if "haiku" in text else f"Well: {text} "

    rows = own_answers(FakeEngine("student", reply), NoProgress())
    assert len(rows) > 40
    assert all(row.answer == f"Well: {row.question}" for row in rows)
    assert not any("bees" in row.question or "haiku" in row.question for row in rows)


def test_a_changed_file_of_general_instructions_puts_sft_out_of_date(
    run: Path, tmp_path: Path
) -> None:
    settings = RunSettings.read(run / "run.toml").merge({"sft": {"general_share": 0.5}}, "test")
    file = tmp_path / "general.jsonl"
    file.write_text('{"question": "Hello?", "answer": "Hello!"}\n', encoding="utf-8")
    named = settings.merge({"sft": {"general": str(file)}}, "test")
    run_stages(run, named, NoProgress(), ["sft"])
    assert state(run, named) == "up to date"
    assert state(run, settings) == "out of date"
    file.write_text('{"question": "Hello?", "answer": "Hi!"}\n', encoding="utf-8")
    assert state(run, named) == "out of date"


def state(run: Path, settings: RunSettings) -> str:
    return next(one.state for one in standings(run, settings) if one.stage == "sft")


@pytest.mark.parametrize("line", ['{"question": "only"}', "no json", '{"prompt": 1}'])
def test_a_wrong_file_of_general_instructions_is_named_before_any_work(
    run: Path, tmp_path: Path, line: str
) -> None:
    file = tmp_path / "general.jsonl"
    file.write_text(f'{{"question": "a", "answer": "b"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"general\.jsonl: line 2: "):
        read_general(file)
    said = adhere_says("sft", str(run), f"--sft.general={file}", "--sft.general-share=0.1")
    assert "general.jsonl: line 2" in said
    file.write_bytes('{"question": "Ça va ?", "answer": "Oui."}'.encode("latin-1"))
    assert "general.jsonl: not UTF-8 text" in adhere_says("sft", str(run), f"--sft.general={file}")
    said = adhere_says("sft", str(run), "--sft.general=none.jsonl")
    assert "none.jsonl: no such file" in said


def test_general_instructions_without_a_share_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "general.jsonl"
    file.write_text('{"question": "Hello?", "answer": "Hello!"}\n', encoding="utf-8")
    settings = RunSettings.parse({"sft": {"general": str(file)}}, "test")
    with pytest.raises(SettingsError, match=r"sft\.general_share is 0, so .* such as 0\.2"):
        check_training(settings)
    check_training(settings.merge({"sft": {"general_share": 0.2}}, "test"))


def test_blank_lines_between_general_instructions_are_no_matter(tmp_path: Path) -> None:
    file = tmp_path / "general.jsonl"
    line = '{"question": "a\u2028b", "answer": "c", "source": "mine"}'
    file.write_text(f"\ufeff{line}\r\n\n{line}\n\n", encoding="utf-8")
    assert read_general(file) == [Instruction(question="a\u2028b", answer="c")] * 2
