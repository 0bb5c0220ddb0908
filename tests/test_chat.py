"""The conversation: through a pipe, and on a pseudo-terminal as a person has it."""

import io
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select

import pytest
from conftest import adhere

from adhere import chat
from adhere.records import Sampling


@pytest.fixture
def run(adapted_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(adapted_run, tmp_path / "run")


@pytest.fixture(autouse=True)
def _short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "_SAMPLING", Sampling(max_tokens=8))


def piped(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said), encoding="utf-8"))


def speakers(out: str) -> list[str]:
    return re.findall(r"^(>|base|sft\+dpo|sft|dpo)(?=:| )", out, re.MULTILINE)


def test_a_pipe_is_answered_line_by_line_up_to_an_empty_one(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(monkeypatch, "May I rest?\nPourquoi donc, à midi ?\n  \nNot read\n".encode())
    said = adhere("chat", str(run))
    assert said.code == 0, said.err
    assert said.err == ""
    assert speakers(said.out) == [">", "base", "sft+dpo", ">", "base", "sft+dpo"]
    assert "> Pourquoi donc, à midi ?" in said.out
    assert "Not read" not in said.out


def test_each_model_keeps_its_own_conversation(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []
    request = chat._request

    def spied(turns: chat.Turns) -> object:
        seen.append(tuple(turn.content for turn in turns))
        return request(turns)

    monkeypatch.setattr(chat, "_request", spied)
    piped(monkeypatch, b"May I rest?\nWhy?\n")
    out = adhere("chat", str(run)).out
    second = {turns[1] for turns in seen if len(turns) == 3}
    assert len(second) == 2
    for answer in second:
        assert answer in out


def test_too_long_a_line_is_refused_and_the_first_turns_make_room(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(monkeypatch, b"\n".join([b"x" * 3000, b"y" * 1900, b"z" * 1900, b"May I rest?"]))
    said = adhere("chat", str(run))
    assert said.code == 0, said.err
    assert said.out.count("That is too long: the models read 2048 tokens.") == 1
    assert said.out.count("The first turns do not fit any more, and are forgotten.") == 1
    assert speakers(said.out).count("base") == 3


@pytest.mark.parametrize(("missing", "aligned"), [(["dpo"], "sft"), (["dpo", "sft"], "dpo")])
def test_it_talks_to_the_furthest_adapter_there_is(
    run: Path, monkeypatch: pytest.MonkeyPatch, missing: list[str], aligned: str
) -> None:
    for stage in missing:
        shutil.rmtree(run / stage)
    piped(monkeypatch, b"May I rest?\n")
    assert speakers(adhere("chat", str(run)).out) == [">", "base", aligned]


def test_it_talks_to_the_checkpoint_that_full_tuning_left(
    tuned_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(monkeypatch, b"May I rest?\n")
    said = adhere("chat", str(tuned_run))
    assert said.code == 0, said.err
    assert speakers(said.out) == [">", "base", "sft+dpo"]
    base, aligned = re.findall(r"^(?:base|sft\+dpo): (.*)$", said.out, re.MULTILINE)
    assert base != aligned


def test_what_cannot_be_is_one_sentence(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"caf\xe9?\n")
    said = adhere("chat", str(run))
    assert (said.code, said.err) == (2, "adhere: The input is not UTF-8 text; convert it first.\n")
    for stage in ("sft", "dpo", "dpo-alone"):
        shutil.rmtree(run / stage)
    said = adhere("chat", str(run))
    assert said.code == 2
    assert f"{run}: no aligned model yet; run `adhere run {run}` first." in said.err


class Terminal:
    """A chat on a pseudo-terminal, what it has shown so far, without colours."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self.file, keys.encode())

    def wait(self, pattern: str, seconds: float = 60) -> None:
        """Until the pattern has come up since the last wait."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.shown)):
            assert time.monotonic() < end, self.shown[-2000:]
            if select([self.file], [], [], 1)[0]:
                try:
                    more = os.read(self.file, 65536).decode(errors="replace")
                except OSError:  # the other side has ended
                    more = ""
                assert more, self.shown[-2000:]
                self.shown += re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", more)
        self.shown = self.shown[found.end() :]


SLOW_CHAT = """
import contextlib, time
from adhere import chat
from adhere.cli import main
from adhere.engines.live import LiveModel
from adhere.records import Sampling

chat._SAMPLING = Sampling(max_tokens={max_tokens})
reply = LiveModel.reply

def slowly(*given):
    with contextlib.closing(reply(*given)) as pieces:
        for piece in pieces:
            yield piece
            time.sleep({pause})

LiveModel.reply = slowly
main()
"""


@contextmanager
def terminal(
    run: Path, max_tokens: int, pause: float = 0
) -> Iterator[tuple[subprocess.Popen[bytes], Terminal]]:
    """`adhere chat`, which waits `pause` seconds after each piece of an answer."""
    program = SLOW_CHAT.format(max_tokens=max_tokens, pause=pause)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    command = [sys.executable, "-c", program, "chat", str(run)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as child:
        os.close(theirs)
        try:
            yield child, Terminal(ours)
        finally:
            child.kill()
            os.close(ours)


def test_on_a_terminal_both_answers_stand_side_by_side(run: Path) -> None:
    with terminal(run, max_tokens=8) as (child, screen):
        screen.wait("Ask base and sft.dpo; an empty line ends it")
        screen.wait("> $")
        screen.type("May I rest?\r")
        screen.wait("╭─+ base ─+╮ ╭─+ sft.dpo ─+╮")
        screen.wait("> $")
        screen.type("\x04")
        assert child.wait(timeout=60) == 0


def test_ctrl_c_stops_an_answer_and_at_the_prompt_the_chat(run: Path) -> None:
    for stage in ("sft", "dpo"):  # what is left writes on
        shutil.rmtree(run / stage)
    with terminal(run, max_tokens=1900, pause=0.5) as (child, screen):
        screen.wait("Ask base and dpo; an empty line ends it")
        screen.wait("> $")
        screen.type("May I row at night?\r")
        screen.wait("╭─+ base ─+╮ ╭─+ dpo ─+╮")
        child.send_signal(signal.SIGINT)
        screen.wait("Stopped; the question is forgotten.")
        time.sleep(2)  # the prompt comes up beside the last of the panels, in either order
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 0
