"""Training: text, examples and preference pairs -> a LoRA adapter, by TRL and PEFT.

Plain language modelling learns the documents' own text; supervised fine-tuning (SFT)
learns the examples' answers; direct preference optimisation (DPO, Rafailov et al. 2023,
arXiv 2305.18290) then prefers each pair's chosen answer to its rejected one, relative to
the model it started from.
Losses, reference log-probabilities, LoRA and checkpoints are the libraries';
here is said what is trained on what, and watched how it goes.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from adhere.progress import Progress
from adhere.records import Example, PreferencePair, Probe
from adhere.settings import DPOSettings, SFTSettings, TrainSettings
from adhere.train.alarms import displacement, overfitting
from adhere.train.libraries import training_libraries
from adhere.train.loading import load_adapter, load_model, load_tokenizer, new_adapter
from adhere.train.rows import answer_row, dataset
from adhere.train.session import TrainingResult, Work, arguments, begin, prepare, run
from adhere.train.text import Budget, windows

__all__ = ["Budget", "TrainingResult", "train_dpo", "train_sft", "train_text"]


def train_text(
    stage: str,
    texts: Sequence[str],
    model: Path,
    settings: TrainSettings,
    folder: Path,
    progress: Progress,
    budget: Budget | None = None,
) -> TrainingResult:
    """Plain language modelling of the texts: no chat template, the loss is over every token.

    The texts are cut into windows of `settings.max_length` tokens. With a `budget`, training
    takes its number of steps whatever `settings.epochs` says, and the windows are made as
    long as its tokens allow. Resumes and raises as `train_sft` does.
    """
    with training_libraries():
        tokenizer = load_tokenizer(model)
        longest = settings.max_length
        if budget:
            longest = budget.window(settings.batch_size, longest)
        rows = windows(texts, tokenizer, longest)
        tokens = sum(row["length"] for row in rows)
        passes = budget.steps * settings.batch_size / len(rows) if budget else settings.epochs
        progress.note(
            f"{stage}: {tokens:,} tokens of text in {len(rows)} windows of up to {longest}, "
            f"read {passes:.3g} times."
        )
        decisive = (settings.model_dump(), budget and budget.steps, str(model))
        work = begin(stage, tokenizer, rows, [], [], decisive, folder, progress)
        steps = {"max_steps": budget.steps} if budget else {}
        return _run_sft(work, model, None, settings, steps, progress)


def train_sft(
    examples: Sequence[Example],
    held_out: Sequence[Probe],
    model: Path,
    adapter: Path | None,
    settings: SFTSettings,
    folder: Path,
    progress: Progress,
) -> TrainingResult:
    """Teach the model the examples' answers; the loss is over the answers alone.

    `model` is a checkpoint folder with a chat template. With `adapter`, an adapter's
    folder, training goes on from that adapter (and keeps its rank). A call that was
    interrupted is resumed when it is made again with the same `folder`.

    Raises InputError when no row is left to train on, EngineError when the model
    cannot be loaded or the training fails, MissingExtraError without the libraries.
    """
    rows = [(x.id, answer_row(x.question, completion=x.answer)) for x in examples]
    probes = [(x.id, answer_row(x.question, completion=x.reference)) for x in held_out]
    with training_libraries():
        work = prepare("sft", rows, probes, model, adapter, settings, folder, progress)
        result = _run_sft(work, model, adapter, settings, {}, progress)
    return replace(result, alarms=overfitting(result.curve))


def _run_sft(
    work: Work,
    model: Path,
    adapter: Path | None,
    settings: TrainSettings,
    more: dict[str, Any],
    progress: Progress,
) -> TrainingResult:
    """Next-token training, on conversations or on windows of tokens."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    base = load_model(model, work.longest)
    trainer = SFTTrainer(
        load_adapter(base, adapter) if adapter else base,
        args=SFTConfig(**arguments(settings, work, base), **more),
        train_dataset=dataset(work.rows),
        eval_dataset=dataset(work.held_out),
        processing_class=work.tokenizer,
        peft_config=None if adapter else new_adapter(settings.lora_rank),
    )
    return run(trainer, work, progress)


def train_dpo(
    pairs: Sequence[PreferencePair],
    held_out: Sequence[Probe],
    model: Path,
    adapter: Path | None,
    settings: DPOSettings,
    folder: Path,
    progress: Progress,
) -> TrainingResult:
    """Teach the model to prefer the chosen answers of the pairs.

    With `adapter`, an SFT adapter's folder, training goes on from that adapter
    (and keeps its rank), and a frozen copy of it is the reference. Without, a new
    adapter is trained and the bare model is the reference. Probes that have a
    contrast are the held-out pairs. Resumes and raises as `train_sft` does.
    """
    rows = [(x.id, answer_row(x.question, chosen=x.chosen, rejected=x.rejected)) for x in pairs]
    probes = [
        (x.id, answer_row(x.question, chosen=x.reference, rejected=x.contrast))
        for x in held_out
        if x.contrast is not None
    ]
    with training_libraries():
        from trl.trainer.dpo_config import DPOConfig
        from trl.trainer.dpo_trainer import DPOTrainer

        work = prepare("dpo", rows, probes, model, adapter, settings, folder, progress)
        base = load_model(model, work.longest)
        progress.note("dpo: the reference's log-likelihoods first.")
        trainer = DPOTrainer(
            load_adapter(base, adapter) if adapter else base,
            args=DPOConfig(**arguments(settings, work, base), **_preference_loss(settings)),
            train_dataset=dataset(work.rows),
            eval_dataset=dataset(work.held_out),
            processing_class=work.tokenizer,
            # None for a loaded adapter: only then does TRL take a copy of that adapter as the
            # reference, and not the model without adapters.
            peft_config=None if adapter else new_adapter(settings.lora_rank),
        )
        result = run(trainer, work, progress)
        lengths = [len(answer) for answer in trainer.train_dataset["chosen_ids"]]
    mean_length = sum(lengths) / len(lengths)
    return replace(result, alarms=displacement(result.curve, settings.beta, mean_length))


def _preference_loss(settings: DPOSettings) -> dict[str, Any]:
    loss: dict[str, Any] = {"beta": settings.beta, "precompute_ref_log_probs": True}
    if settings.nll_weight > 0:
        loss |= {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, settings.nll_weight]}
    return loss
