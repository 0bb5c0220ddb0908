"""The report's plain sentences, each computed from the numbers that it speaks of."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from adhere.records import Verdict
from adhere.report.clauses import RESULTS
from adhere.report.costs import REFUSED, WRONG_YES
from adhere.report.data import (
    METRICS,
    Comparison,
    Estimate,
    Metric,
    ReportData,
    difference,
    estimate,
    headline_system,
    measured_metrics,
    measured_systems,
    read_estimate,
)
from adhere.report.kept import DropCount, Funnel

_METRIC = {metric.key: metric for metric in METRICS}


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 clause`, `2 clauses`, `1,200 clauses`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def titles(data: ReportData) -> list[str]:
    """The documents' names; of more than three, the first two and how many more."""
    names = [document.name for document in data.documents]
    return names if len(names) <= 3 else [*names[:2], f"{len(names) - 2} more documents"]


def summary_sentences(data: ReportData) -> tuple[str, ...]:
    """Three to five sentences that say what was done and what came of it."""
    system = headline_system(data.summary)
    if system is None:
        return (_made(data), "The systems have not been evaluated, so nothing is claimed here.")
    found = (
        _preference(data.summary, system),
        _likelihood(data.summary, system),
        _answers(data.summary, system),
        _clauses(data),
    )
    return (_made(data), *filter(None, found))


def _made(data: ReportData) -> str:
    rows = " and ".join(
        counted(len(records), noun)
        for records, noun in ((data.examples, "example"), (data.pairs, "preference pair"))
        if records
    )
    source = listed(titles(data)) or "no document"
    student = data.made_with("sft", "models.student")
    kept = f"; {rows} were kept for training {student}" if rows else ""
    return f"{counted(len(data.clauses), 'clause')} were found in {source}{kept}."


def _preference(summary: Mapping[str, Any], system: str) -> str | None:
    metric = _METRIC["preference_accuracy"]
    ours, base = (estimate(summary, name, metric.key) for name in (system, "base"))
    if ours is None:
        return None
    start = (
        f"On {counted(ours.n, 'held-out question')}, {system} prefers the faithful answer "
        f"in {ours.text(metric)}"
    )
    if base is None:
        return f"{start}; base was not measured, so there is nothing to compare it with."
    verdict = _verdict(summary, (system, "base"), metric)
    return f"{start} against {base.text(metric)} for base; {verdict}"


def _likelihood(summary: Mapping[str, Any], system: str) -> str | None:
    metric = _METRIC["reference_nll"]
    ours, base = (estimate(summary, name, metric.key) for name in (system, "base"))
    if ours is None or base is None:
        return None
    paired = difference(summary, system, "base", metric.key)
    found = paired.sign(metric) if paired else ours.versus(base, metric)
    return (
        f"{_LIKELIER[found]}: {ours.text(metric)} nats of surprise a token against "
        f"{base.text(metric)}; {_verdict(summary, (system, 'base'), metric)}"
    )


_UNDECIDED = "Whether the reference answers are likelier to it than to base is undecided"
_LIKELIER: dict[Comparison, str] = {
    "better": "The reference answers are likelier to it than to base",
    "worse": "The reference answers are less likely to it than to base",
    "overlap": _UNDECIDED,
    "unknown": _UNDECIDED,
}
"""By the paired difference, where it is known: intervals overlap also where it is clear."""


def _answers(summary: Mapping[str, Any], system: str) -> str | None:
    """How often it says the contrary of what the documents say, both ways."""
    ways = (
        ("wrong_yes", WRONG_YES, "that the documents answer with no, it answers {} with yes"),
        ("permitted", REFUSED, "about what they permit, it declines or denies {}"),
    )
    said: list[str] = []
    for kind, metric, words in ways:
        measured = summary.get("costs", {}).get(kind, {}).get("systems", {})
        ours, base = (
            read_estimate(measured.get(name, {}).get(metric.key)) for name in (system, "base")
        )
        if ours and base and ours.low is not None:
            said.append(
                f"of {counted(ours.n, 'question')} {words.format(ours.text(metric))}, "
                f"base {base.text(metric)}"
            )
    return f"By its answers, {'; '.join(said)}." if said else None


