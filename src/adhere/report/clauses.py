"""The clauses with what came of each, and the documents cut at them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from adhere.records import (
    Answer,
    Clause,
    Document,
    Example,
    Passage,
    PreferencePair,
    Probe,
    Verdict,
)
from adhere.report.data import Estimate, ReportData, measured_systems, read_estimate

R = TypeVar("R", Example, PreferencePair)


@dataclass(frozen=True, slots=True)
class Result:
    """How a clause's result is shown: a sign, a tone (a CSS class), and what it means."""

    sign: str
    tone: str
    meaning: str


RESULTS = {
    "learned": Result("✓", "good", "the aligned model is right on most probes, and base was not"),
    "already followed": Result("=", "kept", "base was right on most probes too"),
    "not learned": Result("✗", "bad", "the aligned model is wrong on most probes"),
    "cannot tell": Result(
        "?", "mixed", "one probe with a side to take, or none, or probes that disagree"
    ),
    "untested": Result("–", "none", "no held-out probe was kept and scored"),
}
"""The results of `evaluate`, as `adhere.evaluate.coverage` defines them."""


@dataclass(frozen=True, slots=True)
class ProbeView:
    """A held-out question with every system's answer, in the ladder's order, and who judged."""

    probe: Probe
    answers: tuple[Answer, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class ClauseRow:
    """One clause, with where it stands and what came of it."""

    number: int
    clause: Clause
    document: str
    headings: tuple[str, ...]
    page: int | None
    quote: str
    """Of the document; "" where the statement is the same words."""
    examples: tuple[Example, ...]
    pairs: tuple[PreferencePair, ...]
    probes: tuple[ProbeView, ...]
    result: str
    look: Result
    evidence: str
    gain: Estimate | None
    """Nats a token by which the references became likelier, with the clause's interval."""
    p_holm: float | None
    """That there is no gain or loss, corrected over all clauses."""
    untested: str
    """Why no probe was kept; empty for a clause that has one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a document that the same clauses cover."""

    text: str
    clauses: tuple[ClauseRow, ...]
    starts: tuple[ClauseRow, ...]
    ends: tuple[ClauseRow, ...]
    passages: tuple[str, ...]
    """Ids of the passages that begin here."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What came of the clauses of one polarity."""

    polarity: str
    clauses: int
    rows: int
    probes: int
    results: Mapping[str, int]


def clause_rows(data: ReportData) -> list[ClauseRow]:
    """The clauses, numbered in the order in which the documents say them."""
    order = {document.id: place for place, document in enumerate(data.documents)}
    clauses = sorted(data.clauses, key=lambda c: (order.get(c.document, len(order)), c.start, c.id))
    documents = {document.id: document for document in data.documents}
    passages = {passage.id: passage for passage in data.passages}
    found = {entry["id"]: entry for entry in data.summary.get("clauses", ())}
    examples, pairs = _by_clause(data.examples), _by_clause(data.pairs)
    probes, reasons = _probe_views(data), _untested(data)
    return [
        _clause_row(
            number,
            clause,
            documents.get(clause.document),
            passages.get(clause.passage),
            (tuple(examples[clause.id]), tuple(pairs[clause.id])),
            tuple(probes[clause.id]),
            found.get(clause.id, {}),
            reasons[clause.id],
        )
        for number, clause in enumerate(clauses, 1)
    ]


def _clause_row(
    number: int,
    clause: Clause,
    document: Document | None,
    passage: Passage | None,
    rows: tuple[tuple[Example, ...], tuple[PreferencePair, ...]],
    probes: tuple[ProbeView, ...],
    found: Mapping[str, Any],
    reasons: Counter[str],
) -> ClauseRow:
    result = found.get("result", "untested")
    quote = document.text[clause.start : clause.end].strip() if document else ""
    return ClauseRow(
        number=number,
        clause=clause,
        document=document.name if document else clause.document,
        headings=passage.path(clause.start, clause.end) if passage else (),
        page=passage.page if passage else None,
        quote="" if quote == clause.statement else quote,
        examples=rows[0],
        pairs=rows[1],
        probes=probes,
        result=result,
        look=RESULTS.get(result, Result("•", "mixed", "")),
        evidence=found.get("evidence", ""),
        gain=read_estimate(found, "gain") if "gain" in found else None,
        p_holm=found.get("p_holm"),
        untested="" if probes else _why_untested(reasons),
    )


def _untested(data: ReportData) -> dict[str, Counter[str]]:
    """Clause id -> what became of its attempts at a probe, by reason.

    A question that fails before it is one belongs to the clause and not yet to a use.
    """
    clause_of = {probe.id: probe.clause for probe in data.written}
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for drop in data.dropped:
        if drop.stage == "generate":
            reasons[drop.record_id][drop.reason] += 1
        elif drop.record_id in clause_of:
            reasons[clause_of[drop.record_id]][f"probe dropped: {drop.reason}"] += 1
    return reasons


def _why_untested(reasons: Counter[str]) -> str:
    said = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(4))
    return f"No held-out question was kept: {said}." if said else "No held-out question was kept."


