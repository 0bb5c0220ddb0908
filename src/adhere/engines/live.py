"""A run's models, whose answers can be read as they are written.

The engines answer many requests at once for the stages; this one answers one person.
"""

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from adhere.engines.adapters import require_adapter
from adhere.engines.base import cut_at_stop
from adhere.engines.likelihood import Tokens
from adhere.engines.transformers import Checkpoint, require_packages
from adhere.records import Completion, Request

if TYPE_CHECKING:
    import torch

BASE = "base"
"""The name of the model that nothing has trained."""


class LiveModel:
    """Models by name: each a checkpoint's folder, and the adapter to lay over it, if any.

    A checkpoint is in memory once, and its adapters take turns in it: one answer is written
    at a time. That of the first model is loaded now, another (full tuning leaves them) when
    it is first asked. All must read text alike, as what was trained from one student does.
    Raises InputError where a folder holds no adapter, EngineError where the first model cannot
    be loaded or an adapter does not fit it, MissingExtraError without the packages.
    """

    def __init__(self, models: Mapping[str, tuple[Path, Path | None]]) -> None:
        adapters = [adapter for _, adapter in models.values() if adapter]
        require_packages(adapter=bool(adapters))
        for adapter in adapters:
            require_adapter(adapter)
        self._models = models
        self._loaded: dict[Path, Checkpoint] = {}
        self.names = tuple(models)
        self._checkpoint = self._opened(self.names[0])
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="adhere-live")  # so, in turn
        self.context = self._checkpoint.context
        """Tokens of prompt and answer together."""

    def room(self, request: Request) -> int:
        """Tokens that the prompt leaves for an answer; below 1 there can be none."""
        return self.context - len(self._checkpoint.prompt_tokens(request))

    def reply(self, name: str, request: Request) -> Generator[Completion]:
        """The answer as far as it is written, again and again; the last one is the whole.

        Each text begins with the one before it. Needs `room` for one token. Closing
        the generator stops the model.
        """
        tokens = self._checkpoint.prompt_tokens(request)
        text, stopped = "", False
        with self._writing(name, request, tokens) as (pieces, written):
            for piece in pieces:
                text, stopped = cut_at_stop(text + piece, request.sampling.stop)
                if stopped:
                    break
                yield Completion(
                    id=request.id, text=_settled(text, request.sampling.stop), finish="length"
                )
            whole = written.result()
        # The text as it was shown: decoding the whole at once may differ by a space.
        yield replace(whole, text=text, finish="stop" if stopped else whole.finish)

    def _opened(self, name: str) -> Checkpoint:
        """The model's checkpoint under all its adapters."""
        folder = self._models[name][0]
        if folder not in self._loaded:
            adapters = {
                one: adapter
                for one, (place, adapter) in self._models.items()
                if adapter and place == folder
            }
            self._loaded[folder] = Checkpoint(folder, adapters)
        return self._loaded[folder]

    @contextmanager
    def _writing(
        self, name: str, request: Request, tokens: Tokens
    ) -> "Generator[tuple[Any, Future[Completion]]]":
        """The pieces of text as they come, and the whole; the model stops at the end."""
        from transformers import TextIteratorStreamer

        pieces = TextIteratorStreamer(
            self._checkpoint.tokenizer, skip_prompt=True, skip_special_tokens=True
        )
        unwanted = Event()

        def write() -> Completion:
            try:
                checkpoint = self._opened(name)
                with checkpoint.under(name if self._models[name][1] else None):
                    prompts = [(request, tokens)]
                    return checkpoint.generate(prompts, pieces, [_until(unwanted)])[0]
            except BaseException:
                pieces.end()  # else the reader waits for ever
                raise

        written = self._writer.submit(write)
        try:
            yield pieces, written
        finally:
            unwanted.set()


def _until(event: Event) -> "Callable[..., torch.Tensor]":
    """A stopping criterion."""
    import torch

    def ended(input_ids: "torch.Tensor", scores: "torch.Tensor", **_: Any) -> "torch.Tensor":
        return torch.full((len(input_ids),), event.is_set(), device=input_ids.device)

    return ended


def _settled(text: str, stop: tuple[str, ...]) -> str:
    """`text` without an end that may become one of the `stop` strings."""
    open_ends = [
        length for one in stop for length in range(1, len(one)) if text.endswith(one[:length])
    ]
    return text[: len(text) - max(open_ends, default=0)]
