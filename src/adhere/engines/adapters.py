"""PEFT adapters laid over a model: whole, or not at all."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adhere.errors import EngineError, InputError


def require_adapter(folder: Path) -> Path:
    """The file of its weights; InputError where the folder holds no whole adapter."""
    if not (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{folder}: no adapter_config.json; give the folder that training wrote "
            "(adapter_config.json and adapter_model.safetensors)."
        )
    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():
        raise InputError(f"{weights}: not there; train again, or give a whole adapter.")
    return weights


def with_adapters(model: Any, adapters: Mapping[str, Path]) -> Any:
    """`model` under the first adapter, the others loaded beside it.

    EngineError where a tensor of an adapter finds no place in the model.
    """
    from peft import PeftConfig, PeftModel

    first, folder = next(iter(adapters.items()))
    with warnings.catch_warnings():  # peft 0.21 asks transformers 5.23 by an old name
        warnings.simplefilter("ignore", FutureWarning)
        adapted = PeftModel(model, PeftConfig.from_pretrained(str(folder)), first)
    for name, place in adapters.items():
        _load(adapted, name, place)
    return adapted


def _load(adapted: Any, name: str, folder: Path) -> None:
    from safetensors import SafetensorError

    try:
        loaded = adapted.load_adapter(str(folder), name)
    except SafetensorError as error:
        raise EngineError(
            f"{folder}: the adapter's file is damaged ({error}); train it again."
        ) from error
    except RuntimeError as error:
        raise EngineError(
            f"{folder}: the adapter was trained on another model: {str(error).splitlines()[-1]}."
        ) from error
    # peft 0.21 also counts the tensors of adapters whose name contains this one's.
    missing = [key for key in loaded.missing_keys if f".{name}." in key]
    strange = [*missing, *loaded.unexpected_keys]
    if strange:
        raise EngineError(
            f"{folder}: the adapter does not fit this model: {len(strange)} tensors without a "
            f"counterpart, such as {strange[0]}."
        )
