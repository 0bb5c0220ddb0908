"""What a training left as one plain checkpoint: an adapter is merged in."""

import warnings
from pathlib import Path
from typing import Any

from adhere.engines.adapters import with_adapters


def load_trained(checkpoint: Path, adapter: Path | None) -> Any:
    """The checkpoint under the adapter, if there is one, in float32 on the CPU.

    Takes 4 bytes of memory a parameter. Raises EngineError where the adapter does not fit.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    return (with_adapters(model, {"default": adapter}) if adapter else model).eval()


def write_merged(trained: Any, checkpoint: Path, into: Path, base: str) -> None:
    """Merge, and write weights, config and tokenizer with its chat template to `into`.

    The sum is made in float32 and rounded once, to the type that the checkpoint's weights
    have on disk; what full tuning left has no adapter, and stays as it is. `trained` cannot
    be used afterwards. `base` is the name that the config gives the model that it comes from
    (it would else be a path of this machine).
    """
    from transformers import AutoConfig, AutoTokenizer

    kept: Any = AutoConfig.from_pretrained(checkpoint).dtype
    merged = _merged(trained) if hasattr(trained, "merge_and_unload") else trained
    merged = merged.to(kept) if kept else merged
    merged.config.name_or_path = base
    merged.save_pretrained(into)
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(into)


def _merged(adapted: Any) -> Any:
    with warnings.catch_warnings():  # peft 0.21 asks transformers 5.23 by an old name
        warnings.simplefilter("ignore", FutureWarning)
        return adapted.merge_and_unload(safe_merge=True)
