"""How the difference of two documents or runs is shown on a terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from adhere.diff import Change, Difference, Unit
from adhere.text import printable

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {"same": "", "old": "red strike", "new": "green underline"}
_MARKS = {"same": "{}", "old": "[-{}-]", "new": "{{+{}+}}"}
"""As in wdiff, so that it reads without colours too."""


def difference_lines(found: Difference, what: str) -> "Iterator[Text]":
    """A line of counts, then each change with its place; `what` names the units."""
    from rich.text import Text

    counts = [f"{count} {kind}" for kind, count in found.counts().items()]
    yield Text(", ".join([f"{found.unchanged} {what} unchanged", *counts]), style="bold")
    for change in found.changes:
        yield Text.assemble("\n", (change.kind, "bold cyan"), "  ", (_where(change), "dim"))
        yield _words(change)
        if results := _results(change):
            yield Text(results, style="bold")


def _where(change: Change) -> str:
    new, old = change.new, change.old
    if new is None or old is None:
        one = new or old
        return _place(one) if one else ""
    if change.moved and _place(old) != _place(new):
        return f"{_place(old)} → {_place(new)}"
    return f"{_place(new)}, in another order" if change.moved else _place(new)


def _results(change: Change) -> str:
    """What came of a clause before and now, where both are known and differ."""
    before, now = (one.result if one else None for one in (change.old, change.new))
    return f"{before} → {now}" if before and now and before != now else ""


def _place(unit: Unit) -> str:
    return printable(" › ".join((unit.document, *unit.headings))) + f"  ({unit.id})"


def _words(change: Change) -> "Text":
    from rich.text import Text

    if change.edits:
        pieces = (
            (_MARKS[kind].format(printable(text)), _STYLES[kind]) for kind, text in change.edits
        )
        return Text.assemble(*pieces)
    unit = change.new or change.old
    return Text(printable(unit.text) if unit else "")
