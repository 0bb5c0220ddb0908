"""The report's plots: matplotlib figures, drawn as inline SVG that follows the page's colours."""

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adhere.report.data import Metric, estimate, measured_metrics, measured_systems
from adhere.report.kept import DropCount, Funnel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

INK, SOFT, LINE = "#1c2430", "#5b6675", "#d9dde3"
BLUE, SKY, ORANGE, RED, PURPLE = "#0072b2", "#56b4e9", "#e69f00", "#d55e00", "#cc79a7"
"""Okabe and Ito's palette: distinct to colour-blind readers too."""

_VARIABLES = {
    INK: "ink",
    SOFT: "soft",
    LINE: "line",
    BLUE: "blue",
    SKY: "sky",
    ORANGE: "orange",
    RED: "red",
    PURPLE: "purple",
}
"""Colour -> the CSS variable that stands for it in the page, so that dark mode works."""

_SYSTEM_COLOURS = {
    "base": SOFT,
    "base+rag": ORANGE,
    "base+document": ORANGE,
    "document-lm": RED,
    "sft": SKY,
    "dpo": PURPLE,
    "sft+dpo": BLUE,
    "sft+dpo+rag": BLUE,
}

_STYLE: "dict[RcKeyType, Any]" = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "svg.hashsalt": "adhere",
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,
}

_PICTURE_COLUMNS = 3
"""A README shows pictures about 800 pixels wide; more columns would be too small to read."""

_CURVES = (
    ("Loss", {"loss": "training", "eval_loss": "held out"}),
    ("Reward margin", {"rewards/margins": "training", "eval_rewards/margins": "held out"}),
    ("Log-likelihood", {"logps/chosen": "chosen", "logps/rejected": "rejected"}),
)
"""Panels of a training: title and, for each key of the log, its label."""

_ABOVE: dict[str, Any] = {
    "loc": "lower right",
    "ncols": 2,
    "bbox_to_anchor": (1, 1),
    "borderaxespad": 0,
    "handlelength": 1.4,
    "columnspacing": 1,
}
"""A legend beside its panel's title, where it covers nothing."""


def systems_plot(summary: Mapping[str, Any]) -> str:
    """Small multiples, one a metric: a dot and its interval for each system."""
    return _svg(lambda: _systems_figure(summary))


def data_plot(rows: Sequence[Funnel], drops: Sequence[DropCount]) -> str:
    """Rows kept and dropped by kind, and drops by reason."""
    return _svg(lambda: _data_figure(rows, drops))


