"""The tables of systems and of win rates for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adhere.report.data import WIN_RATE, Estimate, measured_metrics
from adhere.report.systems import Cell, WinRow, system_rows, win_rows

if TYPE_CHECKING:
    from rich.table import Table


_ASIDE = frozenset({"preference_margin", "grounding_gain", "length"})


def terminal_table(summary: Mapping[str, Any]) -> "Table":
    """Systems by metrics with their intervals; the best is bold where clear of base's.

    It fits 80 columns; the preference margin, the grounding gain and the answers' length are
    left to the report.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", collapse_padding=True, pad_edge=False)
    table.add_column("")
    metrics = [metric for metric in measured_metrics(summary) if metric.key not in _ASIDE]
    for metric in metrics:
        table.add_column(f"{metric.label} {metric.arrow}".strip(), justify="right")
    for system, cells in system_rows(summary):
        shown = [cell for cell in cells if cell.metric in metrics]
        row = [Text(_cell(cell), style="bold green" if cell.best else "") for cell in shown]
        table.add_row(Text(system), *row)
    return table


def terminal_wins(summary: Mapping[str, Any]) -> "Table":
    """The win rates of admitted judges: raw, freed of the judge's errors, and its flips.

    Verdicts that could not be read are counted beneath the raw rate. It fits 80 columns; the
    rates at equal length are left to the report.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    wins = win_rows(summary)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", collapse_padding=True, pad_edge=False)
    if any(win.unread for win in wins):
        table.caption = _UNREAD
    for title in ("", "against", "judge"):
        table.add_column(title, overflow="fold")
    for title in ("Win rate", "Corrected", "Order flips"):
        table.add_column(title, justify="right")
    for win in wins:
        names = (Text(win.row[key]) for key in ("a", "b", "judge"))
        table.add_row(*names, *_win_cells(win))
    return table


_UNREAD = (
    "Unreadable verdicts are in no rate; beneath is the rate if all were lost, and if all were won."
)


def _win_cells(win: WinRow) -> list[str]:
    flips = "–" if win.flips is None else WIN_RATE.write(win.flips)
    raw = "\n".join(filter(None, (_rate(win.rate), win.unread.replace(": ", ":\n"))))
    return [raw, _rate(win.corrected), flips]


def _rate(found: Estimate | None) -> str:
    if found is None:
        return "–"
    return f"{WIN_RATE.write(found.value)}\n{found.interval(WIN_RATE)}"


def _cell(cell: Cell) -> str:
    if cell.estimate is None:
        return "–"
    value, interval = cell.metric.write(cell.estimate.value), cell.estimate.interval(cell.metric)
    return f"{value}{' *' if cell.best else ''}\n{interval}"
