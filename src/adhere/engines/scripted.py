"""`scripted:`: an engine without a model, for tests, journeys and dry runs.

A script is a list of rules; the first whose pattern is found in the prompt gives
the reply. It behaves like a real engine in everything else: stop strings, token
limits, errors as values, replies that depend on the seed.
"""

import json
import math
import re
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from adhere.engines.base import cut_at_stop
from adhere.errors import InputError
from adhere.records import Completion, Request, Score, ScoreRequest
from adhere.store import content_key

ERROR = "error:"
"""A reply that begins with this is a failure; the rest is its message."""
REFUSED = "refused:"
"""A reply that begins with this is a failure that lies in the request."""

_TOKEN = re.compile(r"\s*\S+|\s+")
_WORD = re.compile(r"\w+")
_SEEN, _UNSEEN = math.log(0.2), math.log(0.01)


def _compiled(pattern: object) -> re.Pattern[str]:
    try:
        return re.compile(str(pattern), re.MULTILINE | re.DOTALL)
    except re.error as error:
        raise ValueError(f"'{pattern}' is no regular expression: {error}") from error


def _listed(reply: object) -> object:
    return (reply,) if isinstance(reply, str) else reply


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Rule(_Closed):
    match: Annotated[re.Pattern[str], BeforeValidator(_compiled)]
    reply: Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]


class _Mark(_Closed):
    match: Annotated[re.Pattern[str], BeforeValidator(_compiled)]
    mean: float


class _Script(_Closed):
    rules: tuple[_Rule, ...]
    scores: tuple[_Mark, ...] = ()
    delay: float = Field(default=0.0, ge=0)


class ScriptedEngine:
    r"""Answers by rules.

    `rules` are (regular expression, reply or replies). In a reply, `\1` and
    `\g<name>` stand for the groups of the match; of several replies, prompt and
    seed choose one; a reply `error: MESSAGE` fails, and `refused: MESSAGE` fails for
    what it asks. `scores` are (regular expression, mean log-likelihood in nats a
    token), searched for in prefix, prompt and answer together; where none is found,
    `overlap` is the likelihood. In expressions `^` and `$` match at lines, and `.`
    matches a line's end too. `delay` is in seconds a request. Raises InputError for
    a rule that cannot be.
    """

    def __init__(
        self,
        rules: Iterable[tuple[str, str | Sequence[str]]],
        *,
        scores: Iterable[tuple[str, float]] = (),
        delay: float = 0.0,
    ) -> None:
        script = {
            "rules": [{"match": pattern, "reply": reply} for pattern, reply in rules],
            "scores": [{"match": pattern, "mean": mean} for pattern, mean in scores],
        }
        self._script = _parse({**script, "delay": delay}, "script")
        self.name = f"scripted:{content_key(script)[:12]}"

    @classmethod
    def from_file(cls, path: str | Path) -> "ScriptedEngine":
        r"""Read a script: JSON where the name ends in `.json`, else TOML such as

            [[rules]]
            match = 'Question: (.*)'
            reply = 'You asked: \1'
            [[scores]]
            match = 'honest'
            mean = -0.5

        Raises InputError for a file that is missing or not of this form.
        """
        script = _parse(_read(Path(path)), str(path))
        return cls(
            [(rule.match.pattern, rule.reply) for rule in script.rules],
            scores=[(mark.match.pattern, mark.mean) for mark in script.scores],
            delay=script.delay,
        )

    def check(self) -> None:
        """A script can always answer."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            time.sleep(self._script.delay)
            yield self._answer(request)

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[Score]:
        for request in requests:
            time.sleep(self._script.delay)
            yield self._likelihood(request)

    def close(self) -> None:
        """Nothing to free."""

    def _answer(self, request: Request) -> Completion:
        prompt = prompt_text(request)
        for rule in self._script.rules:
            if match := rule.match.search(prompt):
                chosen = Random(f"{request.sampling.seed}:{prompt}").choice(rule.reply)
                return _completion(request, prompt, _expand(match, chosen))
        problem = f"no rule of the script matches the prompt {prompt[-60:]!r}"
        return Completion(id=request.id, error=problem, refused=True)

    def _likelihood(self, request: ScoreRequest) -> Score:
        before = request.prefix + request.prompt
        words = _WORD.findall(request.answer.lower())
        if not words:
            return Score(id=request.id, error="the answer is empty", refused=True)
        for mark in self._script.scores:
            if mark.match.search(before + request.answer):
                return Score(id=request.id, logprob=mark.mean * len(words), tokens=len(words))
        return Score(id=request.id, logprob=overlap(before, words), tokens=len(words))


def overlap(before: str, words: Sequence[str]) -> float:
    """Pretended log-likelihood of `words` after `before`, in nats.

    A word that stands in `before` has probability 0.2, another 0.01: an answer that
    draws on a passage is likelier with the passage than without, as with a model.
    """
    known = set(_WORD.findall(before.lower()))
    return sum(_SEEN if word in known else _UNSEEN for word in words)


def prompt_text(request: Request) -> str:
    """The prompt as one text; a chat is written `role: content`, a blank line between turns."""
    if isinstance(request.prompt, str):
        return request.prompt
    return "\n\n".join(f"{message.role}: {message.content}" for message in request.prompt)


def _completion(request: Request, prompt: str, reply: str) -> Completion:
    for sign in (ERROR, REFUSED):
        if reply.startswith(sign):
            problem = reply.removeprefix(sign).strip() or "scripted"
            return Completion(id=request.id, error=problem, refused=sign == REFUSED)
    text, _ = cut_at_stop(reply, request.sampling.stop)
    tokens = _TOKEN.findall(text)
    kept = tokens[: request.sampling.max_tokens]
    return Completion(
        id=request.id,
        text="".join(kept),
        finish="length" if len(kept) < len(tokens) else "stop",
        prompt_tokens=len(_TOKEN.findall(prompt)),
        completion_tokens=len(kept),
    )


def _expand(match: re.Match[str], reply: str) -> str:
    try:
        return match.expand(reply)
    except (re.error, IndexError) as problem:
        return f"{ERROR} the reply {reply!r} does not fit its rule: {problem}"


def _read(path: Path) -> object:
    parse = json.loads if path.suffix == ".json" else tomllib.loads
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:  # wrong TOML, wrong JSON, wrong UTF-8
        raise InputError(f"{path}: not a script: {error}.") from error


def _parse(data: object, source: str) -> _Script:
    try:
        return _Script.model_validate(data)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "script"
        raise InputError(f"{source}: {place}: {problem['msg']}.") from error