def _by_clause(records: Iterable[R]) -> dict[str, list[R]]:
    groups: dict[str, list[R]] = defaultdict(list)
    for record in records:
        groups[record.clause].append(record)
    return groups


def _probe_views(data: ReportData) -> dict[str, list[ProbeView]]:
    place = {system: number for number, system in enumerate(measured_systems(data.summary))}
    answers: dict[str, list[Answer]] = defaultdict(list)
    for answer in data.answers:
        answers[answer.probe].append(answer)
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in data.verdicts:
        verdicts[verdict.probe].append(verdict)
    views: dict[str, list[ProbeView]] = defaultdict(list)
    for probe in data.probes:
        ordered = sorted(answers[probe.id], key=lambda a: place.get(a.system, len(place)))
        views[probe.clause].append(ProbeView(probe, tuple(ordered), tuple(verdicts[probe.id])))
    return views


def standing_rows(rows: Sequence[ClauseRow]) -> list[Standing]:
    """One a polarity, and all together."""
    polarities = sorted({row.clause.polarity for row in rows})
    groups = [(name, [row for row in rows if row.clause.polarity == name]) for name in polarities]
    return [
        Standing(
            name,
            len(own),
            sum(len(row.examples) + len(row.pairs) for row in own),
            sum(len(row.probes) for row in own),
            Counter(row.result for row in own),
        )
        for name, own in (*groups, ("all", rows))
        if own
    ]


def legend(rows: Sequence[ClauseRow]) -> list[tuple[str, Result, int]]:
    """Each result that occurs, the most frequent first, with how many clauses have it."""
    counts = Counter(row.result for row in rows)
    look = {row.result: row.look for row in rows}
    return [(result, look[result], count) for result, count in counts.most_common()]


def segments(
    document: Document, rows: Sequence[ClauseRow], passages: Sequence[Passage] = ()
) -> Iterator[Segment]:
    """The text cut where a clause begins or ends or a passage begins; joined, it is the whole."""
    end = len(document.text)
    begins: dict[int, list[str]] = defaultdict(list)
    for passage in passages:
        if passage.document == document.id:
            begins[min(passage.start, end)].append(passage.id)
    spans = [
        (min(row.clause.start, end), min(row.clause.end, end), row)
        for row in rows
        if row.clause.document == document.id and row.clause.start < end
    ]
    cuts = sorted({0, end, *begins, *(cut for start, stop, _ in spans for cut in (start, stop))})
    for left, right in pairwise(cuts):
        covering = [span for span in spans if span[0] <= left and span[1] >= right]
        yield Segment(
            document.text[left:right],
            tuple(row for _, _, row in covering),
            tuple(row for start, _, row in covering if start == left),
            tuple(row for _, stop, row in covering if stop == right),
            tuple(begins[left]),
        )
