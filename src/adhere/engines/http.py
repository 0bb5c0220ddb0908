"""`http:`: any server that speaks OpenAI's API (vLLM, Ollama, llama.cpp, a cloud)."""

import asyncio
import difflib
import math
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from adhere.engines.base import cut_at_stop
from adhere.engines.wire import (
    ATTEMPTS,
    NO_SUCH_WAY,
    PassingError,
    RefusedError,
    Reply,
    Wire,
    headers,
    refusal,
)
from adhere.errors import EngineError, NoLikelihoodError, UnreachableError
from adhere.records import Completion, Request, Score, ScoreRequest

CONCURRENCY = 16
"""Requests on the wire at once: what a small server's batch holds."""

_CHECK_TIMEOUT = 5.0
_ENOUGH = 2
"""Failures in a row that make the engine ask whether the server is there; one proves nothing."""
_NO_SERVER = frozenset({502, 504})
"""What a gateway answers for a server that is not there."""
_FAULTY = frozenset({400, 413, 422})

Q = TypeVar("Q")
A = TypeVar("A", bound=Completion | Score)


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class _MisspelledError(RefusedError):
    """The tokens of an echo do not spell the text that was asked for."""


class HttpEngine:
    """The model after `#` in `address`, or the only one that is served.

    Requests that meet 429, 5xx, a timeout or a broken reply are tried again, after
    what Retry-After asks or a random, exponentially growing wait; meanwhile their
    place on the wire goes to others, so throughput does not fall with the errors.
    What fails to the end comes back as a value; where nothing goes well meanwhile and
    the server is not there any more, `complete` and `score` raise UnreachableError.
    `timeout` is in seconds a reply.
    """

    def __init__(
        self,
        address: str,
        *,
        concurrency: int = CONCURRENCY,
        timeout: float = 300.0,
        attempts: int = ATTEMPTS,
    ) -> None:
        base, _, self.model = address.partition("#")
        self.base = base.rstrip("/")
        self.concurrency = concurrency
        self.timeout = timeout
        self.attempts = attempts
        self._scored: set[bool] = set()
        """Of plain text (False) and of chats (True), those that it has given a likelihood of."""
        self._failures = 0
        """Requests in a row that failed to the end by no fault of their own."""

    @property
    def name(self) -> str:
        """The whole address; before `check` without the model where none was given."""
        return f"{self.base}#{self.model}" if self.model else self.base

    def check(self) -> None:
        """Raise EngineError when the server is out of reach or does not serve the model."""
        served = self._served()
        if not self.model:
            if len(served) != 1:
                raise EngineError(
                    f"{self.base} serves {_listed(served)}; add #NAME to the address."
                )
            self.model = served[0]
        elif self.model not in served:
            near = difflib.get_close_matches(self.model, served, n=1)
            hint = f"did you mean #{near[0]}?" if near else f"served: {_listed(served)}."
            raise EngineError(f"{self.base} does not serve '{self.model}'; {hint}")

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        if not self.model:
            self.check()
        yield from self._each(requests, self._completion)

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[Score]:
        """Needs a server that gives the log-probabilities of a given text, such as vLLM.

        Plain text goes to /completions with `echo`: a token counts as the answer's when its
        last character is. A chat goes to /chat/completions with vLLM's `continue_final_message`
        and `prompt_logprobs`. Raises NoLikelihoodError where the server does not give them
        (llama.cpp, Ollama and most clouds do not, and some only chat), or where the tokens of
        the echo do not spell the answer. Of a server that has given one, it is the single
        request that fails.
        """
        if not self.model:
            self.check()
        yield from self._each(requests, self._score)

    def close(self) -> None:
        """Connections last as long as one call of `complete` or `score`."""

    def _listing(self) -> httpx.Response:
        """What the server says of its models; raises UnreachableError where there is none."""
        try:
            response = httpx.get(f"{self.base}/models", headers=headers(), timeout=_CHECK_TIMEOUT)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(str(error) or type(error).__name__) from error
        if response.status_code in _NO_SERVER:
            raise self._unreachable(refusal(response))
        return response

    def _unreachable(self, why: str) -> UnreachableError:
        return UnreachableError(
            f"{self.base} cannot be reached ({why}); start the server or correct the address."
        )

    def _served(self) -> list[str]:
        response = self._listing()
        if not response.is_success:
            raise EngineError(f"{self.base}/models: {refusal(response)}.")
        try:
            return sorted(model.id for model in _Models.model_validate_json(response.content).data)
        except ValidationError as error:
            raise EngineError(
                f"{self.base}/models lists no models; is this an OpenAI-compatible server, and "
                "does the address end in /v1?"
            ) from error

    def _each(self, items: Iterable[Q], ask: Callable[[Wire, Q], Awaitable[A]]) -> Iterator[A]:
        """Ask for every item at once, as far as the wire allows; items are drawn lazily."""
        pending: set[Future[A]] = set()
        with _loop() as loop, self._wire(loop) as wire:
            for item in items:
                pending.add(asyncio.run_coroutine_threadsafe(_awaited(ask(wire, item)), loop))
                full = len(pending) >= 2 * self.concurrency
                done, pending = wait(pending, None if full else 0, FIRST_COMPLETED)
                yield from self._answers(done)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from self._answers(done)

    def _answers(self, done: Iterable[Future[A]]) -> Iterator[A]:
        """What is done; after it, UnreachableError where too much failed as the server is gone."""
        answers = [future.result() for future in done]
        yield from answers
        failed = [one for one in answers if one.error is not None and not one.refused]
        self._failures = self._failures + len(failed) if len(failed) == len(answers) else 0
        if self._failures >= _ENOUGH:
            self._failures = 0
            self._listing()

    def _wire(self, loop: asyncio.AbstractEventLoop) -> AbstractContextManager[Wire]:
        return Wire.opened(
            self.base,
            self.model,
            loop,
            concurrency=self.concurrency,
            timeout=self.timeout,
            attempts=self.attempts,
        )

    async def _completion(self, wire: Wire, request: Request) -> Completion:
        sampling = request.sampling
        body: dict[str, Any] = {
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        try:
            if isinstance(request.prompt, str):
                reply = await wire.post("/completions", {**body, "prompt": request.prompt})
                text = reply.choice.text
            else:
                messages = [{"role": m.role, "content": m.content} for m in request.prompt]
                reply = await wire.post("/chat/completions", {**body, "messages": messages})
                text = reply.choice.message.content
        except RefusedError as failure:
            return Completion(id=request.id, error=str(failure), refused=_lies_in_it(failure))
        if text is None:
            reason = reply.choice.finish_reason
            problem = f"the reply has no text (it ended by {reason})"
            return Completion(id=request.id, error=problem, refused=True)
        text, stopped = cut_at_stop(text, sampling.stop)
        return Completion(
            id=request.id,
            text=text,
            finish="length" if reply.choice.finish_reason == "length" and not stopped else "stop",
            prompt_tokens=reply.usage.prompt_tokens,
            completion_tokens=reply.usage.completion_tokens,
        )

    async def _score(self, wire: Wire, request: ScoreRequest) -> Score:
        if not request.answer:
            return Score(id=request.id, error="the answer is empty", refused=True)
        likelihood = self._chat_likelihood if request.chat else self._text_likelihood
        try:
            values = await likelihood(wire, request)
        except RefusedError as failure:
            if request.chat not in self._scored and _no_likelihoods_there(failure):
                raise self._no_likelihoods(request) from failure
            return Score(id=request.id, error=str(failure), refused=_lies_in_it(failure))
        if not math.isfinite(total := sum(values)):
            problem = f"the log-probabilities of the answer sum to {total}"
            return Score(id=request.id, error=problem)
        self._scored.add(request.chat)
        return Score(id=request.id, logprob=total, tokens=len(values))

    async def _text_likelihood(self, wire: Wire, request: ScoreRequest) -> list[float]:
        text = request.prefix + request.prompt + request.answer
        body = {"prompt": text, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0}
        return await wire.read(
            "/completions", body, lambda reply: self._echoed(reply, request, text)
        )

    def _echoed(self, reply: Reply, request: ScoreRequest, text: str) -> list[float]:
        given = reply.choice.logprobs
        count = reply.usage.prompt_tokens
        if given is None or not 1 < count <= len(given.token_logprobs):
            raise self._no_likelihoods(request)
        begin = _first_token(given.tokens[:count], text, request.answer)
        if begin is None:
            raise self._misspelled()
        if begin == 0 and given.token_logprobs[0] is None:
            begin = 1  # what follows nothing has none
        return self._values(request, given.token_logprobs[begin:count])

    async def _chat_likelihood(self, wire: Wire, request: ScoreRequest) -> list[float]:
        user = {"role": "user", "content": request.prefix + request.prompt}
        asked = await wire.post("/chat/completions", {"messages": [user], "max_tokens": 1})
        body = {
            "messages": [user, {"role": "assistant", "content": request.answer}],
            "add_generation_prompt": False,
            "continue_final_message": True,
            "prompt_logprobs": 1,
            "max_tokens": 1,
        }
        begin = asked.usage.prompt_tokens
        return await wire.read(
            "/chat/completions", body, lambda reply: self._continued(reply, request, begin)
        )

    def _continued(self, reply: Reply, request: ScoreRequest, begin: int) -> list[float]:
        given = reply.prompt_logprobs
        if given is None or not 0 < begin < len(given):
            raise self._no_likelihoods(request)
        # The first entry of a place is the token that stands there, others are the likeliest.
        first = [next(iter(place.values())).logprob if place else None for place in given[begin:]]
        return self._values(request, first)

    def _values(self, request: ScoreRequest, given: Sequence[float | None]) -> list[float]:
        """Raises `_no_likelihoods` where a token has none, which would count as certain."""
        values = [value for value in given if value is not None]
        if not values or len(values) < len(given):
            raise self._no_likelihoods(request)
        return values

    def _misspelled(self) -> Exception:
        """An odd token, such as a part of an emoji, of a server that otherwise spells well."""
        if False in self._scored:
            return _MisspelledError("the tokens of the reply do not spell the answer")
        return NoLikelihoodError(
            f"{self.base} spells a text's tokens otherwise than the text, as some versions of vLLM "
            "do, so that an answer's cannot be told from the prompt's; serve the model with a "
            "newer vLLM, or use openvino:NAME or transformers:NAME for scoring."
        )

    def _no_likelihoods(self, request: ScoreRequest) -> Exception:
        """What is asked for again of a server that otherwise gives them."""
        if request.chat in self._scored:
            return PassingError("the reply gives no log-probabilities of the answer")
        return NoLikelihoodError(
            f"{self.base} gives no log-probabilities of a given text (`echo` with `logprobs`, "
            "`prompt_logprobs`); serve the model with vLLM, or use openvino:NAME or "
            "transformers:NAME for scoring."
        )


@contextmanager
def _loop() -> Generator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="adhere-http", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _awaited(awaitable: Awaitable[A]) -> A:
    return await awaitable


def _first_token(tokens: Sequence[str], text: str, answer: str) -> int | None:
    """The place of the first token of `answer`, with which `text` ends.

    Measured from the end, since the tokens may begin with a BOS that the text does not have.
    None where they do not spell the text's end: decoded one by one, some lose their space.
    """
    begin, spelled = len(tokens), ""
    while begin and len(spelled) < len(answer):
        begin -= 1
        spelled = tokens[begin] + spelled
    while begin and not tokens[begin - 1]:  # a character of several tokens stands in the last
        begin -= 1
    return begin if len(spelled) >= len(answer) and text.endswith(spelled) else None


def _lies_in_it(failure: RefusedError) -> bool:
    """Whether it is in this request: too long, not of the template, with tokens that are odd."""
    return isinstance(failure, _MisspelledError) or failure.status in _FAULTY


def _no_likelihoods_there(failure: RefusedError) -> bool:
    """Whether the server has no such path, or refuses what likelihoods are asked by."""
    said = str(failure)
    return failure.status in NO_SUCH_WAY or "echo" in said or "logprobs" in said


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "no model"
