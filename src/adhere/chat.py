"""Talk to the base and the aligned model side by side in the terminal."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from adhere.bench import Bench
from adhere.engines.live import BASE, LiveModel
from adhere.errors import InputError
from adhere.progress import ConsoleProgress
from adhere.records import ALIGNED, Completion, Message, Request, Sampling, record_id
from adhere.settings import RunSettings

if TYPE_CHECKING:
    from rich.columns import Columns
    from rich.console import Console

_SAMPLING = Sampling(max_tokens=160)
_NARROW = 64
"""Columns of a terminal below which the two answers stand below each other."""

Turns = tuple[Message, ...]


def converse(run: Path, settings: RunSettings) -> None:
    """Read lines from the user until an empty one; each model keeps its own conversation.

    On a terminal both answers grow side by side, and Ctrl-C stops them; elsewhere
    they are printed as they are done. Raises InputError where nothing is trained yet.
    """
    from rich.console import Console

    bench = Bench(run, settings, ConsoleProgress())
    aligned = next((name for name in ALIGNED if name in bench.finished), None)
    if aligned is None:
        raise InputError(f"{run}: no aligned model yet; run `adhere run {run}` first.")
    console = Console(highlight=False)
    with console.status("Loading the models"):
        stages = {BASE: None, aligned: bench.finished[aligned]}
        live = LiveModel({name: bench.trained(stage) for name, stage in stages.items()})
    said: dict[str, Turns] = dict.fromkeys(live.names, ())
    if console.is_terminal:
        console.print(f"Ask {BASE} and {aligned}; an empty line ends it, Ctrl-C stops an answer.")
    for line in _lines(console):
        asked = {name: (*turns, _user(line)) for name, turns in said.items()}
        fitting = {name: _fitted(live, turns) for name, turns in asked.items()}
        if not all(fitting.values()):
            console.print(f"That is too long: the models read {live.context} tokens.")
            continue
        if fitting != asked:
            console.print("The first turns do not fit any more, and are forgotten.")
        try:
            answers = _answered(live, fitting, console)
        except KeyboardInterrupt:
            console.print("Stopped; the question is forgotten.")
            continue
        said = {name: (*fitting[name], _assistant(answers[name])) for name in live.names}


def _lines(console: "Console") -> Iterator[str]:
    """What the user types, or the lines of a pipe, up to an empty one."""
    typed = sys.stdin.isatty()
    if typed:
        with suppress(ImportError):  # for arrow keys; not everywhere
            import_module("readline")
    while True:
        try:
            line = input("> " if typed else "").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        except UnicodeDecodeError as error:
            raise InputError("The input is not UTF-8 text; convert it first.") from error
        if not line:
            return
        if not typed:
            console.print(f"> {line}", markup=False, soft_wrap=True)
        yield line


def _fitted(live: LiveModel, turns: Turns) -> Turns:
    """The turns without the oldest questions and answers, as far as the context asks it."""
    while len(turns) > 1 and live.room(_request(turns)) < _SAMPLING.max_tokens:
        turns = turns[2:]
    return turns if live.room(_request(turns)) > 0 else ()


def _answered(live: LiveModel, asked: dict[str, Turns], console: "Console") -> dict[str, str]:
    """Each model's answer, shown as it is written."""
    from rich.live import Live

    if not console.is_terminal:
        answers = dict(_written(live, asked))
        for name, text in answers.items():
            console.print(f"{name}: {text}", markup=False, soft_wrap=True)
        return answers
    answers = dict.fromkeys(asked, "")
    screen = Live(_panels(answers, console.width), console=console)
    try:  # and no `with`: Ctrl-C may come while it starts
        screen.start()
        for name, text in _written(live, asked):
            answers[name] = text
            screen.update(_panels(answers, console.width))
    finally:
        screen.stop()
    return answers


def _written(live: LiveModel, asked: dict[str, Turns]) -> Iterator[tuple[str, str]]:
    """One model after the other: its name and its answer as far as it goes."""
    for name, turns in asked.items():
        so_far = Completion(id="")
        for so_far in live.reply(name, _request(turns)):
            yield name, so_far.text.strip()
        if not so_far.text.strip():
            yield name, "(no answer)"


def _panels(answers: dict[str, str], width: int) -> "Columns":
    from rich.columns import Columns
    from rich.panel import Panel
    from rich.text import Text

    each = width if width < _NARROW else width // 2 - 1
    return Columns([Panel(Text(text), title=name, width=each) for name, text in answers.items()])


def _request(turns: Turns) -> Request:
    return Request(id=record_id(turns), prompt=turns, sampling=_SAMPLING)


def _user(text: str) -> Message:
    return Message(role="user", content=text)


def _assistant(text: str) -> Message:
    return Message(role="assistant", content=text)
