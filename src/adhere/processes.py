"""The processes of one training: `accelerate launch` starts the same command several times.

The first process decides, writes and speaks; the others compute beside it, and what they
write goes to a folder that nobody keeps. What stops one of them before it trains stops
all, and is said once. A process that fails in the midst of training is ended alone; the
launcher then ends the others of its machine.
"""

import atexit
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, TypeVar

from adhere.errors import AdhereError

T = TypeVar("T")

PATIENCE = timedelta(hours=2)
"""How long processes wait for one another, as while the first one fetches weights. The bound is
ours; libraries' half an hour is short for a large model on a slow line."""


def process_count() -> int:
    """How many work together, on all machines; 1 unless a launcher started this one."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def count_here() -> int:
    """How many of them share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if process_count() > 1 else 1


def is_first() -> bool:
    """Whether this process is the one that decides, writes and speaks."""
    return process_count() == 1 or os.environ.get("RANK") == "0"


def is_sharded() -> bool:
    """Whether a model's weights are spread over the processes (FSDP), not held by each."""
    return process_count() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def place() -> str:
    """What a process other than the first puts before what it has to say."""
    return "" if is_first() else _named(int(os.environ["RANK"]))


def from_first(make: Callable[[], T]) -> T:
    """What the first process makes, in every process; the others wait for it.

    Where it raises an AdhereError, the first process raises it, and the others leave
    without a word.
    """
    if process_count() == 1:
        return make()
    said: list[Any] = [_attempt(make) if is_first() else None]
    _group().broadcast_object_list(said, src=0)
    if isinstance(said[0], AdhereError):
        _stop(said[0])
    return said[0]


def in_all(make: Callable[[], T]) -> T:
    """What each process makes for itself, once all of them have it.

    An AdhereError in any of them is raised by the first process, and the others leave
    without a word. `make` must not wait for other processes.
    """
    if process_count() == 1:
        return make()
    made = _attempt(make)
    found: list[Any] = [None] * process_count()
    _group().all_gather_object(found, made if isinstance(made, AdhereError) else None)
    failed = [(rank, error) for rank, error in enumerate(found) if error]
    if failed:
        rank, error = failed[0]
        _stop(type(error)(_named(rank) + str(error)) if rank else error)
    assert not isinstance(made, AdhereError)
    return made


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if process_count() > 1:
        _group().barrier()


@contextmanager
def unkept_folder() -> Generator[Path]:
    """A folder that is gone after the block."""
    with TemporaryDirectory(prefix="adhere-") as name:
        yield Path(name)


def _named(rank: int) -> str:
    return f"process {rank + 1} of {process_count()}: "


def _attempt(make: Callable[[], T]) -> T | AdhereError:
    try:
        return make()
    except AdhereError as error:
        return error


def _stop(error: AdhereError) -> NoReturn:
    """Raise it in the first process. The launcher ends all when one has gone, so it goes first."""
    if is_first():
        atexit.register(wait_for_all)
        raise error
    wait_for_all()
    raise SystemExit(error.exit_code)


def _group() -> Any:
    """`torch.distributed`, with all processes of the launch in it."""
    import torch
    from accelerate import PartialState

    if not torch.distributed.is_initialized():
        PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    return torch.distributed
