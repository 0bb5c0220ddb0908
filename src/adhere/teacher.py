"""The model that writes data: an engine, its prompts, and the progress it reports to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from adhere.engines.base import Engine
from adhere.progress import Progress
from adhere.prompts import Prompts
from adhere.records import Completion, Origin, Request

K = TypeVar("K")


def ask(
    engine: Engine, requests: Mapping[K, Request], what: str, progress: Progress
) -> dict[K, Completion]:
    """The completion of each request, under the request's key.

    Equal requests are sent once. A request that the engine never answers comes
    back with `error` set, like one that failed.
    """
    unique = {request.id: request for request in requests.values()}
    replies = progress.track(engine.complete(unique.values()), what, len(unique))
    found = {reply.id: reply for reply in replies}
    return {
        key: found.get(request.id, Completion(id=request.id, error="the engine did not reply"))
        for key, request in requests.items()
    }


@dataclass(frozen=True, slots=True)
class Teacher:
    engine: Engine
    prompts: Prompts
    progress: Progress

    def ask(self, requests: Mapping[K, Request], what: str) -> dict[K, Completion]:
        """As the function of the same name, of this engine."""
        return ask(self.engine, requests, what, self.progress)

    def origin(self, prompt: str, request: Request, *parents: str, language: str = "") -> Origin:
        """Where a row comes from that `request`, made of `prompt`, brought."""
        return Origin(
            parents=parents,
            prompt=self.prompts.styled_tag(prompt, language),
            model=self.engine.name,
            temperature=request.sampling.temperature,
            seed=request.sampling.seed,
        )
