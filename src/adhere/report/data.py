"""What the report is made from, and how its numbers are read and written."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from adhere.records import (
    ALIGNED,
    Answer,
    Clause,
    Document,
    Dropped,
    Example,
    Passage,
    PreferencePair,
    Probe,
    Verdict,
)
from adhere.settings import RunSettings
from adhere.store import Manifest, made_with

if TYPE_CHECKING:
    from adhere.report.changes import Changes

Comparison = Literal["better", "worse", "overlap", "unknown"]

SYSTEMS = {
    "base": "the student as it came",
    "base+rag": "the student, reading retrieved passages",
    "base+document": "the student, reading what its context holds",
    "document-lm": "trained on the documents' plain text for as many steps",
    "sft": "fine-tuned on the examples",
    "dpo": "preference-tuned on the pairs",
    "sft+dpo": "fine-tuned, then preference-tuned",
    "sft+dpo+rag": "sft+dpo, reading retrieved passages",
    "teacher+passage": "a ceiling, not an opponent",
}
"""The ladder of systems in its order, with a few words on each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportData:
    """Everything that a run has so far; what is missing is left empty."""

    settings: RunSettings
    """As the run file has them now; what the stages were made with is in `manifests`."""
    documents: Sequence[Document] = ()
    passages: Sequence[Passage] = ()
    clauses: Sequence[Clause] = ()
    aside: Sequence[Clause] = ()
    """Those that gave way to others."""
    examples: Sequence[Example] = ()
    pairs: Sequence[PreferencePair] = ()
    probes: Sequence[Probe] = ()
    """The held-out questions that were kept."""
    written: Sequence[Probe] = ()
    """The held-out questions as generated, before curation."""
    dropped: Sequence[Dropped] = ()
    """Of all stages."""
    answers: Sequence[Answer] = ()
    verdicts: Sequence[Verdict] = ()
    summary: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """`evaluate/summary.json`."""
    official: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """`evaluate/official.json`, where the user gave answers marked by people."""
    changes: "Changes | None" = None
    """Since the evaluation before, where the documents were others."""
    manifests: Sequence[Manifest] = ()
    """Of the finished stages, in their order."""
    curves: Mapping[str, Sequence[Mapping[str, Any]]] = field(
        default_factory=dict[str, list[dict[str, Any]]]
    )
    """Name of a training ("sft", "dpo", "dpo-alone") -> its log, one row a logged step."""
    date: datetime.date = field(default_factory=datetime.date.today)

    def made_with(self, stage: str, name: str) -> Any:
        """A setting (`sft.seed`) as the stage had it; as it is now where that is not known."""
        section, part = name.split(".")
        manifest = next((one for one in self.manifests if one.stage == stage), None)
        return made_with(manifest, name, getattr(getattr(self.settings, section), part))


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of the table of systems."""

    key: str
    label: str
    better: Literal["higher", "lower", "neither"]
    meaning: str
    unit: Literal["fraction", "per cent", "words"] = "fraction"

    @property
    def arrow(self) -> str:
        return {"higher": "↑", "lower": "↓", "neither": ""}[self.better]

    def number(self, value: float) -> str:
        """`value` without its unit: whole per cent, whole words, else two decimals."""
        scale, decimals = {"fraction": (1, 2), "per cent": (100, 0), "words": (1, 0)}[self.unit]
        text = f"{scale * value:.{decimals}f}"
        signed = text if float(text) else text.lstrip("-")
        return signed.replace("-", "\N{MINUS SIGN}")

    def write(self, value: float) -> str:
        """`value` as the report prints it."""
        return self.number(value) + ("\N{NO-BREAK SPACE}%" if self.unit == "per cent" else "")


METRICS = (
    Metric(
        "preference_accuracy",
        "Preference accuracy",
        "higher",
        "how often the faithful answer is more likely to the system than the unfaithful one",
        unit="per cent",
    ),
    Metric(
        "preference_margin",
        "Preference margin",
        "higher",
        "by how much the faithful answer is likelier to the system than the unfaithful one, in "
        "nats a token",
    ),
    Metric(
        "yes_no_accuracy",
        "Yes or no right",
        "higher",
        "of the questions that the reference answers with yes or no: how often that word is "
        "likelier to the system than the other as the beginning of an answer",
        unit="per cent",
    ),
    Metric(
        "reference_nll",
        "Reference NLL",
        "lower",
        "mean negative log-likelihood of the reference answer, in nats a token",
    ),
    Metric(
        "rouge_l",
        "ROUGE-L",
        "higher",
        "longest common subsequence of words with the reference answer, F1 from 0 to 1",
    ),
    Metric(
        "embedding_similarity",
        "Embedding similarity",
        "higher",
        "cosine of the answer's and the reference's sentence embeddings",
    ),
    Metric(
        "grounding_gain",
        "Grounding gain",
        "higher",
        "how much likelier the passage makes the answer to the teacher, in nats a token; "
        "it also rewards copying the passage",
    ),
    Metric("length", "Answer length", "neither", "words of the answer", unit="words"),
)

_ALPHA = 0.05
"""As the intervals' 95 %."""

