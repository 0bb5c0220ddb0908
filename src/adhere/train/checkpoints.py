"""Checkpoints of a training: which is whole, which is the last good one."""

import json
import shutil
from pathlib import Path

LAST_GOOD = "last-good"
"""Folder of the last good checkpoint of a training that was stopped."""


def last_checkpoint(checkpoints: Path, key: str) -> Path | None:
    """The newest whole checkpoint of the work of this `key`; those of other work are removed."""
    stamp = checkpoints / "key"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != key:
        shutil.rmtree(checkpoints, ignore_errors=True)
        checkpoints.mkdir(parents=True)
        stamp.write_text(key, encoding="utf-8")
    return max(_whole_checkpoints(checkpoints), key=step_of, default=None)


def keep_last_good(folder: Path, best: Path | None = None) -> str:
    """Put the best checkpoint, if one is named, or else the newest one aside; say where.

    One with broken weights is passed over. The others may hold what has broken, and are removed.
    """
    checkpoints = folder / "checkpoints"
    good = [path for path in _whole_checkpoints(checkpoints) if _is_finite(path)]
    kept = "No checkpoint was saved before that."
    if good:
        chosen = max(good, key=lambda path: (path == best, step_of(path)))
        chosen.replace(folder / LAST_GOOD)
        kept = f"What it was at step {step_of(chosen)} is kept in {folder / LAST_GOOD}."
    shutil.rmtree(checkpoints)
    return kept


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _whole_checkpoints(checkpoints: Path) -> list[Path]:
    return [path for path in checkpoints.glob("checkpoint-*") if _is_whole(path)]


def _is_whole(checkpoint: Path) -> bool:
    """The trainer writes its state last: a checkpoint cut short has none that can be read."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, ValueError):
        return False
    return True


def _is_finite(checkpoint: Path) -> bool:
    import torch
    from safetensors.torch import load_file

    weights = [load_file(path) for path in checkpoint.glob("*.safetensors")]
    tensors = [tensor for part in weights for tensor in part.values()]
    return bool(tensors) and all(torch.isfinite(tensor).all() for tensor in tensors)
