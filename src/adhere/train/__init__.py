"""Training: text, examples and preference pairs -> an adapter or a model, by TRL and PEFT.

Plain language modelling learns the documents' own text; supervised fine-tuning (SFT)
learns the examples' answers; direct preference optimisation (DPO, Rafailov et al. 2023,
arXiv 2305.18290) then prefers each pair's chosen answer to its rejected one, relative to
the model it started from.
Losses, reference log-probabilities, LoRA and checkpoints are the libraries';
here is said what is trained on what, and watched how it goes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from math import ceil
from pathlib import Path

from adhere.errors import AdhereError, EngineError, InputError, MissingExtraError, SettingsError
from adhere.processes import in_all
from adhere.records import Example, Instruction, PreferencePair, Probe
from adhere.settings import DPOSettings, RunSettings, SFTSettings, TrainSettings
from adhere.train.alarms import displacement, overfitting
from adhere.train.general import (
    general_rows,
    general_wanted,
    own_answers,
    read_general,
)
from adhere.train.libraries import LIBRARIES, missing_library, tracked, training_libraries
from adhere.train.loading import load_policy, load_tokenizer, tuning_problems
from adhere.train.memory import shape_of
from adhere.train.plan import SMALL, in_words, recommended, seconds_a_token, this_machine
from adhere.train.preferences import check_reference, preference_trainer
from adhere.train.rows import Row, answer_length, answer_row, dataset
from adhere.train.session import (
    Task,
    TrainingResult,
    Work,
    arguments,
    begin,
    one_gpu,
    prepare,
    run,
    start,
)
from adhere.train.text import Budget, windows

__all__ = [
    "Budget",
    "Task",
    "TrainingResult",
    "check_libraries",
    "check_training",
    "own_answers",
    "pace",
    "plan_ahead",
    "read_general",
    "train_dpo",
    "train_sft",
    "train_text",
    "training_problems",
]


def check_libraries() -> None:
    """Raise MissingExtraError where a package is missing that trains or loads models."""
    for problem in _missing_libraries():
        raise problem


def _missing_libraries() -> list[MissingExtraError]:
    """The first one, if any."""
    return [missing_library(name) for name in LIBRARIES if find_spec(name) is None][:1]


def check_training(settings: RunSettings) -> None:
    """Raise an AdhereError now for what the trainings of a run would only find in hours."""
    for problem in training_problems(settings):
        raise problem


def training_problems(settings: RunSettings) -> Iterator[AdhereError]:
    """All that the trainings of a run lack on this machine."""
    absent = _missing_libraries()
    yield from absent
    if not absent:
        midtrain = [settings.midtrain.tuning] if settings.midtrain.enabled else []
        for tuning in dict.fromkeys((*midtrain, settings.sft.tuning, settings.dpo.tuning)):
            yield from tuning_problems(tuning)
    yield from _adapter_problems(settings)
    if settings.sft.general:
        try:
            read_general(Path(settings.sft.general))
        except InputError as error:
            yield error
        if not settings.sft.general_share:
            yield SettingsError(
                f"sft.general is {settings.sft.general}, and sft.general_share is 0, so that "
                "nothing of it would be read; set sft.general_share, such as 0.2, or leave "
                "sft.general out."
            )
    tracker = settings.tracking.report_to
    if tracker != "none" and find_spec(tracker) is None:
        yield MissingExtraError(
            f"tracking.report_to = '{tracker}' needs that package; pip install {tracker}."
        )


def _adapter_problems(settings: RunSettings) -> Iterator[AdhereError]:
    """Adapters that a training is to go on from in another rank or alpha."""
    ways: list[tuple[str, TrainSettings, str, TrainSettings, str]] = [
        ("sft", settings.sft, "dpo", settings.dpo, "")
    ]
    if settings.midtrain.enabled:
        off = ", or midtrain.enabled = false"
        ways.insert(0, ("midtrain", settings.midtrain, "sft", settings.sft, off))
    for before, first, stage, then, off in ways:
        for name in ("lora_rank", "lora_alpha"):
            has, wanted = getattr(first, name), getattr(then, name)
            if has != wanted and "full" not in (first.tuning, then.tuning):
                yield InputError(
                    f"{stage}.{name} is {wanted}, and {stage} goes on from {before}'s adapter, "
                    f"whose {name} is {has}; set {before}.{name} too{off}."
                )


def plan_ahead(stage: str, model: Path, settings: TrainSettings) -> str:
    """How a training would be done here, with rows as long as they may be, in a sentence."""
    if absent := _missing_libraries():
        return str(absent[0])
    with training_libraries():
        try:
            plan = recommended(
                shape_of(model),
                settings,
                this_machine(),
                batch=settings.batch_size,
                answers=2 if isinstance(settings, DPOSettings) else 1,
                longest=settings.max_length,
            )
            return in_words(stage, plan)
        except EngineError as error:
            return str(error)


def pace(model: Path | None) -> float | None:
    """Seconds that a token takes to train on here, roughly; None where it is not known.

    `model` is None for the student that comes by default.
    """
    if any(find_spec(name) is None for name in LIBRARIES):
        return None
    with training_libraries():
        try:
            parameters = shape_of(model).parameters if model else SMALL
        except EngineError:
            return None
        return seconds_a_token(parameters, this_machine())


def train_text(
    texts: Sequence[str], task: Task[TrainSettings], budget: Budget | None = None
) -> TrainingResult:
    """Plain language modelling of the texts: no chat template, the loss is over every token.

    The texts are cut into windows of `max_length` tokens. With a `budget`, training
    takes its number of steps whatever the settings' epochs, and the windows are made
    as long as its tokens allow. Resumes and raises as `train_sft` does.
    """
    with training_libraries(), tracked(task.folder, task.stage):
        return _next_token(start(partial(_text_work, texts, task, budget)))


def _text_work(texts: Sequence[str], task: Task[TrainSettings], budget: Budget | None) -> Work:
    settings = task.settings
    tokenizer = load_tokenizer(task.model)
    longest, passes = settings.max_length, settings.epochs
    if budget:
        longest = budget.window(settings.batch_size, longest)
        task = replace(task, steps=budget.steps)
    rows = windows(texts, tokenizer, longest)
    if budget:
        passes = budget.steps / ceil(len(rows) / settings.batch_size)
    tokens = sum(row["length"] for row in rows)
    task.progress.note(
        f"{task.stage}: {tokens:,} tokens of text in {len(rows)} windows of up to {longest}, "
        f"read {passes:.3g} times."
    )
    return begin(task, tokenizer, rows, [], [])


def train_sft(
    examples: Sequence[Example],
    held_out: Sequence[Probe],
    task: Task[SFTSettings],
    general: Sequence[Instruction] = (),
) -> TrainingResult:
    """Teach the model the examples' answers; the loss is over the answers alone.

    Of `general`, as many are mixed in as make up the settings' share of all rows. With
    `task.adapter` training goes on from that adapter. A call that was interrupted is
    resumed when it is made again with the same folder.

    Raises InputError when no row is left to train on or the adapter is of another rank
    or alpha than the settings', EngineError when the model
    cannot be loaded, will not fit in memory or the training fails, MissingExtraError
    without the libraries.
    """
    rows = [(x.id, answer_row(x.question, completion=x.answer)) for x in examples]
    mixed_in = general_rows(general, len(rows), task.settings)
    wanted = general_wanted(len(rows), task.settings)
    if len(mixed_in) < wanted:
        task.progress.note(
            f"{task.stage}: {len(mixed_in)} general instructions of the {wanted} that "
            f"general_share = {task.settings.general_share:g} wants; a longer file (sft.general) "
            "has more."
        )
    rows += mixed_in
    probes = [(x.id, answer_row(x.question, completion=x.reference)) for x in held_out]
    with training_libraries(), tracked(task.folder, task.stage):
        work = start(partial(prepare, task, rows, probes))
        # Early stopping does what the alarm would ask for, and keeps the best checkpoint.
        alarms = () if task.settings.early_stopping else (overfitting,)
        return _next_token(replace(work, alarms=alarms))


def _next_token(work: Work) -> TrainingResult:
    """Train on conversations or on windows of tokens."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    task = work.task
    policy, peft_config = in_all(
        partial(load_policy, task.model, task.adapter, task.settings, work.longest)
    )
    trainer = SFTTrainer(
        policy,
        args=one_gpu(SFTConfig(**arguments(work, policy)), task.progress),
        train_dataset=dataset(work.rows, work.checkpoints / "rows"),
        eval_dataset=dataset(work.held_out, work.checkpoints / "held-out"),
        processing_class=work.tokenizer,
        peft_config=peft_config,
    )
    return run(trainer, work)


