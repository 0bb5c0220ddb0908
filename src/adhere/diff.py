"""What changed between two documents, or between the clauses of two runs.

The unit is what a clause is: a sentence of a document, or a clause of a run.
"""

import difflib
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from adhere.candidates import candidates
from adhere.ingest import ingest
from adhere.progress import NoProgress
from adhere.records import Clause, Document, record_id
from adhere.settings import IngestSettings
from adhere.trace import read_run

Kind = Literal["removed", "added", "reworded", "moved", "judged"]
Edit = tuple[Literal["same", "old", "new"], str]

REWORDED = 60.0
"""Least similarity (rapidfuzz `ratio`, 0 to 100) of a sentence and its new wording. Our choice."""
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+|\s+|[^\w\s]")
"""Words, gaps and signs; single characters where a script has no spaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A sentence or a clause, and where it stands."""

    id: str
    text: str
    document: str
    headings: tuple[str, ...] = ()
    result: str | None = None
    """Of an evaluated clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One unit that is not what, or where, it was."""

    kind: Kind
    old: Unit | None = None
    new: Unit | None = None
    edits: tuple[Edit, ...] = ()
    """Of a reworded unit: the pieces of both wordings in their order."""
    moved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    changes: tuple[Change, ...]
    """In the order of the new side; what was removed stands first."""
    unchanged: int
    """Units that stand where they stood, word for word."""

    def counts(self) -> dict[Kind, int]:
        return dict(Counter(change.kind for change in self.changes))


def clauses_of(run: Path) -> list[Unit]:
    """The clauses of a run in the order of its documents, with their results where there are."""
    records = read_run(run)
    order = {document: place for place, document in enumerate(records.documents)}

    def place(clause: Clause) -> tuple[int, int, int]:
        return order.get(clause.document, len(order)), clause.start, clause.end

    return [
        Unit(
            id=clause.id,
            text=clause.statement,
            document=records.documents[clause.document].name,
            headings=records.passages[clause.passage].path(clause.start, clause.end),
            result=records.results.get(clause.id, {}).get("result"),
        )
        for clause in sorted(records.clauses.values(), key=place)
    ]


def sentences_of(path: Path) -> list[Unit]:
    """The sentences of a document or a folder of them; raises InputError as `ingest` does."""
    documents, passages = ingest([path], IngestSettings(), NoProgress())
    of: dict[str, Document] = {document.id: document for document in documents}
    language = {document.id: document.language for document in documents}
    return [
        Unit(
            id=record_id(sentence.text),
            text=sentence.text,
            document=of[sentence.passage.document].name,
            headings=sentence.passage.path(sentence.start, sentence.end),
        )
        for sentence in candidates(passages, language)
    ]


def compare(old: Sequence[Unit], new: Sequence[Unit]) -> Difference:
    """Match the units of both sides, equal ones first, and say what became of each.

    A unit has moved when it stands elsewhere among those that stayed, or under other
    headings while its own are still there (a section that was merely renamed moves nothing).
    """
    pairs = _matched(old, new)
    moved = _moved(pairs, old, new)
    of_new = {b: a for a, b in pairs}
    gone = set(range(len(old))) - set(of_new.values())
    changes = [Change(kind="removed", old=old[place]) for place in sorted(gone)]
    for b, unit in enumerate(new):
        if b not in of_new:
            changes.append(Change(kind="added", new=unit))
        elif (change := _change(old[of_new[b]], unit, (of_new[b], b) in moved)) is not None:
            changes.append(change)
    touched = sum(change.kind not in ("removed", "added", "judged") for change in changes)
    return Difference(changes=tuple(changes), unchanged=len(pairs) - touched)


def _change(old: Unit, new: Unit, moved: bool) -> Change | None:
    if _same(old.text) != _same(new.text):
        edits = tuple(edits_of(old.text, new.text))
        return Change(kind="reworded", old=old, new=new, edits=edits, moved=moved)
    if moved:
        return Change(kind="moved", old=old, new=new, moved=True)
    if old.result != new.result and old.result and new.result:
        return Change(kind="judged", old=old, new=new)
    return None


def _same(text: str) -> str:
    return " ".join(text.split())


_LIKE: tuple[Callable[[Unit], tuple[object, ...]], ...] = (
    lambda unit: (unit.document, unit.headings, _same(unit.text)),
    lambda unit: (unit.headings, _same(unit.text)),
    lambda unit: (_same(unit.text),),
)
"""What two same units share, the surest first: of equal texts, those of one section."""


def _matched(old: Sequence[Unit], new: Sequence[Unit]) -> list[tuple[int, int]]:
    """Places of the same unit on both sides, in the order of the old."""
    equal: dict[int, int] = {}
    for key in _LIKE:
        taken = set(equal.values())
        waiting: dict[tuple[object, ...], deque[int]] = defaultdict(deque)
        for b, unit in enumerate(new):
            if b not in taken:
                waiting[key(unit)].append(b)
        for a, unit in enumerate(old):
            if a not in equal and waiting[key(unit)]:
                equal[a] = waiting[key(unit)].popleft()
    taken = set(equal.values())
    return sorted(
        list(equal.items())
        + _similar(
            [(a, old[a].text) for a in range(len(old)) if a not in equal],
            [(b, new[b].text) for b in range(len(new)) if b not in taken],
        )
    )


def _similar(
    old: Sequence[tuple[int, str]], new: Sequence[tuple[int, str]]
) -> list[tuple[int, int]]:
    """The pairing of the greatest similarity in total, of those that are similar enough."""
    if not old or not new:
        return []
    from rapidfuzz import fuzz, process
    from scipy.optimize import linear_sum_assignment

    scores = process.cdist(
        [text for _, text in old],
        [text for _, text in new],
        scorer=fuzz.ratio,
        score_cutoff=REWORDED,
    )
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return [
        (old[a][0], new[b][0])
        for a, b in zip(rows, columns, strict=True)
        if scores[a, b] >= REWORDED
    ]


def _moved(
    pairs: Sequence[tuple[int, int]], old: Sequence[Unit], new: Sequence[Unit]
) -> set[tuple[int, int]]:
    by_new = sorted(pairs, key=lambda pair: pair[1])
    blocks = difflib.SequenceMatcher(None, pairs, by_new, autojunk=False).get_matching_blocks()
    stayed = {pair for block in blocks for pair in pairs[block.a : block.a + block.size]}
    places = {unit.headings for unit in new}
    return {
        (a, b)
        for a, b in pairs
        if (a, b) not in stayed
        or (old[a].headings != new[b].headings and old[a].headings in places)
    }


def edits_of(old: str, new: str) -> Iterable[Edit]:
    """The words of both wordings: those that stayed, went, and came."""
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            yield "same", "".join(before[a:a_end])
            continue
        if a < a_end:
            yield "old", "".join(before[a:a_end])
        if b < b_end:
            yield "new", "".join(after[b:b_end])
