"""Training: text, examples and preference pairs -> an adapter or a model, by TRL and PEFT.

Plain language modelling learns the documents' own text; supervised fine-tuning (SFT)
learns the examples' answers; direct preference optimisation (DPO, Rafailov et al. 2023,
arXiv 2305.18290) then prefers each pair's chosen answer to its rejected one, relative to
the model it started from.
Losses, reference log-probabilities, LoRA and checkpoints are the libraries';
here is said what is trained on what, and watched how it goes.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from adhere.errors import MissingExtraError
from adhere.records import Example, PreferencePair, Probe
from adhere.settings import DPOSettings, RunSettings, SFTSettings, TrainSettings
from adhere.train.alarms import displacement, overfitting
from adhere.train.general import General, general_rows, own_answers, read_general
from adhere.train.libraries import training_libraries
from adhere.train.loading import check_tuning, load_policy, load_tokenizer
from adhere.train.preferences import preference_trainer
from adhere.train.rows import answer_length, answer_row, dataset
from adhere.train.session import Task, TrainingResult, Work, arguments, begin, prepare, run
from adhere.train.text import Budget, windows

__all__ = [
    "Budget",
    "General",
    "Task",
    "TrainingResult",
    "check_training",
    "own_answers",
    "read_general",
    "train_dpo",
    "train_sft",
    "train_text",
]


def check_training(settings: RunSettings) -> None:
    """Raise an AdhereError now for what the trainings of a run would only find in hours."""
    midtrain = settings.midtrain.tuning if settings.midtrain.enabled else "lora"
    for tuning in (midtrain, settings.sft.tuning, settings.dpo.tuning):
        check_tuning(tuning)
    if settings.sft.general:
        read_general(Path(settings.sft.general))
    tracker = settings.tracking.report_to
    if tracker != "none" and find_spec(tracker) is None:
        raise MissingExtraError(
            f"tracking.report_to = '{tracker}' needs that package; pip install {tracker}."
        )


def train_text(
    texts: Sequence[str], task: Task[TrainSettings], budget: Budget | None = None
) -> TrainingResult:
    """Plain language modelling of the texts: no chat template, the loss is over every token.

    The texts are cut into windows of `max_length` tokens. With a `budget`, training
    takes its number of steps whatever the settings' epochs, and the windows are made
    as long as its tokens allow. Resumes and raises as `train_sft` does.
    """
    settings = task.settings
    with training_libraries():
        tokenizer = load_tokenizer(task.model)
        longest, passes = settings.max_length, settings.epochs
        if budget:
            longest = budget.window(settings.batch_size, longest)
            task = replace(task, steps=budget.steps)
        rows = windows(texts, tokenizer, longest)
        if budget:
            passes = budget.steps * settings.batch_size / len(rows)
        tokens = sum(row["length"] for row in rows)
        task.progress.note(
            f"{task.stage}: {tokens:,} tokens of text in {len(rows)} windows of up to {longest}, "
            f"read {passes:.3g} times."
        )
        return _next_token(begin(task, tokenizer, rows, [], []))


def train_sft(
    examples: Sequence[Example],
    held_out: Sequence[Probe],
    task: Task[SFTSettings],
    general: Sequence[General] = (),
) -> TrainingResult:
    """Teach the model the examples' answers; the loss is over the answers alone.

    Of `general`, as many are mixed in as make up the settings' share of all rows. With
    `task.adapter` training goes on from that adapter (and keeps its rank). A call that
    was interrupted is resumed when it is made again with the same folder.

    Raises InputError when no row is left to train on, EngineError when the model
    cannot be loaded, will not fit in memory or the training fails, MissingExtraError
    without the libraries.
    """
    rows = [(x.id, answer_row(x.question, completion=x.answer)) for x in examples]
    rows += general_rows(general, len(rows), task.settings)
    probes = [(x.id, answer_row(x.question, completion=x.reference)) for x in held_out]
    with training_libraries():
        result = _next_token(prepare(task, rows, probes))
    return replace(result, alarms=overfitting(result.curve))


def _next_token(work: Work) -> TrainingResult:
    """Train on conversations or on windows of tokens."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    task = work.task
    policy, peft_config = load_policy(task.model, task.adapter, task.settings, work.longest)
    trainer = SFTTrainer(
        policy,
        args=SFTConfig(**arguments(work, policy)),
        train_dataset=dataset(work.rows),
        eval_dataset=dataset(work.held_out),
        processing_class=work.tokenizer,
        peft_config=peft_config,
    )
    return run(trainer, work)


def train_dpo(
    pairs: Sequence[PreferencePair], held_out: Sequence[Probe], task: Task[DPOSettings]
) -> TrainingResult:
    """Teach the model to prefer the chosen answers of the pairs.

    With `task.adapter`, an SFT adapter's folder, training goes on from that adapter
    (and keeps its rank), and a frozen copy of it is the reference. Without, a new
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
    with training_libraries():
        work = prepare(task, rows, probes)
        task.progress.note(f"{task.stage}: the reference's log-likelihoods first.")
        result = run(preference_trainer(work, task.settings), work)
        mean_length = answer_length(work.tokenizer, work.rows)
    return replace(result, alarms=displacement(result.curve, task.settings.beta, mean_length))
