"""What is watched while a training runs: its steps, its loss, and what raises an alarm."""

import math
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from adhere.progress import Progress
from adhere.train.alarms import Curve

Alarm = Callable[[Curve, int], str | None]
"""From the curve as it is, and how many points it will have in the end, a sentence for the user."""

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


class StoppedError(Exception):
    """Why the training must not go on."""

    def __init__(self, said: str, remedy: str = "", best: str | None = None) -> None:
        super().__init__(said)
        self.remedy = remedy
        self.best = Path(best) if best else None
        """The checkpoint with the lowest held-out loss, where that is known."""


def watcher(stage: str, progress: Progress, alarms: Sequence[Alarm], *, stop: bool) -> Any:
    """A callback that shows the steps, makes resuming exact, and stops when the loss breaks.

    An alarm speaks once, when it is raised, and where `stop` ends the training. One that spoke
    before the checkpoint that a training goes on from is known again from that one's log.
    """
    from transformers.trainer_callback import TrainerCallback

    class Watch(TrainerCallback):
        ticks = _ticks(progress, stage, 0)
        spoken: dict[Alarm, str]

        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self.ticks = _ticks(progress, stage, state.max_steps - state.global_step)
            self.spoken = _spoken_before(alarms, state)
            next(self.ticks, None)

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            _fix_order(given["train_dataloader"], args, int(state.epoch or 0))

        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            next(self.ticks, None)

        def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            _check_finite(stage, given["logs"], state.global_step)
            for alarm, said in _heard(alarms, state.log_history, _points(state)).items():
                if alarm in self.spoken:
                    continue
                self.spoken[alarm] = _at(state.global_step, said)
                if stop:
                    raised = f"{stage}: stopped by an alarm. {self.spoken[alarm]}"
                    raise StoppedError(raised, best=state.best_model_checkpoint)
                progress.note(f"{stage}: {self.spoken[alarm]}")

        def raised(self, state: Any) -> list[str]:
            """Every alarm that spoke, in the words of the end where it still stands then."""
            heard = _heard(alarms, state.log_history, _points(state))
            return list((self.spoken | heard).values())

        def close(self) -> None:
            self.ticks.close()

    return Watch()


def _fix_order(loader: Any, args: Any, epoch: int) -> None:
    """Let an epoch's order hang on its seed alone, not on a resume or on how many processes."""
    import torch

    batches = loader.batch_sampler
    batches = getattr(batches, "batch_sampler", batches)  # one of several processes' share
    sampler = batches.sampler
    # Grouping by length draws from the global random state, which is another one after
    # a resume: rows would come twice or never. So each epoch's order has its own seed.
    sampler.generator = torch.Generator().manual_seed(args.seed + epoch)
    # Several processes deal its order out among them, in parts of their steps: let it be
    # that of one process that takes its steps whole.
    parts = args.world_size * args.gradient_accumulation_steps
    sampler.batch_size = args.train_batch_size * parts


def _check_finite(stage: str, logs: dict[str, float], step: int) -> None:
    for name in ("loss", "grad_norm", "eval_loss"):
        value = logs.get(name, 0.0)
        if not math.isfinite(value):
            raise StoppedError(
                f"{stage}: {name} is {value} at step {step}, so the training has diverged.",
                "Lower the learning rate and start again.",
            )


def _spoken_before(alarms: Sequence[Alarm], state: Any) -> dict[Alarm, str]:
    """What each alarm said while the log grew to what it is."""
    spoken: dict[Alarm, str] = {}
    for end, entry in enumerate(state.log_history, start=1):
        heard = _heard(alarms, state.log_history[:end], _points(state))
        spoken = {alarm: _at(entry["step"], said) for alarm, said in heard.items()} | spoken
    return spoken


def _heard(alarms: Sequence[Alarm], history: list[dict[str, Any]], points: int) -> dict[Alarm, str]:
    curve = curve_of(history)
    return {alarm: said for alarm in alarms if (said := alarm(curve, points))}


def _points(state: Any) -> int:
    """How many the curve will have in the end."""
    return state.max_steps // state.logging_steps


def _at(step: int, said: str) -> str:
    return f"At step {step}: {said}"


def _ticks(progress: Progress, what: str, total: int) -> Generator[int]:
    yield from progress.track(range(total), what, total)


def curve_of(history: list[dict[str, Any]]) -> Curve:
    """The trainer's log, one point a step, without what only measures speed."""
    points: dict[int, dict[str, float]] = {}
    for entry in history:
        kept = {k: v for k, v in entry.items() if k.removeprefix("eval_") in _METRICS}
        if kept:
            points.setdefault(entry["step"], {"step": entry["step"]}).update(kept)
    return [points[step] for step in sorted(points)]
