"""The training libraries: imported, silent, and with their failures put into words."""

import ctypes
import importlib
import logging
import os
import platform
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adhere.errors import EngineError, MissingExtraError

LIBRARIES = ("accelerate", "datasets", "peft", "torch", "transformers", "trl")
_UNWRITTEN = ("inline_container.cc", "PytorchStreamWriter failed")
"""By these a RuntimeError of `torch.save` is told that could not write (torch 2.13)."""
_TILE = 4096
"""Tokens of the vocabulary whose logits are taken at a time; TRL takes 32768."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt (malloc.h): what is kept, and what comes from the kernel each time."""
_LARGEST_MMAP_THRESHOLD = 32 << 20
"""Bytes; of itself glibc goes up to here, and with the other to twice that (mallopt(3))."""


def missing_library(name: str) -> MissingExtraError:
    return MissingExtraError(f"Training needs the package '{name}'; pip install 'adhere[train]'.")


@contextmanager
def training_libraries() -> Generator[None]:
    """In this block the libraries can be imported, and their failures are AdhereErrors.

    Their warnings are for those who call them; what matters to adhere's user is
    checked by adhere and said in its own words.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name in LIBRARIES:
                importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise missing_library(str(error.name)) from error
        import torch
        from safetensors import SafetensorError

        _silence()
        try:
            with _logits_of_answers_only(), _freed_memory_kept():
                yield
        except torch.OutOfMemoryError as error:
            raise EngineError(
                "The training ran out of memory; lower micro_batch_size or max_length."
            ) from error
        except SafetensorError as error:
            raise EngineError(
                f"Weights could not be read or written: {error}. Is the disk full, or was an "
                "adapter that the training goes on from cut short? Free some space, or train that "
                "one again (--again); then the same command goes on."
            ) from error
        except RuntimeError as error:
            if not any(sign in str(error) for sign in _UNWRITTEN):
                raise
            raise EngineError(
                f"A checkpoint could not be written: {str(error).splitlines()[0]}. Is the disk "
                "full? Free some space; then the same command goes on."
            ) from error


@contextmanager
def tracked(folder: Path, stage: str) -> Generator[None]:
    """In this block a trainer's logs for TensorBoard go beside the stage's folder.

    Not into it, since what is in it is hashed. The variable is read where a trainer is built.
    """
    name = "TENSORBOARD_LOGGING_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(folder.parent / "tracking" / stage)
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _silence() -> None:
    import datasets
    import huggingface_hub.constants as hub
    import transformers

    hub.HF_HUB_DISABLE_TELEMETRY = True  # the environment is read once, maybe before us
    os.environ["TQDM_DISABLE"] = "1"
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in ("accelerate", "datasets", "peft", "trl"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def _logits_of_answers_only() -> Generator[None]:
    """Let TRL compute logits only where there is something to learn, on a CPU as on a GPU.

    Without Triton, TRL 1.16 projects prompts and padding onto the vocabulary too,
    for the sake of accelerators that compile every new shape anew. A CPU does not,
    and SmolLM2-135M trains 1.6 times as fast. On a CPU the logits are also taken in tiles
    that its cache holds: for 350 tokens of answers they and their gradients took 0.34 s of
    one core, and 0.53 s in TRL's tiles. The loss is the same: a test compares.
    """
    import torch
    from trl.trainer import utils

    def only_answers(device: object) -> bool:
        return True

    # In this module the first decides on the positions, and on nothing else.
    ours: dict[str, Any] = {"_use_triton": only_answers}
    if not torch.cuda.is_available():
        ours["_CHUNKED_LOGPROB_CHUNK_SIZE"] = _TILE
    theirs = {name: getattr(utils, name) for name in ours}
    _set(utils, ours)
    try:
        yield
    finally:
        _set(utils, theirs)


def _set(module: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(module, name, value)


@contextmanager
def _freed_memory_kept() -> Generator[None]:
    """On a CPU, let glibc keep what a step frees for the next step, which takes it again.

    Otherwise a step's activations go back to the kernel, which clears their pages anew:
    1.0 million page faults in three steps of SmolLM2-135M (8 rows of 113 tokens), and
    0.4 million with them kept.

    mallopt(3) has no way back: once told a bound, glibc no longer finds its bounds itself.
    So it is left with the largest that it would have found, and what is free is given back.
    """
    import torch

    if torch.cuda.is_available() or platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    libc.mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)
        libc.malloc_trim(0)
