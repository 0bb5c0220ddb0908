"""One training: its work, its arguments, its checkpoints, its curve."""

import json
import math
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from adhere.errors import EngineError, InputError
from adhere.models import weights_mark
from adhere.processes import (
    from_first,
    in_all,
    is_first,
    is_sharded,
    process_count,
    wait_for_all,
)
from adhere.progress import Progress, duration
from adhere.records import Dropped, record_id
from adhere.settings import AnswerSettings, TrainSettings
from adhere.store import content_key, count_reasons, folder_hashes, read_manifest
from adhere.train import loading
from adhere.train.alarms import Curve
from adhere.train.balance import balanced
from adhere.train.checkpoints import LAST_GOOD, keep_last_good, last_checkpoint, step_of
from adhere.train.memory import LARGE, shape_of
from adhere.train.plan import (
    HELD_OUT,
    Plan,
    effort,
    in_words,
    recommended,
    seconds_a_token,
    this_machine,
)
from adhere.train.preview import preview
from adhere.train.rows import Row, fit, hold_back, longest_of
from adhere.train.watch import Alarm, StoppedError, curve_of, watcher

PATIENCE = 2
"""Held-out losses in a row, each a tenth of the training after the last, that may be no better
than the best before early stopping ends it. The bound is ours."""

S = TypeVar("S", bound=TrainSettings, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training did.

    It leaves `curve.jsonl` in its folder, and `adapter/` (PEFT), or `model/` (a
    checkpoint) where every weight was trained.
    """

    rows: int
    """Trained on, each counted once."""
    dropped: list[Dropped]
    steps: int
    """Of the optimiser, those before an interruption included."""
    tokens: int
    """Trained on, over all epochs, without padding; DPO reads a prompt once with each answer."""
    passes: float
    """How often each row was read."""
    curve: list[dict[str, float]]
    """By `step`: `loss` (for SFT, nats a token) and TRL's metrics; at some steps the same over
    held-out probes, as `eval_loss` and so on. `rewards/...` are beta times the log-ratio to the
    reference, `logps/...` nats an answer."""
    trained_parameters: int
    plan: Plan
    alarms: list[str] = field(default_factory=list[str])
    """Sentences for the user about what looks wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[S]):
    """What is to be trained, how, and where."""

    stage: str
    model: Path
    """A checkpoint with a chat template."""
    adapter: Path | None = None
    """What to go on from, where it is not the bare model."""
    settings: S
    steps: int | None = None
    """Of the optimiser, instead of the settings' epochs."""
    folder: Path
    progress: Progress
    report_to: str = "none"
    """The tracker that TRL reports to."""

    def key(self, rows: list[Row], held_out: list[Row]) -> str:
        """A checkpoint of the same key is of the same work, done by the same programs."""
        adapter = folder_hashes(self.adapter) if self.adapter else None
        tuned = read_manifest(self.model.parent)  # where a stage of full tuning left the model
        model = (str(self.model), tuned.outputs if tuned else weights_mark(str(self.model)))
        chosen = self.settings.model_dump()
        programs = [version(name) for name in ("adhere", "trl")]
        return content_key(self.stage, rows, held_out, chosen, self.steps, model, adapter, programs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done, known before the model is loaded."""

    task: Task[TrainSettings]
    rows: list[Row]
    once: int
    """How many they are without those that are taken again."""
    held_out: list[Row]
    dropped: list[Dropped]
    tokenizer: Any
    plan: Plan
    checkpoints: Path
    """One folder for all processes."""
    resume: Path | None = None
    """The checkpoint to go on from."""
    alarms: tuple[Alarm, ...] = ()
    """What its curve is watched for."""

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return longest_of(self.rows, self.held_out)


def prepare(
    task: Task[TrainSettings], rows: list[tuple[str, Row]], probes: list[tuple[str, Row]]
) -> Work:
    """Conversations to train on: `rows`, by record id, and up to `HELD_OUT` of the `probes`."""
    tokenizer = loading.load_tokenizer(task.model)
    stage, settings = task.stage, task.settings
    kept, dropped = fit(stage, rows, tokenizer, settings.max_length)
    # Drawn by id, so that they are not all of the first clauses.
    drawn = sorted(probes, key=lambda probe: record_id(settings.seed, probe[0]))[:HELD_OUT]
    held_out, _ = fit(stage, drawn, tokenizer, settings.max_length)
    said = f"{stage}: {len(kept)} of {len(rows)} rows to train on"
    if dropped:
        counts = ", ".join(f"{n} {reason}" for reason, n in count_reasons(dropped).items())
        said += f"; dropped: {counts} (the first: {dropped[0].detail})"
    if not kept:
        raise InputError(f"{said}. Generate more rows, or raise max_length.")
    task.progress.note(f"{said}.")
    return begin(task, tokenizer, kept, held_out, dropped)


def begin(
    task: Task[TrainSettings],
    tokenizer: Any,
    rows: list[Row],
    held_out: list[Row],
    dropped: list[Dropped],
) -> Work:
    """The work; raises EngineError where memory will not hold it, and as `rows_each` does.

    With early stopping, some of the rows are held out instead of `held_out`.
    """
    if task.settings.early_stopping:
        rows, held_out = hold_back(rows, task.settings.seed)
    once = len(rows)
    answered = "prompt" in rows[0]  # and no windows of text, which document-lm has with [sft]'s
    if answered and isinstance(task.settings, AnswerSettings) and task.settings.balance:
        rows = balanced(rows, task.stage, task.progress.note)
    shape, machine, answers = shape_of(task.model), this_machine(), 2 if "chosen" in rows[0] else 1
    plan = recommended(
        shape,
        task.settings,
        machine,
        batch=rows_each(task.settings),
        answers=answers,
        longest=longest_of(rows, held_out),
    )
    pace = seconds_a_token(shape.parameters, machine)
    span = duration(pace * _effort(task, rows, held_out)) if pace else None
    said = f"It takes about {span}." if span else "How long it takes here is not known."
    task.progress.note(f"{in_words(task.stage, plan)} {said}")
    return Work(
        task=task,
        rows=rows,
        once=once,
        held_out=held_out,
        dropped=dropped,
        tokenizer=tokenizer,
        plan=plan,
        checkpoints=task.folder / "checkpoints",
    )


def _effort(task: Task[TrainSettings], rows: list[Row], held_out: list[Row]) -> float:
    """Tokens of training that it is as much work as; a pair is two sequences."""
    pairs, epochs = "chosen" in rows[0], task.settings.epochs
    if task.steps:
        epochs = task.steps * task.settings.batch_size / len(rows)
    learned, asked = ((1 + pairs) * sum(row["length"] for row in part) for part in (rows, held_out))
    return effort(learned, asked, epochs, pairs=pairs)


def start(make: Callable[[], Work]) -> Work:
    """The work that each process prepares, and where the first of them left it."""
    work = in_all(make)
    work = replace(work, **from_first(partial(_left, work)))
    if work.resume:
        work.task.progress.note(f"{work.task.stage}: resumed from step {step_of(work.resume)}.")
    return work


def _left(work: Work) -> dict[str, Any]:
    """What all processes must have alike: were one row another, they would wait for ever."""
    key = work.task.key(work.rows, work.held_out)
    return {
        "rows": work.rows,
        "held_out": work.held_out,
        "plan": work.plan,  # memory may differ, and the parts of a step must not
        "checkpoints": work.checkpoints,
        "resume": last_checkpoint(work.checkpoints, key),
    }


def arguments(work: Work, policy: Any) -> dict[str, Any]:
    """What each of TRL's trainers is told; steps below 1 are fractions of all steps."""
    import torch

    cuda, task, plan = torch.cuda.is_available(), work.task, work.plan
    settings = task.settings
    stopping = settings.early_stopping
    best = stopping or (settings.stop_on_alarm and bool(work.held_out))  # is to be kept
    return {
        "output_dir": str(work.checkpoints),
        "num_train_epochs": settings.epochs,
        "max_steps": task.steps or -1,
        "learning_rate": plan.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,
        "max_grad_norm": 1.0,
        "per_device_train_batch_size": plan.micro_batch,
        "per_device_eval_batch_size": plan.micro_batch,
        "gradient_accumulation_steps": plan.batch // plan.micro_batch,
        "train_sampling_strategy": "group_by_length",
        "remove_unused_columns": False,  # else `length` is removed before rows are grouped by it
        "max_length": None,  # all rows fit; nothing may be cut
        "seed": settings.seed,
        "use_cpu": not cuda,
        "bf16": loading.has_bfloat16(),
        "gradient_checkpointing": policy.num_parameters() > LARGE,
        "dataloader_pin_memory": cuda,
        "logging_steps": 0.01,
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": "non_padding",
        "eval_strategy": "steps" if work.held_out else "no",
        "eval_steps": 0.1 if best else 1 / 3,
        "eval_on_start": bool(work.held_out) and work.resume is None,
        "save_strategy": "steps",
        "save_steps": 0.1,
        "save_total_limit": 2,
        "load_best_model_at_end": stopping,
        "restore_callback_states_from_checkpoint": stopping,  # else its patience begins anew
        "metric_for_best_model": "eval_loss" if best else None,
        "greater_is_better": False if best else None,
        "report_to": task.report_to,
        "run_name": f"{task.folder.parent.name}-{task.stage}",
        "project": "adhere",
        "disable_tqdm": True,
        "log_level_replica": "error",  # as that of the first process
        "ddp_find_unused_parameters": False,  # every trained weight is used in every step
    }


def one_gpu(config: Any, progress: Progress) -> Any:
    """TRL's configuration, for the first GPU alone where several are visible to one process.

    The trainer would lay copies of the model on all of them, which TRL refuses.
    """
    if config.n_gpu > 1:
        progress.note(
            f"{config.n_gpu} GPUs are visible, and this training takes the first; started by "
            "`accelerate launch`, it takes them all (docs/training.md)."
        )
        count = "_n_gpu"  # the trainer itself sets it so for a model that is spread over GPUs
        setattr(config, count, 1)
    return config


def rows_each(settings: TrainSettings) -> int:
    """The rows of a step that fall to one process; InputError where they cannot be shared out."""
    processes = process_count()
    each, over = divmod(settings.batch_size, processes)
    if over:
        raise InputError(
            f"batch_size = {settings.batch_size} cannot be shared by {processes} processes; "
            "make it a multiple."
        )
    at_a_time = settings.micro_batch_size
    if at_a_time and each % at_a_time:
        raise InputError(
            f"micro_batch_size = {at_a_time} does not divide the {each} rows that each of "
            f"{processes} processes has of batch_size = {settings.batch_size}; make it a divisor."
        )
    return each


def run(trainer: Any, work: Work) -> TrainingResult:
    """Train, and leave what was trained, its rows and its curve in the work's folder."""
    show_rows(work, trainer.train_dataset)
    shutil.rmtree(work.task.folder / LAST_GOOD, ignore_errors=True)
    loading.train_in_float32(trainer.model)
    alarms = _train(trainer, work)
    _save(trainer, work)
    curve = _write_curve(trainer, work.task.folder)
    wait_for_all()
    if is_first():
        shutil.rmtree(work.checkpoints)
    return TrainingResult(
        rows=work.once,
        dropped=work.dropped,
        steps=trainer.state.global_step,
        tokens=int(trainer.state.num_input_tokens_seen),
        passes=round(trainer.state.epoch, 2),
        curve=curve,
        trained_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        plan=work.plan,
        alarms=alarms,
    )


def _write_curve(trainer: Any, folder: Path) -> Curve:
    """Write the curve as it is. NaN and infinity are left out: JSON has no such numbers."""
    curve = curve_of(trainer.state.log_history)
    finite = [{k: v for k, v in point.items() if math.isfinite(v)} for point in curve]
    lines = [json.dumps(point) + "\n" for point in finite]
    (folder / "curve.jsonl").write_text("".join(lines), encoding="utf-8")
    return curve


def _train(trainer: Any, work: Work) -> list[str]:
    """Train to the end; returns the alarms that were raised.

    Where it is stopped, the curve up to there is left in the work's folder.

    On a CPU under bfloat16 PEFT is kept from casting what an adapter reads to float32:
    autocast casts it back to bfloat16, so two copies were made for the same numbers.
    """
    from peft.helpers import disable_input_dtype_casting
    from transformers.trainer_callback import EarlyStoppingCallback, PrinterCallback

    task, settings = work.task, work.task.settings
    trainer.remove_callback(PrinterCallback)
    if settings.early_stopping:
        trainer.add_callback(EarlyStoppingCallback(PATIENCE))
    watch = watcher(task.stage, task.progress, work.alarms, stop=settings.stop_on_alarm)
    trainer.add_callback(watch)
    uncast = trainer.args.bf16 and trainer.args.use_cpu
    try:
        with closing(watch), disable_input_dtype_casting(trainer.model, active=uncast):
            trainer.train(resume_from_checkpoint=work.resume and str(work.resume))
    except StoppedError as error:
        _write_curve(trainer, task.folder)
        stopped = error  # at the same step in all processes: the log is that of all rows
        from_first(lambda: _give_up(stopped, task.folder))
    return watch.raised(trainer.state)


def show_rows(work: Work, rows: Any) -> None:
    """Write `rows.md`. `rows`: as a trainer made them; raises as `preview` does."""
    stage, held_out = work.task.stage, len(work.held_out)
    page = in_all(partial(preview, stage, rows, work.tokenizer, work.dropped, held_out))
    (work.task.folder / "rows.md").write_text(page, encoding="utf-8")


def _give_up(error: StoppedError, folder: Path) -> NoReturn:
    raise EngineError(f"{error} {keep_last_good(folder, error.best)} {error.remedy}".strip())


def _save(trainer: Any, work: Work) -> None:
    """Written by the first process; where the weights are spread over several, all give theirs."""
    model, folder = trainer.model, work.task.folder
    whole = trainer.accelerator.get_state_dict(model) if is_sharded() else None
    if not is_first():
        return
    for left in ("model", "adapter"):  # by an attempt that failed after this, in another tuning
        shutil.rmtree(folder / left, ignore_errors=True)
    if not hasattr(model, "peft_config"):
        model.save_pretrained(folder / "model", state_dict=whole)
        work.tokenizer.save_pretrained(folder / "model")
        return
    model.save_pretrained(
        folder / "adapter",
        state_dict=whole,
        selected_adapters=["default"],
        save_embedding_layers=False,
    )
    (folder / "adapter" / "README.md").unlink()  # an empty form; the report writes the model card
