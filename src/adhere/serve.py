"""`adhere serve`: the base and the aligned models of a run behind OpenAI's HTTP interface.

For trying a run out with any client that speaks to OpenAI; one answer is written at
a time. What a request asks for is done or refused in words, never ignored.
"""

import json
import random
import socket
import time
import uuid
from asyncio import Lock
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adhere.bench import Bench
from adhere.engines.live import BASE, LiveModel
from adhere.errors import AdhereError, InputError, MissingExtraError
from adhere.progress import ConsoleProgress
from adhere.records import Completion, Message, Request, Sampling
from adhere.settings import RunSettings

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

A = TypeVar("A", "_ChatAsked", "_TextAsked")

MAX_TOKENS = 256
"""Longest answer where the request names no limit; small models run on to their context's end."""

_SHUTDOWN = 5
"""Seconds that a client is given at the end to take what is on its way."""
_Zero = Annotated[float, Field(ge=0, le=0)]


def serve(run: Path, settings: RunSettings, host: str, port: int) -> None:
    """Serve the run's models until Ctrl-C; port 0 takes any that is free.

    Raises InputError where the run has trained nothing yet or the address cannot be
    used, MissingExtraError without the packages.
    """
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"Serving needs {missing[0]}; pip install 'adhere[serve]'.")
    bench = Bench(run, settings, ConsoleProgress())
    if not bench.finished:
        raise InputError(f"{run}: nothing is trained yet; run `adhere run {run}` first.")
    with listening(host, port) as listener:
        stages = {BASE: None, **bench.finished}
        live = LiveModel({name: bench.trained(stage) for name, stage in stages.items()})
        place = "http://{}:{}/v1".format(*listener.getsockname())
        bench.progress.note(f"Serving {', '.join(live.names)} at {place}; Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):  # this is how it ends
            server(live).run(sockets=[listener])


def listening(host: str, port: int) -> socket.socket:
    """Bound before the model is loaded, so that a port in use is known at once."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # just after another ended
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise InputError(
            f"{host}:{port}: {error.strerror}; choose another with --port (0 takes any that is "
            "free) or --host."
        ) from error
    return listener


def server(live: LiveModel) -> "uvicorn.Server":
    """The server of `live`; when it ends, so do the answers in the making."""
    import uvicorn

    app = application(live, lambda: made.should_exit)
    made = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_SHUTDOWN)
    )
    return made


class _RefusalError(Exception):
    """What the client is told, in OpenAI's terms."""

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        said = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": said}


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _StreamOptions(_Closed):
    include_usage: bool = False


class _Asked(_Closed):
    """What both kinds of request may hold."""

    model: str
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Greedy where none is given, as in the evaluation."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: str | tuple[str, ...] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Literal[1] | None = None
    presence_penalty: _Zero | None = None
    frequency_penalty: _Zero | None = None
    user: str | None = None
    """Says who asks, and changes no answer."""

    def sampling(self) -> Sampling:
        return Sampling(
            max_tokens=self.max_tokens or MAX_TOKENS,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=random.getrandbits(32) if self.seed is None else self.seed,
            stop=(self.stop,) if isinstance(self.stop, str) else self.stop or (),
        )


class _Part(_Closed):
    type: Literal["text"]
    text: str


class _Said(_Closed):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[_Part, ...]
    name: str | None = None

    def message(self) -> Message:
        text = self.content
        if not isinstance(text, str):
            text = "".join(part.text for part in text)
        return Message(role="system" if self.role == "developer" else self.role, content=text)


class _ChatAsked(_Asked):
    messages: Annotated[tuple[_Said, ...], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """The newer name of `max_tokens`."""

    def request(self) -> Request:
        prompt = tuple(said.message() for said in self.messages)
        sampling = self.sampling()
        if self.max_completion_tokens:
            sampling = replace(sampling, max_tokens=self.max_completion_tokens)
        return Request(id=f"chatcmpl-{uuid.uuid4().hex}", prompt=prompt, sampling=sampling)

    def whole(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}

    def part(self, text: str) -> dict[str, Any]:
        return {"delta": {"role": "assistant", "content": text}}

    @property
    def kind(self) -> str:
        return "chat.completion.chunk" if self.stream else "chat.completion"


class _TextAsked(_Asked):
    prompt: str

    def request(self) -> Request:
        return Request(id=f"cmpl-{uuid.uuid4().hex}", prompt=self.prompt, sampling=self.sampling())

    def whole(self, text: str) -> dict[str, Any]:
        return {"text": text}

    part = whole

    @property
    def kind(self) -> str:
        return "text_completion"


async def _parsed(http: "HttpRequest", kind: type[A]) -> A:
    body = await http.body()
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = ", ".join(kind.model_fields)
            message = f"{place}: not supported here; supported are: {known}."
        else:
            message = f"{place or 'request'}: {problem['msg']}."
        raise _RefusalError(message, param=place or None) from error


@dataclass(frozen=True)
class _Endpoint:
    """What answers the requests; `turn` is held by the answer that is being written."""

    live: LiveModel
    ending: Callable[[], bool]
    turn: Lock
    started: int

    def card(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self.started, "owned_by": "adhere"}

    async def models(self, http: "HttpRequest") -> "Response":
        cards = [self.card(name) for name in self.live.names]
        return _json({"object": "list", "data": cards})

    async def model(self, http: "HttpRequest") -> "Response":
        name = http.path_params["name"]
        self._known(name)
        return _json(self.card(name))

    async def chat(self, http: "HttpRequest") -> "Response":
        return await self._answer(http, await _parsed(http, _ChatAsked))

    async def text(self, http: "HttpRequest") -> "Response":
        return await self._answer(http, await _parsed(http, _TextAsked))

    def _known(self, name: str) -> None:
        if name not in self.live.names:
            raise _RefusalError(
                f"No model '{name}' here; there are: {', '.join(self.live.names)}.",
                status=404,
                param="model",
                code="model_not_found",
            )

    async def _answer(self, http: "HttpRequest", asked: _ChatAsked | _TextAsked) -> "Response":
        from starlette.responses import StreamingResponse

        self._known(asked.model)
        request = asked.request()
        if self.live.room(request) < 1:
            raise _RefusalError(
                f"The prompt does not fit the model's context of {self.live.context} tokens.",
                code="context_length_exceeded",
            )
        if asked.stream:
            events = self._events(asked, request)
            return StreamingResponse(events, media_type="text/event-stream")
        async with aclosing(self._replies(asked.model, request)) as replies:
            last = Completion(id=request.id)
            async for so_far in replies:
                last = so_far
                if await http.is_disconnected():
                    break
        choice = _choice(asked.whole(last.text), last.finish)
        return _json(self._head(asked, request) | {"choices": [choice], "usage": _usage(last)})

    async def _replies(self, model: str, request: Request) -> AsyncGenerator[Completion]:
        from anyio import CancelScope
        from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

        async with self.turn:
            writing = self.live.reply(model, request)
            try:
                async for so_far in iterate_in_threadpool(writing):
                    yield so_far
                    if self.ending():
                        break
            finally:
                with CancelScope(shield=True):  # the client may have gone
                    await run_in_threadpool(writing.close)

    async def _events(
        self, asked: _ChatAsked | _TextAsked, request: Request
    ) -> AsyncGenerator[str]:
        """Server-sent events: one for each new piece of text, the last with the reason to end."""
        head = self._head(asked, request)
        last = Completion(id=request.id)
        try:
            async with aclosing(self._replies(asked.model, request)) as replies:
                async for so_far in replies:
                    new = so_far.text[len(last.text) :]
                    last = so_far
                    if new:
                        yield _event(head | {"choices": [_choice(asked.part(new), None)]})
        except Exception as error:  # the status has been sent: only an event can say it
            yield _event(_RefusalError(f"The model failed: {error}", status=500).body())
            raise
        yield _event(head | {"choices": [_choice(asked.part(""), last.finish)]})
        if asked.stream_options and asked.stream_options.include_usage:
            yield _event(head | {"choices": [], "usage": _usage(last)})
        yield "data: [DONE]\n\n"

    def _head(self, asked: _ChatAsked | _TextAsked, request: Request) -> dict[str, Any]:
        return {
            "id": request.id,
            "object": asked.kind,
            "created": int(time.time()),
            "model": asked.model,
        }


def _choice(said: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, **said, "finish_reason": finish, "logprobs": None}


def _usage(completion: Completion) -> dict[str, int]:
    read, written = completion.prompt_tokens, completion.completion_tokens
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _json(data: dict[str, Any], status: int = 200) -> "Response":
    from starlette.responses import JSONResponse

    return JSONResponse(data, status)


def application(live: LiveModel, ending: Callable[[], bool]) -> "Starlette":
    """The ASGI application that serves `live`; answers are cut short once `ending` is true."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    async def refused(http: "HttpRequest", error: Exception) -> "Response":
        return _json(_as_refusal(error).body(), _as_refusal(error).status)

    endpoint = _Endpoint(live, ending, Lock(), int(time.time()))
    return Starlette(
        routes=[
            Route("/v1/models", endpoint.models),
            Route("/v1/models/{name}", endpoint.model),
            Route("/v1/chat/completions", endpoint.chat, methods=["POST"]),
            Route("/v1/completions", endpoint.text, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys(
            (_RefusalError, AdhereError, HTTPException, Exception), refused
        ),
    )


def _as_refusal(error: Exception) -> _RefusalError:
    from starlette.exceptions import HTTPException

    if isinstance(error, _RefusalError):
        return error
    if isinstance(error, HTTPException):
        paths = "/v1/models, /v1/chat/completions, /v1/completions"
        return _RefusalError(f"{error.detail}; there are: {paths}.", status=error.status_code)
    if isinstance(error, AdhereError):
        return _RefusalError(str(error))
    return _RefusalError(f"The model failed: {error}", status=500)