WIN_RATE = Metric(
    "win_rate",
    "Win rate",
    "higher",
    "wins and half the ties, of the verdicts that could be read",
    unit="per cent",
)


GAIN = Metric(
    "gain", "Gain", "higher", "nats a token by which the references became likelier than to base"
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, over `n` probes; bounds are None where it has no interval."""

    value: float
    low: float | None
    high: float | None
    n: int
    p: float | None = None
    """Of the test that a difference is 0; None of other values."""

    def versus(self, other: "Estimate", metric: Metric) -> Comparison:
        """Whether this interval is clear of the other's, and on which side.

        Intervals that touch count as overlapping; "unknown" where there is no interval,
        or neither side is the better one.
        """
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return "unknown"
        if metric.better == "neither":
            return "unknown"
        if self.low > other.high:
            return "better" if metric.better == "higher" else "worse"
        if self.high < other.low:
            return "better" if metric.better == "lower" else "worse"
        return "overlap"

    def interval(self, metric: Metric) -> str:
        """`84 to 96`, in the metric's unit."""
        if self.low is None or self.high is None:
            return "no interval"
        return f"{metric.number(self.low)} to {metric.number(self.high)}"

    def sign(self, metric: Metric) -> Comparison:
        """What a difference says: better or worse where its interval is clear of zero.

        Of fewer than six clauses no p is small, however clear the interval: unknown.
        """
        found = self.versus(Estimate(0, 0, 0, self.n), metric)
        return (
            "unknown" if found != "overlap" and self.p is not None and self.p >= _ALPHA else found
        )

    def text(self, metric: Metric) -> str:
        """`91 % (84 to 96)`."""
        return f"{metric.write(self.value)} ({self.interval(metric)})"


def read_estimate(cell: Mapping[str, Any] | None, value: str = "value") -> Estimate | None:
    """The estimate in a table's cell; None where it was not, or could not be, measured."""
    if not cell or cell[value] is None or not isfinite(cell[value]):
        return None
    return Estimate(cell[value], cell["low"], cell["high"], cell.get("n", 0), cell.get("p_value"))


def estimate(summary: Mapping[str, Any], system: str, metric: str) -> Estimate | None:
    """One cell of the table of systems."""
    return read_estimate(summary.get("systems", {}).get(system, {}).get(metric))


def difference(summary: Mapping[str, Any], a: str, b: str, metric: str) -> Estimate | None:
    """Metric of a minus metric of b, paired on the probes of both; None where not computed."""
    wanted = (a, b, metric)
    rows = summary.get("differences", ())
    return next(
        (read_estimate(row) for row in rows if (row["a"], row["b"], row["metric"]) == wanted), None
    )


def measured_systems(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """The systems that were evaluated, in the ladder's order; unknown ones last."""
    present = summary.get("systems", {})
    known = [name for name in SYSTEMS if name in present]
    return (*known, *(name for name in present if name not in SYSTEMS))


def measured_metrics(summary: Mapping[str, Any]) -> tuple[Metric, ...]:
    """The metrics that at least one system has a value for."""
    systems = measured_systems(summary)
    return tuple(
        metric
        for metric in METRICS
        if any(estimate(summary, system, metric.key) for system in systems)
    )


def headline_system(summary: Mapping[str, Any]) -> str | None:
    """The aligned system that the report's first sentences are about."""
    present = measured_systems(summary)
    return next((name for name in ALIGNED if name in present), None)


def best_system(summary: Mapping[str, Any], metric: Metric) -> str | None:
    """The system with the best value, if its interval is clear of base's; else None."""
    cells = {
        system: cell
        for system in measured_systems(summary)
        if (cell := estimate(summary, system, metric.key))
    }
    if "base" not in cells or metric.better == "neither":
        return None
    sign = 1 if metric.better == "higher" else -1
    best = max(cells, key=lambda system: sign * cells[system].value)
    return best if cells[best].versus(cells["base"], metric) == "better" else None
