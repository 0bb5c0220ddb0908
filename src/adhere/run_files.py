"""The files of records in a run's folder: where each lies, and what a line of it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

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
from adhere.store import read_records, write_records

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RecordFile(Generic[T]):
    """A file that holds one record a line."""

    name: str
    """Its path in the run's folder: the stage that writes it, and the file."""
    kind: type[T]

    def read(self, run: Path) -> list[T]:
        """Its records, in order; errors as of `adhere.store.read_records`."""
        return self.read_from((run / self.name).parent)

    def read_from(self, folder: Path) -> list[T]:
        """As `read`, from its stage's folder, wherever that is now."""
        return read_records(folder / Path(self.name).name, self.kind)

    def read_if_there(self, run: Path) -> list[T]:
        """As `read`, but none where there is no file."""
        return self.read(run) if (run / self.name).exists() else []

    def write(self, folder: Path, records: Iterable[T]) -> int:
        """Into its stage's folder, wherever that is now; returns how many records."""
        return write_records(folder / Path(self.name).name, records)


def dropped_of(stage: str) -> RecordFile[Dropped]:
    """What a stage left out, and why."""
    return RecordFile(f"{stage}/dropped.jsonl", Dropped)


DOCUMENTS = RecordFile("ingest/documents.jsonl", Document)
PASSAGES = RecordFile("ingest/passages.jsonl", Passage)
CLAUSES = RecordFile("clauses/clauses.jsonl", Clause)
SET_ASIDE = RecordFile("clauses/set_aside.jsonl", Clause)
RELATIONS = RecordFile("clauses/conflicts.jsonl", Relation)
GENERATED_EXAMPLES = RecordFile("generate/examples.jsonl", Example)
GENERATED_PAIRS = RecordFile("generate/pairs.jsonl", PreferencePair)
GENERATED_PROBES = RecordFile("generate/probes.jsonl", Probe)
EXAMPLES = RecordFile("curate/examples.jsonl", Example)
PAIRS = RecordFile("curate/pairs.jsonl", PreferencePair)
PROBES = RecordFile("curate/probes.jsonl", Probe)
REWRITINGS = RecordFile("rewrite/rewritings.jsonl", Rewriting)
ANSWERS = RecordFile("evaluate/answers.jsonl", Answer)
SCORES = RecordFile("evaluate/scores.jsonl", ProbeScore)
VERDICTS = RecordFile("evaluate/verdicts.jsonl", Verdict)
OFFICIAL_ANSWERS = RecordFile("evaluate/official_answers.jsonl", Answer)
OFFICIAL_SCORES = RecordFile("evaluate/official_scores.jsonl", ProbeScore)
OFFICIAL_VERDICTS = RecordFile("evaluate/official_verdicts.jsonl", Verdict)
