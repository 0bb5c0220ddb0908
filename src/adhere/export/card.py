"""The model card: README.md in the Hugging Face hub's layout, from what the run measured."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from adhere.evaluate.matches import aligned
from adhere.export.parity import Parity
from adhere.models.catalogue import CATALOGUE
from adhere.records import Document
from adhere.report.costs import CostRow, cost_rows
from adhere.report.data import (
    METRICS,
    SYSTEMS,
    WIN_RATE,
    Estimate,
    Metric,
    headline_system,
    read_estimate,
)
from adhere.report.systems import provenance_rows

Summary = Mapping[str, Any]

_TEMPLATE = Path(__file__).with_name("card.md.jinja")
_RESULTS = ("learned", "already followed", "not learned", "cannot tell", "untested")
_NAMED = ("learned", "not learned", "untested")
"""The results whose clauses the card lists."""
_DATA = {
    "ingest": ("documents", "passages"),
    "clauses": ("clauses",),
    "curate": ("examples", "pairs", "probes"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a model card is made from."""

    name: str
    student: str
    """As the run's settings have it: a catalogue name, a folder, or a hub repository."""
    teacher: str
    """The model that wrote the rows."""
    system: str
    lora: bool
    """An adapter was trained, and is merged in; else every weight."""
    documents: Sequence[Document]
    licences: Mapping[str, str]
    """Document name -> licence; empty where none was stated."""
    summary: Summary
    """`evaluate/summary.json`."""
    alarms: Sequence[tuple[str, str]] = ()
    """What looked wrong in the trainings behind it: the stage, and a sentence."""
    parities: Sequence[Parity] = ()
    remarks: Sequence[str] = ()
    """What was left out of the export and why, in sentences."""

    def write(self) -> str:
        """The text of README.md."""
        environment = Environment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
        )
        template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
        return self._header() + template.render(self._facts()) + "\n"

    def _header(self) -> str:
        from huggingface_hub import ModelCardData

        method = ["lora"] if self.lora else []
        data = ModelCardData(
            base_model=repository(self.student),
            library_name="transformers",
            pipeline_tag="text-generation",
            license=licence(self.student),
            tags=["adhere", "alignment", *method, *self.system.split("+")],
        )
        return f"---\n{data.to_yaml()}\n---\n\n"

    def _facts(self) -> dict[str, Any]:
        summary = self.summary
        # Clause by clause, evaluate compares base with the fully aligned system alone.
        clauses = summary["clauses"] if self.system == aligned(list(summary["systems"])) else []
        counted = Counter(row["result"] for row in clauses)
        systems = ["base", self.system]
        metrics = _measured(summary["systems"], systems)
        costs = cost_rows(summary) if self.system == headline_system(summary) else []
        shown = {one.key for one in metrics} | {row.metric.key for row in costs if not row.absent}
        return {
            "name": self.name,
            "base": repository(self.student) or f"`{Path(self.student).name}`",
            "documents": self.documents,
            "licences": self.licences,
            "system": self.system,
            "meaning": SYSTEMS[self.system],
            "data": _data(summary["counts"]),
            "teacher": self.teacher,
            "clauses": len(clauses),
            "results": [(one, counted[one]) for one in _RESULTS if counted[one]],
            "named": [
                (one, [_line(row["statement"]) for row in clauses if row["result"] == one])
                for one in _NAMED
                if counted[one]
            ],
            "probes": summary["counts"]["curate"]["probes"],
            "systems": systems,
            "metrics": _metric_rows(metrics, summary["systems"], systems),
            "provenance": provenance_rows(_computed(summary, shown)),
            "costs": [_cost(row) for row in costs if not row.absent],
            "uncosted": [f"{row.what}. {row.absent}" for row in costs if row.absent],
            "judges": [{"name": one["name"], "says": _judge(one)} for one in summary["judges"]],
            "wins": [
                _win(win, next(one for one in summary["judges"] if one["name"] == win["judge"]))
                for win in summary["win_rates"]
                if (win["a"], win["b"]) == (self.system, "base")
            ],
            "alarms": self.alarms,
            "files": [*(_file(parity) for parity in self.parities), *self.remarks],
            "licence": licence(self.student),
        }