def train_dpo(
    pairs: Sequence[PreferencePair], held_out: Sequence[Probe], task: Task[DPOSettings]
) -> TrainingResult:
    """Teach the model to prefer the chosen answers of the pairs.

    With `task.adapter`, an SFT adapter's folder, training goes on from that adapter,
    and a frozen copy of it is the reference. Without, a new
    adapter is trained and the bare model is the reference. Full tuning starts from
    the adapter merged into the model, and that is the reference. Probes that have a
    contrast are the held-out pairs. Resumes and raises as `train_sft` does.
    """
    rows = [(x.id, answer_row(x.question, chosen=x.chosen, rejected=x.rejected)) for x in pairs]
    probes = [
        (x.id, answer_row(x.question, chosen=x.reference, rejected=x.contrast))
        for x in held_out
        if x.contrast is not None
    ]
    with training_libraries(), tracked(task.folder, task.stage):
        work = start(partial(_pair_work, task, rows, probes))
        task.progress.note(f"{task.stage}: the reference's log-likelihoods first.")
        tokens = answer_length(work.tokenizer, work.rows)
        chosen = task.settings
        fall = partial(displacement, beta=chosen.strength, tokens=tokens, method=chosen.method)
        return run(preference_trainer(work, chosen), replace(work, alarms=(fall,)))


def _pair_work(
    task: Task[DPOSettings], rows: list[tuple[str, Row]], probes: list[tuple[str, Row]]
) -> Work:
    check_reference(task)
    return prepare(task, rows, probes)
