"""`Cached` remembers what any engine answered, so that no question is asked twice.

Answers are committed as they arrive, one transaction each: a run killed at any
moment loses only what was in flight, and a changed parser or filter costs no new
generation. The file may be deleted at any time.
"""

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from adhere.engines.base import Engine
from adhere.errors import InputError
from adhere.progress import NoProgress, Progress
from adhere.records import Completion, Request, Score, ScoreRequest
from adhere.store import content_key

Q = TypeVar("Q", bound=Request | ScoreRequest)
A = TypeVar("A", bound=Completion | Score)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@dataclass(slots=True)
class CacheStats:
    """Counts since the cache was opened; tokens are those of all answers, known or new."""

    hits: int = 0
    misses: int = 0
    errors: int = 0
    refused: int = 0
    """Of the errors, those that lie in the request."""
    last_error: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    scored_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Of prompts, completions and scored answers."""
        return self.prompt_tokens + self.completion_tokens + self.scored_tokens

    def add(self, answer: Completion | Score, *, known: bool) -> None:
        self.hits += known
        self.misses += not known
        self.errors += answer.error is not None
        self.refused += answer.refused
        self.last_error = answer.error or self.last_error
        if isinstance(answer, Score):
            self.scored_tokens += answer.tokens
        else:
            self.prompt_tokens += answer.prompt_tokens
            self.completion_tokens += answer.completion_tokens


class Cached:
    """An engine in front of `engine` that answers from the SQLite file `path` where it can.

    An answer is known by a hash of the engine's name and the whole request except
    its id: text or messages, sampling, seed. Failures are not kept, so they are
    asked again. The engine is not called before the first request that is new. A
    file that is damaged is renamed `NAME.broken`, with a note to `progress`; raises
    InputError for one that cannot be opened at all. Several may count into one `stats`.
    """

    def __init__(
        self,
        engine: Engine,
        path: Path,
        progress: Progress | None = None,
        stats: CacheStats | None = None,
    ) -> None:
        self.engine = engine
        self.stats = stats or CacheStats()
        self._answers = _Answers(path, progress or NoProgress())

    @property
    def name(self) -> str:
        return self.engine.name

    def check(self) -> None:
        self.engine.check()

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        return self._through(requests, self.engine.complete, Completion)

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[Score]:
        return self._through(requests, self.engine.score, Score)

    def close(self) -> None:
        """Free the model's memory and close the file; the next request opens both again."""
        self.engine.close()
        self._answers.close()

    def _through(
        self, requests: Iterable[Q], ask: Callable[[Iterable[Q]], Iterator[A]], kind: type[A]
    ) -> Iterator[A]:
        remaining = iter(requests)
        for request in remaining:
            if hit := self._recall(self._key(request), request, kind):
                yield hit
            else:
                yield from self._asked(chain([request], remaining), ask, kind)

    def _asked(
        self, requests: Iterator[Q], ask: Callable[[Iterable[Q]], Iterator[A]], kind: type[A]
    ) -> Iterator[A]:
        """Ask what is new; the engine knows a request by its key, so that twins are asked once."""
        hits: deque[A] = deque()
        in_flight: dict[str, list[str]] = {}

        def misses() -> Iterator[Q]:
            for request in requests:
                key = self._key(request)
                if key in in_flight:
                    in_flight[key].append(request.id)
                elif hit := self._recall(key, request, kind):
                    hits.append(hit)
                else:
                    in_flight[key] = [request.id]
                    yield replace(request, id=key)

        for answer in ask(misses()):
            self._keep(answer)
            for request_id in in_flight.pop(answer.id):
                yield replace(answer, id=request_id)
            while hits:
                yield hits.popleft()
        yield from hits

    def _key(self, request: Request | ScoreRequest) -> str:
        return content_key(self.name, type(request).__name__, asdict(replace(request, id="")))

    def _recall(self, key: str, request: Request | ScoreRequest, kind: type[A]) -> A | None:
        stored = self._answers.get(key)
        if stored is None:
            return None
        try:
            answer = _adapter(kind).validate_json(stored, extra="forbid")
        except ValidationError:  # written by another version: ask again
            return None
        self.stats.add(answer, known=True)
        return replace(answer, id=request.id)

    def _keep(self, answer: Completion | Score) -> None:
        self.stats.add(answer, known=False)
        if answer.error is None:
            self._answers.put(answer.id, json.dumps(asdict(answer), ensure_ascii=False))


class _Answers:
    """Key -> JSON in one SQLite table, write-ahead logged, each write its own transaction."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path = path
        self._progress = progress
        self._database: sqlite3.Connection | None = self._opened()

    def get(self, key: str) -> str | None:
        found = self._rows("SELECT answer FROM answers WHERE key = ?", key)
        return found[0][0] if found else None

    def put(self, key: str, answer: str) -> None:
        self._rows("INSERT OR REPLACE INTO answers VALUES (?, ?)", key, answer)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None

    def _rows(self, statement: str, *values: str) -> list[Any]:
        """Raises InputError where the disk is full, or another program holds the file."""
        try:
            return self._connection().execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{self._path}: the cache cannot be used: {error}. Is there room on the disk, and "
                "does no other program hold the file? The same command goes on."
            ) from error

    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._opened()
        return self._database

    def _opened(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return _connect(self._path)
        except (OSError, sqlite3.OperationalError) as error:
            raise InputError(
                f"{self._path}: the cache cannot be opened: {error}. "
                "Is the folder writable, and does no other run use it?"
            ) from error
        except sqlite3.DatabaseError:
            aside = self._path.with_name(self._path.name + ".broken")
            self._path.replace(aside)
            for extra in ("-wal", "-shm"):
                self._path.with_name(self._path.name + extra).unlink(missing_ok=True)
            self._progress.note(
                f"{self._path}: damaged, so it was renamed {aside.name}; the answers in it "
                "will be asked again."
            )
            return _connect(self._path)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(
            "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT) WITHOUT ROWID"
        )
        if (state := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(state)
    except sqlite3.Error:
        database.close()
        raise
    return database