def _verdict(summary: Mapping[str, Any], pair: tuple[str, str], metric: Metric) -> str:
    """What the two intervals say, and, where they overlap, what the paired difference says."""
    a, b = (estimate(summary, system, metric.key) for system in pair)
    found: Comparison = a.versus(b, metric) if a and b else "unknown"
    paired = difference(summary, *pair, metric.key)
    sign: Comparison = paired.sign(metric) if paired else "unknown"
    if found == "overlap" and paired and sign in ("better", "worse"):
        unit = " points" if metric.unit == "per cent" else ""
        return (
            f"the intervals overlap, but question by question {pair[0]} is {sign}: the paired "
            f"difference is {metric.number(paired.value)}{unit} ({paired.interval(metric)})."
        )
    return _VERDICTS[found]


_VERDICTS: dict[Comparison, str] = {
    "better": "the intervals do not touch.",
    "worse": "the intervals do not touch, so it is worse.",
    "overlap": "the intervals overlap, so no difference is shown.",
    "unknown": "without intervals this shows nothing.",
}


def _clauses(data: ReportData) -> str | None:
    counts = Counter(entry["result"] for entry in data.summary.get("clauses", ()))
    if not counts:
        return None
    known = [word for word in RESULTS if word in counts]
    parts = [f"{counts[word]} {word}" for word in known]
    parts += [f"{count} {word}" for word, count in counts.items() if word not in RESULTS]
    return f"Of {counted(counts.total(), 'clause')}: {listed(parts)}."