def curve_plot(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """One training's log; None where it holds nothing to draw."""
    panels = _curve_panels(rows)
    return _svg(lambda: _curve_figure(rows, panels)) if panels else None


def table_picture(summary: Mapping[str, Any], path: Path) -> None:
    """Draw the table of systems, values beside dots, as the picture `path` (.png or .svg)."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure = _systems_figure(summary, values=True)
        figure.savefig(path, dpi=160, facecolor="white", bbox_inches="tight", pad_inches=0.15)


def _svg(draw: "Callable[[], Figure]") -> str:
    import matplotlib as mpl

    buffer = StringIO()
    with mpl.rc_context(_STYLE):
        draw().savefig(
            buffer,
            format="svg",
            transparent=True,
            bbox_inches="tight",
            pad_inches=0.05,
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
        )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, name in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)


def _figure(width: float, height: float, rows: int, columns: int) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Room between panels keeps the last tick of one from the first of the next.
    layout = ConstrainedLayoutEngine(wspace=0.06, hspace=0.06)
    figure = Figure(figsize=(width, height), layout=layout)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _systems_figure(summary: Mapping[str, Any], *, values: bool = False) -> "Figure":
    systems, metrics = measured_systems(summary), measured_metrics(summary)
    columns = min(len(metrics), _PICTURE_COLUMNS if values else len(metrics))
    rows = ceil(len(metrics) / columns)
    row_height = (0.44 if values else 0.34) * len(systems) + 0.9
    figure, axes = _figure(
        (2.6 if values else 2.1) * columns + 1.2, row_height * rows, rows, columns
    )
    for place, (ax, metric) in enumerate(zip(axes, metrics, strict=False)):
        _systems_panel(ax, summary, metric, values=values)
        names = systems if place % columns == 0 else [""] * len(systems)
        ax.set_yticks(range(len(systems)), names)
    for ax in axes[len(metrics) :]:
        ax.set_visible(False)
    return figure


def _systems_panel(ax: "Axes", summary: Mapping[str, Any], metric: Metric, *, values: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def write(value: float, _: int | None) -> str:
        return metric.write(value)

    systems = measured_systems(summary)
    for place, system in enumerate(systems):
        cell = estimate(summary, system, metric.key)
        if cell is None:
            continue
        colour = _SYSTEM_COLOURS.get(system, INK)
        if cell.low is not None and cell.high is not None:
            ax.plot([cell.low, cell.high], [place, place], color=colour, linewidth=2.2)
        ax.plot([cell.value], [place], "o", color=colour, markersize=7)
        if values:
            ax.annotate(
                cell.text(metric),
                (cell.value, place),
                (0, 7),
                textcoords="offset points",
                ha="center",
                size=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
        if system == "base":
            ax.axvline(cell.value, color=SOFT, linewidth=0.8, linestyle=(0, (2, 3)))
    ax.set_ylim(len(systems) - 0.5, -0.7)
    ax.set_title(f"{metric.label} {metric.arrow}".strip())
    ax.margins(x=0.3 if values else 0.08)
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.xaxis.set_major_formatter(FuncFormatter(write))
    ax.tick_params(length=0)
    ax.grid(visible=False, axis="y")
    ax.spines["left"].set_visible(False)


def _data_figure(rows: Sequence[Funnel], drops: Sequence[DropCount]) -> "Figure":
    height = 0.3 * max(len(rows) + 1, len(drops)) + 0.6
    figure, axes = _figure(10.5, height, 1, 2 if drops else 1)
    ax = axes[0]
    places = range(len(rows))
    lost = [row.dropped or 0 for row in rows]
    ax.barh(places, [row.kept for row in rows], color=BLUE, label="kept", height=0.6)
    ax.barh(
        places, lost, left=[row.kept for row in rows], color=ORANGE, label="dropped", height=0.6
    )
    for place, row in enumerate(rows):
        text = f"{row.kept} of {row.generated}" if row.generated else str(row.kept)
        _beside(ax, row.kept + lost[place], place, text)
    ax.set_yticks(places, [row.kind for row in rows])
    ax.set_title("Kept and dropped")
    ax.legend(**_ABOVE)
    _bars(ax)
    if drops:
        ax = axes[1]
        ax.barh(range(len(drops)), [drop.count for drop in drops], color=ORANGE, height=0.6)
        for place, drop in enumerate(drops):
            _beside(ax, drop.count, place, str(drop.count))
        labels = [f"{drop.reason} ({drop.stage})" for drop in drops]
        ax.set_yticks(range(len(drops)), labels)
        ax.set_title("Dropped, by reason")
        _bars(ax)
    return figure


def _beside(ax: "Axes", x: float, y: float, text: str) -> None:
    ax.annotate(text, (x, y), (4, 0), textcoords="offset points", va="center")


def _bars(ax: "Axes") -> None:
    ax.invert_yaxis()
    ax.margins(x=0.16)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    points = [(row["step"], row[key]) for row in rows if "step" in row and key in row]
    return [step for step, _ in points], [value for _, value in points]


def _curve_panels(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, str]]]:
    shown = (
        (title, {k: v for k, v in keys.items() if _points(rows, k)[0]}) for title, keys in _CURVES
    )
    return [(title, keys) for title, keys in shown if keys]


def _curve_figure(
    rows: Sequence[Mapping[str, Any]], panels: Sequence[tuple[str, dict[str, str]]]
) -> "Figure":
    figure, axes = _figure(3.6 * len(panels), 2.3, 1, len(panels))
    for ax, (title, keys) in zip(axes, panels, strict=True):
        for (key, label), colour, style in zip(
            keys.items(), (BLUE, RED), ("-", "--"), strict=False
        ):
            ax.plot(*_points(rows, key), color=colour, linestyle=style, linewidth=1.8, label=label)
        ax.set_title(title)
        ax.set_xlabel("optimiser step")
        ax.tick_params(length=0)
        ax.grid(visible=False, axis="x")
        if len(keys) > 1:
            ax.legend(**_ABOVE)
    return figure
