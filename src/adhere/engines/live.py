"""One model in memory with all its adapters, whose answers can be read as they are written.

The engines answer many requests at once for the stages; this one answers one person.
"""

from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from adhere.engines.base import cut_at_stop
from adhere.engines.likelihood import Tokens
from adhere.engines.transformers import Checkpoint, require_adapter, require_packages
from adhere.records import Completion, Request

if TYPE_CHECKING:
    import torch

BASE = "base"
"""The name of the model without an adapter."""


class LiveModel:
    """The checkpoint in `folder` with `adapters` by name, loaded once.

    The adapters take turns in the one model: it writes one answer at a time. Raises
    InputError where a folder holds no adapter, EngineError where the model cannot
    be loaded or an adapter does not fit it, MissingExtraError without the packages.
    """

    def __init__(self, folder: Path, adapters: Mapping[str, Path]) -> None:
        require_packages(adapter=bool(adapters))
        for adapter in adapters.values():
            require_adapter(adapter)
        self._checkpoint = Checkpoint(folder, adapters)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="adhere-live")  # so, in turn
        self.names = (BASE, *adapters)
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
                with self._checkpoint.under(None if name == BASE else name):
                    prompts = [(request, tokens)]
                    return self._checkpoint.generate(prompts, pieces, [_until(unwanted)])[0]
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