def repository(student: str) -> str | None:
    """The student's repository on the hub, where that is known."""
    if student in CATALOGUE:
        return CATALOGUE[student].repository
    is_path = Path(student).expanduser().exists() or student.count("/") != 1
    return None if is_path else student


def licence(student: str) -> str | None:
    """The base model's licence by the hub's name for it, where the catalogue knows it."""
    return CATALOGUE[student].licence.lower() if student in CATALOGUE else None


def _data(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str]]:
    return [
        (stage, ", ".join(f"{counts[stage].get(what, 0):,} {what}" for what in whats))
        for stage, whats in _DATA.items()
        if stage in counts
    ]


def _measured(table: Mapping[str, Mapping[str, Summary]], systems: Sequence[str]) -> list[Metric]:
    """The metrics that one of the systems at least has a value for."""
    return [
        metric
        for metric in METRICS
        if any(read_estimate(table[one].get(metric.key)) for one in systems)
    ]


def _metric_rows(
    metrics: Sequence[Metric],
    table: Mapping[str, Mapping[str, Summary]],
    systems: Sequence[str],
) -> list[list[str]]:
    return [
        [
            f"{metric.label} {metric.arrow}".strip(),
            *(_counted(metric, read_estimate(table[one].get(metric.key))) for one in systems),
        ]
        for metric in metrics
    ]


def _counted(metric: Metric, found: Estimate | None) -> str:
    """A cell with the number of probes that it is of: not every metric is measured on all."""
    return _cell(metric, found) + (f", n = {found.n}" if found else "")


def _computed(summary: Summary, shown: Collection[str]) -> Summary:
    """What computed the metrics that the card shows, and of no others."""
    made: Summary = summary.get("metrics", {})
    return {"metrics": {key: by for key, by in made.items() if key in shown}}


def _cost(row: CostRow) -> list[str]:
    cells = [_cell(row.metric, found) for found in (row.base, row.ours, row.change)]
    return [f"{row.what} {row.metric.arrow}".strip(), *cells]


def _cell(metric: Metric, found: Estimate | None) -> str:
    if found is None:
        return "–"
    bounds = (
        ""
        if found.low is None or found.high is None
        else f" [{metric.number(found.low)}, {metric.number(found.high)}]"
    )
    return metric.write(found.value) + bounds


def _judge(judge: Summary) -> str:
    if judge.get("withheld"):
        return judge["withheld"]
    return (
        f"admitted, {judge['exam_accuracy']:.0%} of {judge['n']} exam pairs sorted right "
        f"(lower bound {judge['low']:.0%})."
    )


def _win(win: Summary, judge: Summary) -> str:
    raw, corrected = read_estimate(win, "rate"), read_estimate(win.get("corrected"))
    freed = (
        f"{_cell(WIN_RATE, corrected)} freed of the errors of its exam"
        if corrected
        else "not freed of the errors of its exam"
    )
    unread = win.get("unreadable", 0)
    lost = f", {unread} verdicts could not be read" if unread else ""
    return (
        f"Win rate against base, judge `{win['judge']}`: {_cell(WIN_RATE, raw)} as it judged, "
        f"{freed}{lost} ({judge['exam_accuracy']:.0%} of {judge['n']} pairs sorted right)"
    )


def _file(parity: Parity) -> str:
    text = (
        f"`{parity.file}`: the trained model's own greedy answer to {parity.same} of "
        f"{parity.prompts} probes"
    )
    if not parity.partings:
        return text + "."
    widest = max(one.gap for one in parity.partings)
    return (
        f"{text}; the others part at a near tie (the trained model preferred its token by at "
        f"most {widest:.2f} nats)."
    )


def _line(statement: str) -> str:
    return " ".join(statement.split())
