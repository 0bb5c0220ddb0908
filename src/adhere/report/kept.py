"""What was kept of the rows that were generated, and why the others went."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adhere.records import Dropped
from adhere.report.data import ReportData

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many rows of one kind were generated and kept; `generated` is None where unknown."""

    kind: str
    generated: int | None
    kept: int

    @property
    def dropped(self) -> int | None:
        return None if self.generated is None else max(self.generated - self.kept, 0)


@dataclass(frozen=True, slots=True)
class DropCount:
    """How many records one stage dropped for one reason, with one of them to look at."""

    stage: str
    reason: str
    count: int
    sample: str


def funnels(data: ReportData) -> list[Funnel]:
    """Generated against kept; "generated" is what the manifest of `generate` counted."""
    counts = next((m.counts for m in data.manifests if m.stage == "generate"), {})
    kept = {"examples": data.examples, "pairs": data.pairs, "probes": data.probes}
    return [Funnel(kind, counts.get(kind), len(records)) for kind, records in kept.items()]


def drop_counts(dropped: Iterable[Dropped]) -> list[DropCount]:
    """Drops by stage and reason, the most frequent reason first."""
    drops = list(dropped)
    counts = Counter((drop.stage, drop.reason) for drop in drops)
    samples = {(drop.stage, drop.reason): drop.detail for drop in reversed(drops)}
    return [
        DropCount(stage, reason, count, samples[stage, reason])
        for (stage, reason), count in counts.most_common()
    ]


def spread(records: Sequence[T], count: int) -> list[T]:
    """`count` records at even distances: a sample that does not depend on chance."""
    if len(records) <= count:
        return list(records)
    return [records[place * len(records) // count] for place in range(count)]
