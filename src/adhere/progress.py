"""Progress that a person sees: bars on a terminal, quiet elsewhere."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

T = TypeVar("T")


class Progress(Protocol):
    """What stages report to. `NoProgress` serves scripts and tests."""

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        """Pass `items` on, counting them towards `total`."""
        ...

    def note(self, message: str) -> None:
        """Say one thing worth a line of the log."""
        ...

    def stage(self, name: str, what: str) -> None:
        """A stage begins, or is up to date."""
        ...

    def done(self, name: str, made: str, seconds: float) -> None:
        """A stage has ended."""
        ...


class NoProgress:
    """Says nothing."""

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        yield from items

    def note(self, message: str) -> None:
        pass

    def stage(self, name: str, what: str) -> None:
        pass

    def done(self, name: str, made: str, seconds: float) -> None:
        pass


class ConsoleProgress:
    """Rich bars with counts and time left on a terminal; one plain line a task elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        if not self._console.is_terminal:
            yield from items
            if total:
                self.note(f"{what}: {total} done")
            return
        with self._bar() as bar:
            task = bar.add_task(what, total=total)
            for item in items:
                yield item
                bar.advance(task)

    def note(self, message: str) -> None:
        self._console.print(f"  {message}", markup=False)

    def stage(self, name: str, what: str) -> None:
        self._console.print(f"[bold]{name}[/bold]  {what}")

    def done(self, name: str, made: str, seconds: float) -> None:
        self._console.print(f"  {made}  ({duration(seconds)})", style="green")

    @contextmanager
    def _bar(self) -> "Generator[RichProgress]":
        from rich import progress as rich

        columns = (
            rich.TextColumn("  {task.description}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TimeElapsedColumn(),
            rich.TimeRemainingColumn(),
        )
        with rich.Progress(*columns, console=self._console) as bar:
            yield bar


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
