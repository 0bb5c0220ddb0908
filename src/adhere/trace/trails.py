"""The chains: what an id leads to, down to its sentence and up to its verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adhere.evaluate.sheet import BlindPair
from adhere.records import (
    Answer,
    Clause,
    Dropped,
    Example,
    Passage,
    PreferencePair,
    Probe,
    ProbeScore,
    Relation,
    Rewriting,
    Verdict,
)
from adhere.trace.find import find
from adhere.trace.run import Kind, RunRecords, SituationTrail

_AROUND = 160
"""Characters of the document shown on either side of a span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A span of a document's text, with a little of what stands around it."""

    document: str
    name: str
    passage: str | None
    headings: tuple[str, ...]
    page: int | None
    start: int
    end: int
    before: str
    text: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTrail:
    """A training row or a probe, and whether it was kept."""

    row: Example | PreferencePair | Probe
    kept: bool
    dropped: tuple[Dropped, ...]
    answers: tuple[Answer, ...] = ()
    scores: tuple[ProbeScore, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseTrail:
    """A clause and everything that was made of it."""

    clause: Clause
    place: Place
    result: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Its row of `evaluate/summary.json`; empty before evaluation."""
    examples: tuple[RowTrail, ...] = ()
    pairs: tuple[RowTrail, ...] = ()
    probes: tuple[RowTrail, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    """What was tried for this clause and did not become a row."""
    relations: tuple[Relation, ...] = ()
    """To other clauses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The chain through one record, both ways."""

    id: str
    kind: Kind
    place: Place | None
    """None where the record's passage is no longer in the run, or it stands in none or in two."""
    passages: tuple[str, ...]
    """Of a document: the ids of its passages."""
    clauses: tuple[ClauseTrail, ...]
    dropped: tuple[Dropped, ...]
    """What this id was dropped for, or what was passed over in this passage or document."""
    rewritings: tuple[Rewriting, ...] = ()
    """Of a passage: all that it was told again as; of a rewriting: it alone."""
    read_for: tuple[str, ...] = ()
    """Of a passage: the ids of the answers before which a system chose to read it."""
    probe: str | None = None
    """Of an answer to a probe and of a row of the people's sheet: the probe."""
    situation: SituationTrail | None = None
    """Of a situation, or of an answer to one."""
    relation: Relation | None = None
    """Of a conflict; its clauses are `clauses`."""
    sheet: BlindPair | None = None


def trace(records: RunRecords, wanted: str) -> Trail:
    """The chain through the record `wanted`; raises InputError as `find` does."""
    key = find(records, wanted)
    kind = records.kinds()[key]
    if kind == "document":
        return _of_document(records, key)
    if kind == "passage":
        return _of_passage(records, key)
    if kind == "rewriting":
        return _of_rewriting(records, key)
    if kind == "dropped":
        return _of_dropped(records, key)
    if kind == "conflict":
        return _of_conflict(records, key)
    if kind == "situation":
        return _of_situation(records, key, records.situations[key])
    if kind == "answer":
        return _of_answer(records, key)
    if kind == "sheet":
        pair = records.sheet[key]
        return replace(_of_probe(records, pair.comparison.probe), id=key, kind=kind, sheet=pair)
    return _of_clause(records, key, kind)


def _of_document(records: RunRecords, key: str) -> Trail:
    passages = [one.id for one in records.passages.values() if one.document == key]
    return Trail(
        id=key,
        kind="document",
        place=place(records, key, 0, len(records.documents[key].text), None),
        passages=tuple(passages),
        clauses=_clauses_under(records, set(passages)),
        dropped=_dropped_under(records, set(passages)),
    )


def _of_passage(records: RunRecords, key: str) -> Trail:
    passage = records.passages[key]
    return Trail(
        id=key,
        kind="passage",
        place=place(records, passage.document, passage.start, passage.end, passage),
        passages=(key,),
        clauses=_clauses_under(records, {key}),
        dropped=_dropped_under(records, {key}),
        rewritings=tuple(records.rewritings.get(key, ())),
        read_for=tuple(
            answer for answer, said in records.answered().items() if key in said.passages
        ),
    )


def _of_rewriting(records: RunRecords, key: str) -> Trail:
    [told] = [one for group in records.rewritings.values() for one in group if one.id == key]
    trail = _of_passage(records, told.passage)
    return replace(trail, id=key, kind="rewriting", dropped=(), rewritings=(told,))


def _of_clause(records: RunRecords, key: str, kind: Kind) -> Trail:
    clause = records.clause_of(key)
    trails = (clause_trail(records, clause),) if clause else ()
    return Trail(
        id=key,
        kind=kind,
        place=trails[0].place if trails else None,
        passages=(clause.passage,) if clause else (),
        clauses=trails,
        dropped=tuple(records.dropped.get(key, ())),
    )


def _of_probe(records: RunRecords, probe: str) -> Trail:
    return replace(_of_clause(records, probe, "probe"), probe=probe)


def _of_answer(records: RunRecords, key: str) -> Trail:
    """The chain of the probe or the situation, with what concerns this answer alone."""
    answer = records.answered()[key]
    if answer.probe in records.situations:
        whole = records.situations[answer.probe]
        own = replace(
            whole,
            answers=(answer,),
            scores=tuple(one for one in whole.scores if one.system == answer.system),
            verdicts=tuple(one for one in whole.verdicts if answer.system in (one.a, one.b)),
        )
        return replace(_of_situation(records, key, own), kind="answer")
    trail = _of_probe(records, answer.probe)
    clauses = tuple(
        replace(clause, probes=tuple(_of_system(row, answer) for row in clause.probes))
        for clause in trail.clauses
    )
    return replace(trail, id=key, kind="answer", clauses=clauses)


def _of_system(trail: RowTrail, answer: Answer) -> RowTrail:
    """The row of a probe with one system's answer; other rows as they are."""
    if trail.row.id != answer.probe:
        return trail
    return replace(
        trail,
        answers=(answer,),
        scores=tuple(one for one in trail.scores if one.system == answer.system),
        verdicts=tuple(one for one in trail.verdicts if answer.system in (one.a, one.b)),
    )


def _of_situation(records: RunRecords, key: str, found: SituationTrail) -> Trail:
    return Trail(
        id=key,
        kind="situation",
        place=None,
        passages=(),
        clauses=(),
        dropped=tuple(records.dropped.get(found.situation.id, ())),
        situation=found,
    )


def _of_conflict(records: RunRecords, key: str) -> Trail:
    relation = records.relations[key]
    sides = [records.clause_of(one) for one in (relation.first, relation.second)]
    clauses = tuple(clause_trail(records, clause) for clause in sides if clause)
    return Trail(
        id=key,
        kind="conflict",
        place=None,
        passages=tuple(one.clause.passage for one in clauses),
        clauses=clauses,
        dropped=(),
        relation=relation,
    )


def _of_dropped(records: RunRecords, key: str) -> Trail:
    passage_id, _, span = key.partition(":")
    passage = records.passages.get(passage_id)
    start, _, end = span.partition("-")
    return Trail(
        id=key,
        kind="dropped",
        place=place(records, passage.document, int(start), int(end), passage) if passage else None,
        passages=(passage_id,) if passage else (),
        clauses=_clauses_under(records, {passage_id}),
        dropped=tuple(records.dropped[key]),
    )


def place(
    records: RunRecords, document_id: str, start: int, end: int, passage: Passage | None
) -> Place:
    """The span `start:end` of a document; a little text around a part of it."""
    document = records.documents[document_id]
    whole = start == 0 and end == len(document.text)
    before = document.text[max(start - _AROUND, 0) : start]
    after = document.text[end : end + _AROUND]
    return Place(
        document=document_id,
        name=document.name,
        passage=passage.id if passage else None,
        headings=passage.path(start, end) if passage else (),
        page=passage.page if passage else None,
        start=start,
        end=end,
        before=before if start <= _AROUND else before.partition(" ")[2],
        text="" if whole else document.text[start:end],
        after=after if end + _AROUND >= len(document.text) else after.rpartition(" ")[0],
    )


def clause_trail(records: RunRecords, clause: Clause) -> ClauseTrail:
    """Everything that was made of one clause."""
    return ClauseTrail(
        clause=clause,
        place=place(
            records,
            clause.document,
            clause.start,
            clause.end,
            records.passages.get(clause.passage),
        ),
        result=records.results.get(clause.id, {}),
        examples=tuple(_row(records, row) for row in records.examples.get(clause.id, ())),
        pairs=tuple(_row(records, row) for row in records.pairs.get(clause.id, ())),
        probes=tuple(_row(records, row) for row in records.probes.get(clause.id, ())),
        dropped=tuple(records.dropped.get(clause.id, ())),
        relations=tuple(
            one for one in records.relations.values() if clause.id in (one.first, one.second)
        ),
    )


def _row(records: RunRecords, row: Example | PreferencePair | Probe) -> RowTrail:
    return RowTrail(
        row=row,
        kept=row.id in records.kept,
        dropped=tuple(records.dropped.get(row.id, ())),
        answers=tuple(records.answers.get(row.id, ())),
        scores=tuple(records.scores.get(row.id, ())),
        verdicts=tuple(records.verdicts.get(row.id, ())),
    )


def _clauses_under(records: RunRecords, passages: set[str]) -> tuple[ClauseTrail, ...]:
    return tuple(
        clause_trail(records, clause)
        for clause in records.clauses.values()
        if clause.passage in passages
    )


def _dropped_under(records: RunRecords, passages: set[str]) -> tuple[Dropped, ...]:
    return tuple(
        drop
        for key, drops in records.dropped.items()
        if key.partition(":")[0] in passages
        for drop in drops
    )
