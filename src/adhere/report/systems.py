"""The tables of systems: metrics, paired differences and win rates."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adhere.report.data import (
    METRICS,
    WIN_RATE,
    Estimate,
    Metric,
    best_system,
    difference,
    estimate,
    measured_metrics,
    measured_systems,
    read_estimate,
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of the table of systems; `estimate` is None where nothing was measured."""

    metric: Metric
    estimate: Estimate | None
    best: bool


@dataclass(frozen=True, slots=True)
class WinRow:
    """One judge's verdicts on two systems: the row of `summary.json` with its rates read."""

    row: Mapping[str, Any]
    rate: Estimate | None
    """None where no verdict could be read."""
    corrected: Estimate | None
    level: Estimate | None
    """At equal length of the two answers."""
    flips: float | None
    """Share of its verdicts in which the judge changed its mind with the order."""

    @property
    def unread(self) -> str:
        """How many verdicts could not be read, and the rates if all were lost, or won."""
        if not (count := self.row.get("unreadable", 0)):
            return ""
        worst, best = (WIN_RATE.number(self.row[bound]) for bound in ("worst", "best"))
        return f"{count} unreadable: {worst} to {best}"


_BESIDE = {
    "refused": "Refusals",
    "wrong_yes": "Wrong answers of yes",
    "nll": "NLL of general instructions",
    "perplexity": "Perplexity",
    "alpha": "Krippendorff's alpha",
    "bertscore": "BERTScore",
}
"""Measured beside the columns of the table."""


def provenance_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Metrics, and what computes them: a library with its version, and a model, if any."""
    labels = {metric.key: metric.label for metric in METRICS} | _BESIDE
    metrics: Mapping[str, Mapping[str, str]] = summary.get("metrics", {})
    found: dict[str, list[str]] = {}
    for key, made in metrics.items():
        found.setdefault(_made_by(made), []).append(labels.get(key, key))
    return [(", ".join(measured), by) for by, measured in found.items()]


def _made_by(made: Mapping[str, str]) -> str:
    if "absent" in made:
        return f"not measured ({made['absent']})"
    model = made.get("model", "")
    if Path(model).is_absolute():  # nobody else has this machine's folders
        model = Path(model).name
    return f"{made['library']} {made['version']}" + (f" (model: {model})" if model else "")


def system_rows(summary: Mapping[str, Any]) -> list[tuple[str, list[Cell]]]:
    """The table of systems: name and one cell a metric."""
    metrics = measured_metrics(summary)
    best = {metric.key: best_system(summary, metric) for metric in metrics}
    return [
        (
            system,
            [
                Cell(metric, estimate(summary, system, metric.key), best[metric.key] == system)
                for metric in metrics
            ],
        )
        for system in measured_systems(summary)
    ]


def difference_rows(summary: Mapping[str, Any]) -> list[tuple[str, list[Cell]]]:
    """Paired differences: "a against b" and one cell a metric, marked where a is clearly better."""
    matches = dict.fromkeys((row["a"], row["b"]) for row in summary.get("differences", ()))
    return [
        (
            f"{a} against {b}",
            [_difference_cell(summary, a, b, m) for m in measured_metrics(summary)],
        )
        for a, b in matches
    ]


def _difference_cell(summary: Mapping[str, Any], a: str, b: str, metric: Metric) -> Cell:
    found = difference(summary, a, b, metric.key)
    return Cell(metric, found, found is not None and found.sign(metric) == "better")


def win_rows(summary: Mapping[str, Any]) -> list[WinRow]:
    """The win rates of admitted judges; those of others mean nothing and are left out."""
    admitted = {judge["name"] for judge in summary.get("judges", ()) if judge["admitted"]}
    return [
        WinRow(
            row,
            read_estimate(row, "rate"),
            read_estimate(row.get("corrected")),
            read_estimate(row.get("length_controlled"), "rate"),
            row.get("flip_rate"),
        )
        for row in summary.get("win_rates", ())
        if row["judge"] in admitted
    ]
