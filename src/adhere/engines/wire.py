"""The wire of the `http:` engine: one request after another, tried again where that may help."""

import asyncio
import os
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, Field, ValidationError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from adhere.errors import EngineError

KEY_VARIABLE = "ADHERE_API_KEY"
"""The environment variable that the key is read from; the key itself is kept nowhere."""
ATTEMPTS = 10
"""Tries of one request; with the waits between them, one to two minutes."""
LONGEST_WAIT = 60.0
"""Seconds; a server that asks for more is asked again after this."""
NO_SUCH_WAY = frozenset({404, 405, 501})
"""Statuses of a server that has no such path, or no such way of asking."""

A = TypeVar("A")

_PASSING = frozenset({408, 409, 425, 429})
_backoff = wait_random_exponential(multiplier=0.5, max=30)


class _Message(BaseModel):
    content: str | None = None


class _LogProbs(BaseModel):
    tokens: list[str] = []
    token_logprobs: list[float | None] = []


class _Choice(BaseModel):
    text: str | None = None
    message: _Message = _Message()
    finish_reason: str | None = None
    logprobs: _LogProbs | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _LogProb(BaseModel):
    logprob: float


class Reply(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage = _Usage()
    prompt_logprobs: list[dict[str, _LogProb] | None] | None = None

    @property
    def choice(self) -> _Choice:
        return self.choices[0]


class RefusedError(Exception):
    """The server refuses this request, and would again; `status` is its HTTP status, if any."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class PassingError(RefusedError):
    """This may go well later; `after` is what the server asks to wait, in seconds."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True, slots=True)
class Wire:
    """The connections of one call; all its methods run in the loop's thread."""

    client: httpx.AsyncClient
    slots: asyncio.Semaphore
    model: str
    attempts: int

    @classmethod
    @contextmanager
    def opened(
        cls,
        base: str,
        model: str,
        loop: asyncio.AbstractEventLoop,
        *,
        concurrency: int,
        timeout: float,
        attempts: int,
    ) -> "Generator[Wire]":
        """`concurrency` requests at once; `timeout` in seconds a reply, `attempts` a request."""
        client = httpx.AsyncClient(
            base_url=base,
            headers=headers(),
            timeout=httpx.Timeout(timeout, connect=10, pool=None),
            limits=httpx.Limits(max_connections=concurrency),
        )
        try:
            yield cls(client, asyncio.Semaphore(concurrency), model, attempts)
        finally:
            asyncio.run_coroutine_threadsafe(_wound_up(client), loop).result()

    async def post(self, path: str, body: dict[str, Any]) -> Reply:
        """Raises RefusedError when the server refuses, or when no try went well."""
        return await self.read(path, body, lambda reply: reply)

    async def read(self, path: str, body: dict[str, Any], reader: Callable[[Reply], A]) -> A:
        """What `reader` makes of the reply; asked again as well where it raises PassingError."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(PassingError),
            stop=stop_after_attempt(self.attempts),
            wait=_pause,
            reraise=True,
        )

        async def once() -> A:
            return reader(await self._post_once(path, {"model": self.model, **body}))

        return await retrying(once)

    async def _post_once(self, path: str, body: dict[str, Any]) -> Reply:
        try:
            async with self.slots:
                response = await self.client.post(path, json=body)
        except httpx.RequestError as error:
            raise PassingError(f"{type(error).__name__} {error}".strip()) from error
        status = response.status_code
        if status in _PASSING or (status >= 500 and status not in NO_SUCH_WAY):
            raise PassingError(refusal(response), _retry_after(response))
        if not response.is_success:
            raise RefusedError(refusal(response), status)
        try:
            return Reply.model_validate_json(response.content)
        except ValidationError as error:
            raise PassingError(
                f"the reply is not of OpenAI's form: {response.text[:80]!r}"
            ) from error


async def _wound_up(client: httpx.AsyncClient) -> None:
    """Cancel what is still asked, and close the connections."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await client.aclose()


def _pause(state: RetryCallState) -> float:
    """What the server asks for, up to LONGEST_WAIT, else random and growing; in seconds."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.after if isinstance(error, PassingError) else None
    if asked is None:
        return _backoff(state)
    return min(max(asked, 0.0), LONGEST_WAIT) + random.uniform(0, 0.5)


def _retry_after(response: httpx.Response) -> float | None:
    """Retry-After in seconds, given as a number or as a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "")
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


def headers() -> dict[str, str]:
    """Raises EngineError, which does not show the key, for one that no header can hold."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise EngineError(
            f"{KEY_VARIABLE} holds a character that no key has, such as a curly quote or a line "
            "break; copy the key anew."
        )
    return {"Authorization": f"Bearer {key}"} if key else {}


def refusal(response: httpx.Response) -> str:
    """The status and what the server says of it, in one line."""
    if response.status_code in (401, 403):
        return f"HTTP {response.status_code}: the key is missing or wrong; set {KEY_VARIABLE}"
    said = " ".join(response.text.split())[:300]
    return f"HTTP {response.status_code}: {said}" if said else f"HTTP {response.status_code}"
