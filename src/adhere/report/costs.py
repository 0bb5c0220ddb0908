"""What alignment cost, and answers marked by people: tables beside that of the probes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adhere.report.data import Estimate, Metric, headline_system, read_estimate

REFUSED = Metric("refused", "Declined or denied", "lower", "", unit="per cent")
WRONG_YES = Metric("wrong_yes", "Answered with yes", "lower", "", unit="per cent")
_NEEDED = Metric("refused", "Declined or denied", "higher", "", unit="per cent")
_NLL = Metric("nll", "NLL of good answers", "lower", "nats a token")
ACCURACY = Metric("accuracy", "Agrees with people", "higher", "", unit="per cent")
_BETTER: Mapping[bool | None, Literal["higher", "lower", "neither"]] = {
    True: "higher",
    False: "lower",
    None: "neither",
}
"""Of a task's metric, as lm-evaluation-harness says it."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """One measure by base and by the aligned model; `absent` says why there is none."""

    what: str
    metric: Metric
    base: Estimate | None = None
    ours: Estimate | None = None
    change: Estimate | None = None
    absent: str = ""


def cost_rows(summary: Mapping[str, Any]) -> list[CostRow]:
    """`costs` of `summary.json`, base against the aligned model."""
    costs, ours = summary.get("costs", {}), headline_system(summary)
    refusals = costs.get("refusals", {})
    kinds = (
        ("Questions about what the documents permit: declined or denied", REFUSED, "permitted"),
        ("Questions about what they do not forbid: declined or denied", REFUSED, "twins"),
        ("Questions that a duty answers with yes: declined or denied", REFUSED, "duties"),
        ("Questions that the documents answer with no: answered with yes", WRONG_YES, "wrong_yes"),
        ("Safe requests of the file given: declined or denied", REFUSED, "safe"),
        ("Unsafe requests of the file given: declined or denied", _NEEDED, "unsafe"),
        ("General instructions: surprise at good answers, nats a token", _NLL, "general"),
    )
    found = {**costs, "safe": refusals.get("safe"), "unsafe": refusals.get("unsafe")}
    rows = [_row(what, metric, found[key], ours) for what, metric, key in kinds if found.get(key)]
    rows += [
        _row(f"Task {task} of lm-evaluation-harness: {metric.label}", metric, part, ours)
        for task, part in costs.get("harness", {}).get("tasks", {}).items()
        for metric in _marks(part)
    ]
    if "absent" in refusals:
        rows.append(CostRow("Safe and unsafe requests", REFUSED, absent=refusals["absent"]))
    return rows


def _marks(part: Mapping[str, Any]) -> list[Metric]:
    """The metrics of one task."""
    return [
        Metric(name, name, _BETTER[higher], "") for name, higher in part["higher_is_better"].items()
    ]


def said_of_unread(found: Mapping[str, Any], system: str | None) -> str:
    """What of one cost could not be read of the system's answers, in words; empty if nothing."""
    parts: list[str] = []
    if empty := found.get("empty", {}).get(system, 0):
        parts.append(f"{empty} empty answers left out")
    if foreign := found.get("left_out", 0):
        parts.append(f"{foreign} in other languages than English left out")
    return ", ".join(parts)


def _row(what: str, metric: Metric, found: Mapping[str, Any], ours: str | None) -> CostRow:
    if "absent" in found:
        return CostRow(what, metric, absent=found["absent"])
    systems = found["systems"]
    if unread := said_of_unread(found, ours):
        what = f"{what} ({unread})"
    change = next(
        (
            row
            for row in found["differences"]
            if (row["a"], row["b"], row["metric"]) == (ours, "base", metric.key)
        ),
        None,
    )
    return CostRow(
        what,
        metric,
        read_estimate(systems.get("base", {}).get(metric.key)),
        read_estimate(systems.get(ours, {}).get(metric.key)),
        read_estimate(change),
    )


def official_rows(official: Mapping[str, Any]) -> list[tuple[str, Estimate]]:
    """System -> how often it finds the answer that people marked good likelier than a bad one."""
    cells = (
        (system, read_estimate(metrics.get(ACCURACY.key)))
        for system, metrics in official.get("systems", {}).items()
    )
    return [(system, cell) for system, cell in cells if cell]


def official_notes(official: Mapping[str, Any]) -> list[str]:
    """What was left out of the situations, and what must be known of a system's numbers."""
    notes = [f"{system}: {note}" for system, note in official.get("notes", {}).items()]
    if not (count := len(official.get("left_out", ()))):
        return notes
    left = (
        "1 situation was left out, a near twin of a training row"
        if count == 1
        else f"{count:,} situations were left out, near twins of training rows"
    )
    return [f"{left} (evaluate/dropped.jsonl).", *notes]
