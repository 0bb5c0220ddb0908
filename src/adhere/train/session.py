"""One training: its work, its arguments, its checkpoints, its curve."""

import json
import math
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adhere.errors import EngineError, InputError
from adhere.progress import Progress
from adhere.records import Dropped, record_id
from adhere.settings import TrainSettings
from adhere.store import content_key, count_reasons, folder_hashes
from adhere.train.loading import has_bfloat16, load_tokenizer
from adhere.train.rows import Row, fit

HELD_OUT = 16
"""Probes that the held-out loss is taken over in training; the evaluation asks them all."""

_LARGE = 1_000_000_000
"""Parameters from which memory is dearer than time, so that activations are computed twice."""
_METRICS = (
    "loss",
    "grad_norm",
    "mean_token_accuracy",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a training did. It leaves `adapter/` (PEFT) and `curve.jsonl` in its folder."""

    rows: int
    """Trained on."""
    dropped: list[Dropped]
    steps: int
    """Of the optimiser, those before an interruption included."""
    seconds: float
    """Of this call."""
    tokens: int
    """Trained on, over all epochs, without padding; DPO reads a prompt once with each answer."""
    curve: list[dict[str, float]]
    """By `step`: `loss` (for SFT, nats a token) and TRL's metrics; at some steps the same over
    held-out probes, as `eval_loss` and so on. `rewards/...` are beta times the log-ratio to the
    reference, `logps/...` nats an answer."""
    trained_parameters: int
    alarms: list[str] = field(default_factory=list[str])
    """Sentences for the user about what looks wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done, known before the model is loaded."""

    stage: str
    folder: Path
    rows: list[Row]
    held_out: list[Row]
    dropped: list[Dropped]
    tokenizer: Any
    resume: Path | None
    """The checkpoint to go on from."""
    started: float = field(default_factory=time.monotonic)

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return self.rows[-1]["length"]


def prepare(
    stage: str,
    rows: list[tuple[str, Row]],
    probes: list[tuple[str, Row]],
    model: Path,
    adapter: Path | None,
    settings: TrainSettings,
    folder: Path,
    progress: Progress,
) -> Work:
    """Conversations to train on: `rows`, by record id, and up to `HELD_OUT` of the `probes`."""
    tokenizer = load_tokenizer(model)
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
    progress.note(f"{said}.")
    decisive = (settings.model_dump(), str(model), folder_hashes(adapter) if adapter else None)
    return begin(stage, tokenizer, kept, held_out, dropped, decisive, folder, progress)


def begin(
    stage: str,
    tokenizer: Any,
    rows: list[Row],
    held_out: list[Row],
    dropped: list[Dropped],
    decisive: tuple[Any, ...],
    folder: Path,
    progress: Progress,
) -> Work:
    """The work, and where it was left. A checkpoint fits if rows and `decisive` are the same."""
    key = content_key(stage, rows, held_out, *decisive)
    resume = last_checkpoint(folder / "checkpoints", key)
    if resume:
        progress.note(f"{stage}: resumed from step {_step(resume)}.")
    return Work(
        stage=stage,
        folder=folder,
        rows=rows,
        held_out=held_out,
        dropped=dropped,
        tokenizer=tokenizer,
        resume=resume,
    )


def arguments(settings: TrainSettings, work: Work, base: Any) -> dict[str, Any]:
    """What each of TRL's trainers is told; steps below 1 are fractions of all steps."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(work.checkpoints),
        "num_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,
        "max_grad_norm": 1.0,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "train_sampling_strategy": "group_by_length",
        "remove_unused_columns": False,  # else `length` is removed before rows are grouped by it
        "max_length": None,  # all rows fit; nothing may be cut
        "seed": settings.seed,
        "use_cpu": not cuda,
        "bf16": has_bfloat16(),
        "gradient_checkpointing": base.num_parameters() > _LARGE,
        "dataloader_pin_memory": cuda,
        "logging_steps": 0.01,
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": "non_padding",
        "eval_strategy": "steps" if work.held_out else "no",
        "eval_steps": 1 / 3,
        "eval_on_start": bool(work.held_out) and work.resume is None,
        "save_strategy": "steps",
        "save_steps": 0.1,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
    }


def run(trainer: Any, work: Work, progress: Progress) -> TrainingResult:
    """Train, and leave adapter and curve in the work's folder."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    try:
        with closing(_watch(work.stage, progress)) as watch:
            trainer.add_callback(watch)
            trainer.train(resume_from_checkpoint=work.resume and str(work.resume))
    except EngineError:  # the checkpoints may hold what has broken
        shutil.rmtree(work.checkpoints)
        raise
    adapter = work.folder / "adapter"
    trainer.model.save_pretrained(
        adapter, selected_adapters=["default"], save_embedding_layers=False
    )
    (adapter / "README.md").unlink()  # an empty form; the report writes the model card
    curve = _curve(trainer.state.log_history)
    lines = [json.dumps(point) + "\n" for point in curve]
    (work.folder / "curve.jsonl").write_text("".join(lines), encoding="utf-8")
    shutil.rmtree(work.checkpoints)
    return TrainingResult(
        rows=len(work.rows),
        dropped=work.dropped,
        steps=trainer.state.global_step,
        seconds=time.monotonic() - work.started,
        tokens=int(trainer.state.num_input_tokens_seen),
        curve=curve,
        trained_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
    )


def _watch(stage: str, progress: Progress) -> Any:
    """A callback that shows the steps, makes resuming exact, and stops when the loss breaks."""
    import torch
    from transformers.trainer_callback import TrainerCallback

    class Watch(TrainerCallback):
        ticks = _ticks(progress, stage, 0)

        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self.ticks = _ticks(progress, stage, state.max_steps - state.global_step)
            next(self.ticks, None)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            # Grouping by length draws from the global random state, which is another one after
            # a resume: rows would come twice or never. So each epoch's order has its own seed.
            sampler = given["train_dataloader"].batch_sampler.sampler
            sampler.generator = torch.Generator().manual_seed(args.seed + int(state.epoch or 0))

        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            next(self.ticks, None)

        def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            for name in ("loss", "grad_norm", "eval_loss"):
                value = given["logs"].get(name, 0.0)
                if not math.isfinite(value):
                    raise EngineError(
                        f"{stage}: {name} is {value} at step {state.global_step}, so the "
                        "training has diverged; lower the learning rate and start again."
                    )

        def close(self) -> None:
            self.ticks.close()

    return Watch()


def _ticks(progress: Progress, what: str, total: int) -> Generator[int]:
    yield from progress.track(range(total), what, total)


def last_checkpoint(checkpoints: Path, key: str) -> Path | None:
    """The newest whole checkpoint of the work of this `key`; those of other work are removed."""
    stamp = checkpoints / "key"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != key:
        shutil.rmtree(checkpoints, ignore_errors=True)
        checkpoints.mkdir(parents=True)
        stamp.write_text(key, encoding="utf-8")
    whole = [path for path in checkpoints.glob("checkpoint-*") if _is_whole(path)]
    return max(whole, key=_step, default=None)


def _is_whole(checkpoint: Path) -> bool:
    """The trainer writes its state last: a checkpoint cut short has none that can be read."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, ValueError):
        return False
    return True


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _curve(history: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The trainer's log, one point a step, without what only measures speed."""
    points: dict[int, dict[str, float]] = {}
    for entry in history:
        kept = {k: v for k, v in entry.items() if k.removeprefix("eval_") in _METRICS}
        if kept:
            points.setdefault(entry["step"], {"step": entry["step"]}).update(kept)
    return [points[step] for step in sorted(points)]
