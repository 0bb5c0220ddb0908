"""The completion cache: nothing is asked twice, nothing that was answered is lost."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Notes

from adhere.engines.base import Engine
from adhere.engines.cached import Cached
from adhere.engines.scripted import ScriptedEngine
from adhere.errors import EngineError, InputError
from adhere.progress import NoProgress
from adhere.records import Completion, Request, Sampling, Score, ScoreRequest


class Recorder:
    """Counts what reaches the engine behind the cache."""

    def __init__(self, engine: ScriptedEngine, name: str = "recorder") -> None:
        self.name = name
        self.engine = engine
        self.asked: list[str] = []

    def check(self) -> None:
        self.engine.check()

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        return self.engine.complete(self._noted(requests))

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[Score]:
        return self.engine.score(self._noted(requests))

    def close(self) -> None:
        self.engine.close()

    def _noted(self, requests: Iterable[Request | ScoreRequest]) -> Iterator:
        for request in requests:
            self.asked.append(str(request.prompt))
            yield request


def recorder(name: str = "recorder") -> Recorder:
    rules = [("bad", "error: no"), ("worse", "refused: no"), ("(.*)", r"re \1")]
    return Recorder(ScriptedEngine(rules), name)


def requests(*prompts: str) -> list[Request]:
    return [Request(id=f"id{n}", prompt=prompt) for n, prompt in enumerate(prompts)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "cache.sqlite"


def opened(engine: Engine, path: Path, progress: NoProgress | None = None) -> Cached:
    return Cached(engine, path, progress)


def test_a_second_run_asks_nothing(path: Path) -> None:
    first, second = recorder(), recorder()
    before = list(opened(first, path).complete(requests("a", "b")))
    cached = opened(second, path)
    after = list(cached.complete([*requests("a", "b")]))
    assert (
        {c.id: c.text for c in before}
        == {c.id: c.text for c in after}
        == {
            "id0": "re a",
            "id1": "re b",
        }
    )
    assert (first.asked, second.asked) == (["a", "b"], [])
    assert (cached.stats.hits, cached.stats.misses) == (2, 0)


@pytest.mark.parametrize(
    "sampling",
    [Sampling(seed=1), Sampling(temperature=0.5), Sampling(max_tokens=9), Sampling(stop=("z",))],
)
def test_every_choice_of_sampling_is_another_question(path: Path, sampling: Sampling) -> None:
    engine = recorder()
    cached = opened(engine, path)
    (request,) = requests("a")
    list(cached.complete([request, replace(request, id="x", sampling=sampling)]))
    assert engine.asked == ["a", "a"]


def test_another_model_is_asked_again(path: Path) -> None:
    other = recorder("other")
    list(opened(recorder(), path).complete(requests("a")))
    list(opened(other, path).complete(requests("a")))
    assert other.asked == ["a"]


def test_twins_are_asked_once_and_each_gets_its_answer(path: Path) -> None:
    engine = recorder()
    answers = list(opened(engine, path).complete(requests("a", "a", "b", "a")))
    assert sorted((c.id, c.text) for c in answers) == [
        ("id0", "re a"),
        ("id1", "re a"),
        ("id2", "re b"),
        ("id3", "re a"),
    ]
    assert engine.asked == ["a", "b"]


def test_failures_are_not_kept(path: Path) -> None:
    engine = recorder()
    cached = opened(engine, path)
    for _ in range(2):
        (answer,) = cached.complete(requests("bad"))
        assert answer.error == "no"
    assert engine.asked == ["bad", "bad"]
    assert (cached.stats.misses, cached.stats.errors, cached.stats.refused) == (2, 2, 0)
    list(cached.complete(requests("worse")))
    assert (cached.stats.errors, cached.stats.refused) == (3, 1)


def test_hits_do_not_touch_the_engine_and_come_lazily(path: Path) -> None:
    list(opened(recorder(), path).complete(requests("a")))

    class Absent(Recorder):
        def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
            raise EngineError("no server")

    cached = opened(Absent(ScriptedEngine([])), path)

    def endless() -> Iterator[Request]:
        while True:
            yield from requests("a")

    assert next(cached.complete(endless())).text == "re a"
    with pytest.raises(EngineError, match="no server"):
        list(cached.complete(requests("a", "new")))


def test_hits_among_misses_all_arrive(path: Path) -> None:
    list(opened(recorder(), path).complete(requests("a", "c", "e")))
    engine = recorder()
    answers = list(opened(engine, path).complete(requests("a", "b", "c", "d", "e")))
    assert sorted(c.id for c in answers) == [f"id{n}" for n in range(5)]
    assert engine.asked == ["b", "d"]


def test_scores_are_kept_apart_from_completions(path: Path) -> None:
    engine = recorder()
    cached = opened(engine, path)
    asked = ScoreRequest(id="s", prefix="p", prompt="a", answer="b c")
    (score,) = cached.score([asked])
    assert list(cached.score([asked])) == [score]
    assert list(cached.score([replace(asked, chat=True)])) != []
    assert engine.asked == ["a", "a"]
    assert cached.stats.scored_tokens == cached.stats.tokens == 3 * score.tokens
    assert (cached.stats.prompt_tokens, cached.stats.completion_tokens) == (0, 0)


def test_tokens_are_counted(path: Path) -> None:
    cached = opened(recorder(), path)
    list(cached.complete(requests("one two")))
    assert (cached.stats.prompt_tokens, cached.stats.completion_tokens) == (2, 3)
    list(cached.complete(requests("one two")))  # known by now, and counted like the first
    assert (cached.stats.hits, cached.stats.misses, cached.stats.tokens) == (1, 1, 2 * 5)


@pytest.mark.parametrize("damage", [b"this is no database" * 100, None])
def test_a_damaged_file_is_put_aside_and_said(path: Path, damage: bytes | None) -> None:
    cached = opened(recorder(), path)
    list(cached.complete(requests(*(f"prompt {n}" for n in range(300)))))
    cached.close()
    content = path.read_bytes()
    path.write_bytes(damage or content[:4096] + b"\x07" * (len(content) - 4096))
    notes = Notes()
    answers = list(opened(recorder(), path, notes).complete(requests("a")))
    assert answers[0].text == "re a"
    assert path.with_name("cache.sqlite.broken").exists()
    assert "damaged" in notes.notes[0]


def test_a_place_that_cannot_hold_a_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be opened"):
        opened(recorder(), tmp_path / "file" / "cache.sqlite")
    with pytest.raises(InputError, match="cannot be opened"):
        opened(recorder(), tmp_path)


def test_a_full_disk_ends_in_a_sentence_and_what_was_kept_stays(path: Path) -> None:
    cached = opened(recorder(), path)
    list(cached.complete(requests("a")))
    database = cached._answers._connection()
    [[pages]] = database.execute("PRAGMA page_count").fetchall()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(InputError, match=r"cache\.sqlite: the cache cannot be used: .* is full\."):
        list(cached.complete(requests("b" * 100_000)))
    cached.close()
    assert [c.text for c in cached.complete(requests("a"))] == ["re a"]
    assert cached.stats.hits == 1


def test_a_file_that_another_program_holds_ends_in_a_sentence(path: Path) -> None:
    cached = opened(recorder(), path)
    cached._answers._connection().execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(InputError, match=r"cannot be used: database is locked\."):
        list(cached.complete(requests("a")))
    other.close()
    assert [c.text for c in cached.complete(requests("a"))] == ["re a"]


def test_an_answer_that_cannot_be_read_back_ends_in_a_sentence(path: Path) -> None:
    cached = opened(recorder(), path)
    cached._answers._connection().execute("DROP TABLE answers")
    with pytest.raises(InputError, match="cannot be used: no such table: answers"):
        list(cached.complete(requests("a")))


def test_it_can_be_used_again_after_close(path: Path) -> None:
    cached = opened(recorder(), path)
    list(cached.complete(requests("a")))
    cached.close()
    assert [c.text for c in cached.complete(requests("a"))] == ["re a"]
    assert cached.stats.hits == 1


SLOW = """
import sys
from pathlib import Path
from adhere.engines.cached import Cached
from adhere.engines.scripted import ScriptedEngine
from adhere.records import Request
engine = ScriptedEngine([("(.*)", r"re \\1")], delay=0.02)
engine.name = "slow"
for answer in Cached(engine, Path(sys.argv[1])).complete(
    Request(id=str(n), prompt=f"prompt {n}") for n in range(500)
):
    print(answer.id, flush=True)
"""


def test_a_killed_run_loses_only_what_was_in_flight(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = [process.stdout.readline().strip() for _ in range(20)]
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    seen += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    engine = recorder("slow")
    asked = [Request(id=str(n), prompt=f"prompt {n}") for n in range(500)]
    answers = list(opened(engine, path).complete(asked))
    assert sorted(int(c.id) for c in answers) == list(range(500))
    assert 20 <= len(seen) < 500
    assert set(engine.asked).isdisjoint({f"prompt {n}" for n in seen})
    assert len(engine.asked) >= 500 - len(seen) - 1
