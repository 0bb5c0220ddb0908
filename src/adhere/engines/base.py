"""The engine protocol, and the addresses that engines are chosen by."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from adhere.errors import SettingsError
from adhere.progress import Progress
from adhere.records import Completion, Request, Score, ScoreRequest


class Engine(Protocol):
    """Answers requests. Replies come in any order and are joined by id.

    Batching, concurrency, retries and back-pressure live inside the engine. A
    request that fails comes back with `error` set, and `refused` where the failure
    lies in the request; only what makes all work impossible (no model, no server)
    raises EngineError, and does so before work starts, from `check`. A server that
    dies later raises UnreachableError, after all that was answered.
    """

    @property
    def name(self) -> str:
        """What the cache and every `Origin` know the model by."""
        ...

    def check(self) -> None:
        """Raise EngineError now if the model or server cannot be used at all."""
        ...

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]: ...

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[Score]:
        """Log-likelihoods of given answers; EngineError where the engine has none to give."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...


def cut_at_stop(text: str, stop: Iterable[str]) -> tuple[str, bool]:
    """`text` up to the first of the `stop` strings, and whether there was one.

    Every engine cuts with this, since servers and libraries disagree on whether
    the stop string, or the token that holds it, belongs to the text.
    """
    found = [at for one in stop if one and (at := text.find(one)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def open_engine(address: str, progress: Progress | None = None) -> Engine:
    """The engine at `address`; nothing heavy is loaded before the first request.

    `openvino:NAME`, `transformers:NAME[+ADAPTER_FOLDER]`, `http://HOST:PORT/v1#MODEL`,
    `scripted:FILE`. Raises SettingsError for an address of no known kind.
    """
    kind, _, rest = address.partition(":")
    if kind in ("http", "https"):
        from adhere.engines.http import HttpEngine

        return HttpEngine(address)
    if kind == "openvino" and rest:
        from adhere.engines.openvino import OpenVINOEngine

        return OpenVINOEngine(rest, progress)
    if kind == "transformers" and rest:
        from adhere.engines.transformers import TransformersEngine

        name, _, adapter = rest.partition("+")
        return TransformersEngine(name, adapter or None, progress)
    if kind == "scripted" and rest:
        from adhere.engines.scripted import ScriptedEngine

        return ScriptedEngine.from_file(rest)
    raise SettingsError(
        f"'{address}' is no engine address; write openvino:NAME, transformers:NAME, "
        "http://HOST:PORT/v1#MODEL or scripted:FILE."
    )


def check_address(address: str) -> None:
    """Raise what `open_engine` and the engine's `check` would, as far as it shows on this machine.

    No server is asked, and nothing is fetched.
    """
    open_engine(address)
    kind, _, rest = address.partition(":")
    if kind == "openvino":
        from adhere.engines import openvino

        openvino.check_here(rest)
    if kind == "transformers":
        from adhere.engines import transformers

        name, _, adapter = rest.partition("+")
        transformers.check_here(name, Path(adapter) if adapter else None)
