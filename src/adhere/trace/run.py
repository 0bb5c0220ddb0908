"""All records of a run, joined by id as the stages wrote them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

from adhere.evaluate.official import SITUATIONS, Situation
from adhere.evaluate.sheet import KEY, BlindPair
from adhere.records import (
    Answer,
    Clause,
    Document,
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
from adhere.run_files import (
    ANSWERS,
    CLAUSES,
    DOCUMENTS,
    EXAMPLES,
    GENERATED_EXAMPLES,
    GENERATED_PAIRS,
    GENERATED_PROBES,
    OFFICIAL_ANSWERS,
    OFFICIAL_SCORES,
    OFFICIAL_VERDICTS,
    PAIRS,
    PASSAGES,
    PROBES,
    RELATIONS,
    REWRITINGS,
    SCORES,
    SET_ASIDE,
    VERDICTS,
    RecordFile,
    dropped_of,
)
from adhere.store import read_summary, require_current

Kind = Literal[
    "document",
    "passage",
    "rewriting",
    "clause",
    "conflict",
    "example",
    "pair",
    "probe",
    "answer",
    "situation",
    "sheet",
    "dropped",
]
"""Of a sheet it is a row: a pair of answers that people judge."""
R = TypeVar("R")
Files = Sequence[RecordFile[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationTrail:
    """Answers that people marked, and what the systems and the judges made of them."""

    situation: Situation
    answers: tuple[Answer, ...] = ()
    scores: tuple[ProbeScore, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


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
    relations: Mapping[str, Relation]
    """How two clauses stand to each other: conflicts, twins, refinements."""
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
    situations: Mapping[str, SituationTrail]
    """Answers marked by people, where the user gave some."""
    sheet: Mapping[str, BlindPair]
    """The rows of the sheet for people that was exported last."""

    def kinds(self) -> dict[str, Kind]:
        """What each id is; a record that went on outranks the note that something of it did not."""
        groups: tuple[tuple[Kind, Iterable[str]], ...] = (
            ("dropped", self.dropped),
            ("situation", self.situations),
            ("answer", self.answered()),
            ("sheet", self.sheet),
            ("probe", _ids(self.probes)),
            ("pair", _ids(self.pairs)),
            ("example", _ids(self.examples)),
            ("conflict", self.relations),
            ("clause", chain(self.clauses, self.aside)),
            ("rewriting", _ids(self.rewritings)),
            ("passage", self.passages),
            ("document", self.documents),
        )
        found: dict[str, Kind] = {}
        for kind, group in groups:
            found |= dict.fromkeys(group, kind)
        return found

    def answered(self) -> dict[str, Answer]:
        """`SYSTEM:PROBE` -> the answer; so too of situations."""
        groups = chain(self.answers.values(), (one.answers for one in self.situations.values()))
        return {f"{one.system}:{one.probe}": one for one in chain.from_iterable(groups)}

    def clause_of(self, key: str) -> Clause | None:
        """The clause of this id, or the one that the row of this id was made from."""
        rows = chain(*self.examples.values(), *self.pairs.values(), *self.probes.values())
        of = next((row.clause for row in rows if row.id == key), key)
        return self.clauses.get(of) or self.aside.get(of)


def read_run(run: Path) -> RunRecords:
    """All that the stages of a run have written so far.

    Raises InputError when its documents have not been read yet, or are read otherwise since
    its clauses were taken from them.
    """
    require_current(run, ("clauses",))
    documents = _keyed(DOCUMENTS.read(run))
    clauses = _by_id(CLAUSES, run)
    aside = _by_id(SET_ASIDE, run)
    generated = [_by_id(file, run) for file in _GENERATED]
    curated = [_by_id(file, run) for file in _CURATED]
    examples, pairs, probes = (made | kept for made, kept in zip(generated, curated, strict=True))
    return RunRecords(
        documents=documents,
        passages=_keyed(PASSAGES.read(run)),
        rewritings=_grouped(REWRITINGS.read_if_there(run), "passage"),
        clauses=clauses,
        aside=aside,
        relations=_by_id(RELATIONS, run),
        examples=_grouped(examples.values(), "clause"),
        pairs=_grouped(pairs.values(), "clause"),
        probes=_grouped(probes.values(), "clause"),
        kept=frozenset(key for rows in curated for key in rows),
        answers=_grouped(ANSWERS.read_if_there(run), "probe"),
        scores=_grouped(SCORES.read_if_there(run), "probe"),
        verdicts=_grouped(VERDICTS.read_if_there(run), "probe"),
        dropped=_grouped(_dropped(run), "record_id"),
        results={row["id"]: row for row in read_summary(run).get("clauses", ())},
        situations=_situations(run),
        sheet=_by_id(KEY, run),
    )


_GENERATED: Files = (GENERATED_EXAMPLES, GENERATED_PAIRS, GENERATED_PROBES)
_CURATED: Files = (EXAMPLES, PAIRS, PROBES)


def _situations(run: Path) -> dict[str, SituationTrail]:
    answers = _grouped(OFFICIAL_ANSWERS.read_if_there(run), "probe")
    scores = _grouped(OFFICIAL_SCORES.read_if_there(run), "probe")
    verdicts = _grouped(OFFICIAL_VERDICTS.read_if_there(run), "probe")
    return {
        one.id: SituationTrail(
            situation=one,
            answers=tuple(answers.get(one.id, ())),
            scores=tuple(scores.get(one.id, ())),
            verdicts=tuple(verdicts.get(one.id, ())),
        )
        for one in SITUATIONS.read_if_there(run)
    }


def _dropped(run: Path) -> Iterator[Dropped]:
    """Of all finished stages; an unfinished one's folder has a dot in its name."""
    for path in sorted(run.glob("*/dropped.jsonl")):
        if not path.parent.suffix:
            yield from dropped_of(path.parent.name).read(run)


def _by_id(file: RecordFile[R], run: Path) -> dict[str, R]:
    return _keyed(file.read_if_there(run))


def _keyed(records: Iterable[Any]) -> dict[str, Any]:
    return {record.id: record for record in records}


def _grouped(records: Iterable[R], key: str) -> dict[str, list[R]]:
    groups: dict[str, list[R]] = defaultdict(list)
    for record in records:
        groups[getattr(record, key)].append(record)
    return dict(groups)


def _ids(rows: Mapping[str, Sequence[Any]]) -> list[str]:
    return [row.id for group in rows.values() for row in group]
