"""The training libraries: imported, silent, and with their failures put into words."""

import importlib
import logging
import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from adhere.errors import EngineError, MissingExtraError


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
            for name in ("accelerate", "datasets", "peft", "torch", "transformers", "trl"):
                importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"Training needs the package '{error.name}'; pip install 'adhere[train]'."
            ) from error
        import torch

        _silence()
        try:
            with _logits_of_answers_only():
                yield
        except torch.OutOfMemoryError as error:
            raise EngineError(
                "The training ran out of memory; lower batch_size or max_length."
            ) from error


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
    and SmolLM2-135M trains 1.6 times as fast. The loss is the same: a test compares.
    """
    from trl.trainer import utils

    switch = "_use_triton"  # in this module it decides on the positions, and on nothing else
    original = getattr(utils, switch)

    def only_answers(device: object) -> bool:
        return True

    setattr(utils, switch, only_answers)
    try:
        yield
    finally:
        setattr(utils, switch, original)