def comparison_sentences(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """What each further step of training, and plain retrieval, added on preference accuracy."""
    metric = _METRIC["preference_accuracy"]
    present = measured_systems(summary)
    steps = (("sft+dpo", "sft"), ("sft+dpo", "dpo"), ("base+rag", "base"))
    return tuple(
        f"{a} against {b}, {metric.label.lower()}: {ours.text(metric)} and {theirs.text(metric)}; "
        f"{_verdict(summary, (a, b), metric)}"
        for a, b in steps
        if a in present
        and b in present
        and (ours := estimate(summary, a, metric.key))
        and (theirs := estimate(summary, b, metric.key))
    )


def exam_sentence(judge: Mapping[str, Any]) -> str:
    """How one judge did on pairs with a known winner, and what follows from that."""
    kinds = [f"{kind} {_right(row)}" for kind, row in judge.get("kinds", {}).items()]
    bound = "; ".join((f"lower bound {_percent(judge['low'])}", *kinds))
    result = (
        f"The judge `{judge['name']}` was right on {_percent(judge['exam_accuracy'])} of "
        f"{counted(judge['n'], 'exam pair')} with a known winner ({bound})"
    )
    if judge["admitted"]:
        return f"{result}, so its verdicts are shown.{_by_length(judge)}"
    withheld = judge.get("withheld") or f"withheld: {result[0].lower()}{result[1:]}."
    return f"Win rates {withheld}{_by_length(judge)}"


def _by_length(judge: Mapping[str, Any]) -> str:
    """A judge of length is right where the longer answer is, and wrong where it is wrong."""
    said = [
        f"where {name.replace('longer', 'the longer answer')}, on {_right(row)}"
        for name, row in sorted(judge.get("lengths", {}).items())
    ]
    return f" By length it was right {listed(said)}." if said else ""


def _right(row: Mapping[str, Any]) -> str:
    """Of one kind of exam pair: how many were right, with the interval of that rate."""
    interval = f"{_percent(row['low'])} to {_percent(row['high'])}"
    return f"{row['right']} of {row['n']} ({interval})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def verdict_words(verdict: Verdict) -> str:
    """Who one judge found better on one probe, and how."""
    both = f"{verdict.a} and {verdict.b}"
    if verdict.unreadable:
        return f"{both}: {verdict.judge} gave no verdict that could be read; in no rate"
    if verdict.flipped:
        return f"{both}: {verdict.judge} changed its mind with the order; counted as a tie"
    if verdict.winner == "tie":
        return f"{both}: a tie by {verdict.judge}"
    won, lost = (verdict.a, verdict.b) if verdict.winner == "a" else (verdict.b, verdict.a)
    said = f"{won} beats {lost} by {verdict.judge}"
    return said if verdict.judge == _PEOPLE else f"{said}, margin {abs(verdict.margin):.2f}"


_PEOPLE = "people"
"""Who fill in a sheet, as `evaluate` names them; they say who won and not by how much."""


def agreement_sentences(summary: Mapping[str, Any]) -> list[str]:
    """How far the judges that have verdicts agree, two by two and all together."""
    return [
        f"{listed(row['judges'])} say the same of {_percent(row['same'])} of "
        f"{counted(row['n'], 'comparison')} (Krippendorff's alpha "
        f"{'unknown' if row['alpha'] is None else format(row['alpha'], '.2f')})."
        for row in summary.get("agreement", ())
        if row["n"]
    ]


def limits(data: ReportData) -> tuple[str, ...]:
    """What these numbers cannot show."""
    return tuple(
        filter(
            None,
            (
                _small_sample(data),
                _few_clauses(data),
                f"One training seed ({_seeds(data)}): another seed gives other numbers.",
                "The questions and reference answers were written by "
                f"{data.made_with('generate', 'models.teacher')}{_people(data)}; where "
                "it misread the document, the reference is wrong too.",
                "Grounding gain, and any judge built on likelihood, rewards copying the passage.",
                "What is tested is what the model says when asked, not what it does elsewhere"
                f"{'' if 'costs' in data.summary else ', and not whether other abilities suffered'}"
                ".",
            ),
        )
    )


def _seeds(data: ReportData) -> str:
    """The seeds of the trainings, each by itself where they differ."""
    seeds = {stage: data.made_with(stage, f"{stage}.seed") for stage in ("sft", "dpo")}
    one, *others = set(seeds.values())
    return ", ".join(f"{stage} {seed}" for stage, seed in seeds.items()) if others else str(one)


def _people(data: ReportData) -> str:
    """What people changed of the rows that the teacher wrote, by the curation's manifest."""
    facts = [one.facts.get("review", {}) for one in data.manifests if one.stage == "curate"]
    accepted, edited, rejected = (
        sum(review.get(choice, 0) for review in facts) for choice in ("accept", "edit", "reject")
    )
    if not accepted + edited + rejected:
        return ", not by people"
    return (
        f"; people accepted {accepted} of the rows as they were, edited {edited} and rejected "
        f"{rejected}, and decided on no others"
    )


def _small_sample(data: ReportData) -> str | None:
    metric = _METRIC["preference_accuracy"]
    base = estimate(data.summary, "base", metric.key)
    if base is None:
        return None
    asked = f"The comparison rests on {counted(base.n, 'held-out question')}"
    against = (headline_system(data.summary), "base", metric.key)
    rows = data.summary.get("differences", ())
    seen = [row["detectable"] for row in rows if (row["a"], row["b"], row["metric"]) == against]
    if not seen:
        return f"{asked}; a single clause's result rests on a handful of answers."
    gain = f"gain in {metric.label.lower()}"
    if seen[0] >= 1:  # a rate can gain no more
        return (
            f"{asked}, too few to show a difference: the greatest possible {gain} over base would "
            "be missed in 20 or more of 100 such evaluations. A single clause's result rests on a "
            "handful of answers."
        )
    return (
        f"{asked}: a true {gain} of less than {metric.number(seen[0])} "
        "points over base would be missed in more than 20 of 100 such evaluations, and a single "
        "clause's result rests on a handful of answers."
    )


def _few_clauses(data: ReportData) -> str | None:
    """Few clauses make wide intervals, and one odd clause moves them."""
    tested = len({probe.clause for probe in data.probes})
    if not 0 < tested < _MANY_CLAUSES:
        return None
    return (
        f"The intervals rest on {counted(tested, 'clause')} with held-out questions: so few "
        "that a single odd clause moves them."
    )


_MANY_CLAUSES = 20


def systems_words(summary: Mapping[str, Any]) -> str:
    """The plot of systems in words, for who cannot see it."""
    return " ".join(
        f"{metric.label}: {listed([f'{system} {cell.text(metric)}' for system, cell in cells])}."
        for metric in measured_metrics(summary)
        if (cells := _column(summary, metric))
    )


def _column(summary: Mapping[str, Any], metric: Metric) -> list[tuple[str, Estimate]]:
    return [
        (system, cell)
        for system in measured_systems(summary)
        if (cell := estimate(summary, system, metric.key))
    ]


def data_words(rows: Sequence[Funnel], drops: Sequence[DropCount]) -> str:
    """The plot of the data in words."""
    kept = [f"{row.kept} {row.kind}" for row in rows]
    dropped = [f"{drop.count} for {drop.reason}" for drop in drops]
    return f"Kept: {listed(kept)}. Dropped: {listed(dropped) or 'none'}."


def curve_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """How the training loss went, in words."""
    losses = [(row["step"], row["loss"]) for row in rows if "loss" in row and "step" in row]
    if not losses:
        return "no loss was logged."
    (first, start), (last, end) = losses[0], losses[-1]
    return f"the loss went from {start:.2f} at step {first:.0f} to {end:.2f} at step {last:.0f}."
