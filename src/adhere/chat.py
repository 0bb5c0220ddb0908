"""Talk to the base and the aligned model side by side in the terminal."""

from pathlib import Path

from adhere.bench import Bench
from adhere.engines.base import Engine
from adhere.errors import InputError
from adhere.progress import ConsoleProgress
from adhere.records import Message, Request, Sampling, record_id
from adhere.settings import RunSettings

_SAMPLING = Sampling(max_tokens=160)


def converse(run: Path, settings: RunSettings) -> None:
    """Read lines from the user until an empty one; each model keeps its own conversation."""
    from rich.columns import Columns
    from rich.console import Console
    from rich.panel import Panel

    if not (run / "dpo" / "adapter").exists():
        raise InputError(f"{run}: no aligned model yet; run `adhere run {run}` first.")
    bench = Bench(run, settings, ConsoleProgress())
    engines = {"base": bench.student_engine(None), "sft+dpo": bench.student_engine("dpo/adapter")}
    said: dict[str, tuple[Message, ...]] = dict.fromkeys(engines, ())
    console = Console()
    console.print("Ask both models; an empty line ends it.")
    while line := _read():
        panels: list[Panel] = []
        for name, engine in engines.items():
            said[name] = (*said[name], Message(role="user", content=line))
            reply = _reply(engine, said[name])
            said[name] = (*said[name], Message(role="assistant", content=reply))
            panels.append(Panel(reply, title=name, width=max(30, console.width // 2 - 2)))
        console.print(Columns(panels))


def _read() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def _reply(engine: Engine, messages: tuple[Message, ...]) -> str:
    request = Request(id=record_id(messages), prompt=messages, sampling=_SAMPLING)
    completion = next(iter(engine.complete([request])))
    return completion.text.strip() or completion.error or "(no answer)"
