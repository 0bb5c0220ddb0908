"""From any id of a run to its whole chain: the sentence, the clause, the rows, the verdicts.

Nothing is computed here that the stages did not write down; records are joined by id.
"""

import difflib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

from adhere.errors import InputError
from adhere.evaluate import ProbeScore
from adhere.records import (
    Answer,
    Clause,
    Document,
    Dropped,
    Example,
    Passage,
    PreferencePair,
    Probe,
    Rewriting,
    Verdict,
)
from adhere.store import read_records

Kind = Literal["document", "passage", "rewriting", "clause", "example", "pair", "probe", "dropped"]
R = TypeVar("R")

_AROUND = 160
"""Characters of the document shown on either side of a span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecords:
    """All records of a run, as far as its stages are done; rows are those before curation."""

    documents: Mapping[str, Document]
    passages: Mapping[str, Passage]
    rewritings: Mapping[str, Sequence[Rewriting]]
    """Passage id -> what it was told again as, for `midtrain`."""
    clauses: Mapping[str, Clause]
    aside: Mapping[str, Clause]
    """Clauses that gave way to others, and make no rows."""
    examples: Mapping[str, Sequence[Example]]
    """Clause id -> rows; so are `pairs` and `probes`."""
    pairs: Mapping[str, Sequence[PreferencePair]]
    probes: Mapping[str, Sequence[Probe]]
    kept: frozenset[str]
    """Ids of the rows that curation kept."""
    answers: Mapping[str, Sequence[Answer]]
    """Probe id -> what was answered; so are `scores` and `verdicts`."""
    scores: Mapping[str, Sequence[ProbeScore]]
    verdicts: Mapping[str, Sequence[Verdict]]
    dropped: Mapping[str, Sequence[Dropped]]
    """By the id that was dropped."""
    results: Mapping[str, Mapping[str, Any]]
    """Clause id -> its row of `evaluate/summary.json`."""

    def kinds(self) -> dict[str, Kind]:
        """What each id is; a record that went on outranks the note that something of it did not."""
        groups: tuple[tuple[Kind, Iterable[str]], ...] = (
            ("dropped", self.dropped),
            ("probe", _ids(self.probes)),
            ("pair", _ids(self.pairs)),
            ("example", _ids(self.examples)),
            ("clause", chain(self.clauses, self.aside)),
            ("rewriting", _ids(self.rewritings)),
            ("passage", self.passages),
            ("document", self.documents),
        )
        found: dict[str, Kind] = {}
        for kind, group in groups:
            found |= dict.fromkeys(group, kind)
        return found

    def clause_of(self, key: str) -> Clause | None:
        """The clause of this id, or the one that the row of this id was made from."""
        rows = chain(*self.examples.values(), *self.pairs.values(), *self.probes.values())
        of = next((row.clause for row in rows if row.id == key), key)
        return self.clauses.get(of) or self.aside.get(of)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The chain through one record, both ways."""

    id: str
    kind: Kind
    place: Place | None
    """None where the record's passage is no longer in the run."""
    passages: tuple[str, ...]
    """Of a document: the ids of its passages."""
    clauses: tuple[ClauseTrail, ...]
    dropped: tuple[Dropped, ...]
    """What this id was dropped for, or what was passed over in this passage or document."""
    rewritings: tuple[Rewriting, ...] = ()
    """Of a passage: all that it was told again as; of a rewriting: it alone."""


def read_run(run: Path) -> RunRecords:
    """All that the stages of a run have written so far.

    Raises InputError when its documents have not been read yet, or were read again since.
    """
    documents = _keyed(read_records(run / "ingest/documents.jsonl", Document))
    clauses = _by_id(run, "clauses/clauses.jsonl", Clause)
    aside = _by_id(run, "clauses/set_aside.jsonl", Clause)
    if not {one.document for one in chain(clauses.values(), aside.values())} <= documents.keys():
        raise InputError(
            f"{run}: its documents have changed since its clauses were taken from them; "
            f"`adhere run {run}` first."
        )
    generated = [_by_id(run, f"generate/{name}.jsonl", kind) for name, kind in _ROWS.items()]
    curated = [_by_id(run, f"curate/{name}.jsonl", kind) for name, kind in _ROWS.items()]
    examples, pairs, probes = (made | kept for made, kept in zip(generated, curated, strict=True))
    summary = run / "evaluate" / "summary.json"
    found = json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {}
    return RunRecords(
        documents=documents,
        passages=_keyed(read_records(run / "ingest/passages.jsonl", Passage)),
        rewritings=_grouped(_some(run, "rewrite/rewritings.jsonl", Rewriting), "passage"),
        clauses=clauses,
        aside=aside,
        examples=_grouped(examples.values(), "clause"),
        pairs=_grouped(pairs.values(), "clause"),
        probes=_grouped(probes.values(), "clause"),
        kept=frozenset(key for rows in curated for key in rows),
        answers=_grouped(_some(run, "evaluate/answers.jsonl", Answer), "probe"),
        scores=_grouped(_some(run, "evaluate/scores.jsonl", ProbeScore), "probe"),
        verdicts=_grouped(_some(run, "evaluate/verdicts.jsonl", Verdict), "probe"),
        dropped=_grouped(_dropped(run), "record_id"),
        results={row["id"]: row for row in found.get("clauses", ())},
    )


_ROWS: Mapping[str, type[Any]] = {"examples": Example, "pairs": PreferencePair, "probes": Probe}


def _some(run: Path, name: str, kind: type[R]) -> list[R]:
    return read_records(run / name, kind) if (run / name).exists() else []


def _dropped(run: Path) -> Iterator[Dropped]:
    """Of all finished stages; an unfinished one's folder has a dot in its name."""
    for path in sorted(run.glob("*/dropped.jsonl")):
        if not path.parent.suffix:
            yield from read_records(path, Dropped)


def _by_id(run: Path, name: str, kind: type[R]) -> dict[str, R]:
    return _keyed(_some(run, name, kind))


def _keyed(records: Iterable[Any]) -> dict[str, Any]:
    return {record.id: record for record in records}


def _grouped(records: Iterable[R], key: str) -> dict[str, list[R]]:
    groups: dict[str, list[R]] = defaultdict(list)
    for record in records:
        groups[getattr(record, key)].append(record)
    return dict(groups)


def _ids(rows: Mapping[str, Sequence[Any]]) -> list[str]:
    return [row.id for group in rows.values() for row in group]


def find(records: RunRecords, wanted: str) -> str:
    """The id that `wanted` is, or is the unambiguous beginning of.

    Raises InputError naming the candidates, or the nearest ids where there are none.
    """
    kinds = records.kinds()
    if wanted in kinds:
        return wanted
    # A sentence that was passed over is PASSAGE:START-END; its passage is meant without the colon.
    begun = sorted(
        key
        for key in kinds
        if wanted and key.startswith(wanted) and (":" in key) <= (":" in wanted)
    )
    if len(begun) == 1:
        return begun[0]
    shown = [f"{key} ({kinds[key]})" for key in begun[:5]]
    if begun:
        more = f" and {len(begun) - 5} more" if len(begun) > 5 else ""
        raise InputError(f"'{wanted}' begins several ids: {', '.join(shown)}{more}.")
    near = difflib.get_close_matches(wanted, kinds, n=3, cutoff=0)
    shown = [f"{key} ({kinds[key]})" for key in near]
    raise InputError(f"'{wanted}' is no id of this run; the nearest are {', '.join(shown)}.")


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
        headings=passage.headings if passage else (),
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
