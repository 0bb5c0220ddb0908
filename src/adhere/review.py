"""A person corrects the data: rows out to look at, decisions in, and the decisions applied.

Decisions live in the run's folder, in `review/decisions.jsonl`, by the id of the row as the
pipeline made it. The stages `clauses` and `curate` apply them last, each time they run, so
a person's word outlives a change of settings. A decision about a row that is not there
(any more) waits in the file until the row is back.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from adhere.errors import InputError
from adhere.records import (
    Clause,
    Document,
    Dropped,
    Example,
    PreferencePair,
    Probe,
    record_id,
)
from adhere.sheets import Column, Line, Sheet, read_sheets, write_sheets
from adhere.store import content_key, read_records, write_records

Kind = Literal["examples", "pairs", "probes", "clauses"]
Choice = Literal["accept", "edit", "reject"]
Key = tuple[Kind, str]
"""A kind of row, and the id of one as the pipeline made it."""
R = TypeVar("R", Example, PreferencePair, Probe, Clause)

EDITED = "edited by a person"
STALE = "some rows are about clauses that are no longer there."
_FILE = Path("review", "decisions.jsonl")
_ABOUT_ROW = ("kind", "clause", "sentence")
_FIXED: Mapping[Kind, tuple[str, ...]] = {
    "examples": _ABOUT_ROW,
    "pairs": _ABOUT_ROW,
    "probes": _ABOUT_ROW,
    "clauses": ("polarity", "stance", "binds", "rationale", "exceptions", "sentence"),
}
"""What a person sees of a row and does not change."""
_TEXTS: Mapping[Kind, tuple[str, ...]] = {
    "examples": ("question", "answer"),
    "pairs": ("question", "chosen", "rejected"),
    "probes": ("question", "reference", "contrast"),
    "clauses": ("statement",),
}
"""What a person may edit: the names of the record's fields."""
_MAY_BE_EMPTY = {"contrast"}
_MUST_DIFFER = (("chosen", "rejected"), ("reference", "contrast"))
_CHOICES = ("", *get_args(Choice))
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person decided about one row."""

    kind: Kind
    row: str
    """The id of the row as the pipeline made it."""
    choice: Choice
    seen: dict[str, str]
    """The row as the pipeline made it, in the words that the person saw."""
    texts: dict[str, str] = field(default_factory=dict[str, str])
    """The row's texts after an edit, all of them."""
    comment: str = ""

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise ValueError(problem)

    def _problem(self) -> str | None:
        if self.choice != "edit":
            return "only an edit has texts of its own" if self.texts else None
        names = _TEXTS[self.kind]
        if tuple(self.texts) != names:
            return f"an edit gives all of: {', '.join(names)}"
        empty = [name for name in names if not self.texts[name].strip()]
        if left := [name for name in empty if name not in _MAY_BE_EMPTY]:
            return f"'{left[0]}' is empty"
        for one, other in _MUST_DIFFER:
            if one in names and self.texts[one].strip() == self.texts[other].strip():
                return f"'{one}' and '{other}' are the same"
        return None

    @property
    def edited_id(self) -> str:
        """The id of the row after the edit."""
        return record_id(EDITED, self.row, *self.texts.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One row for a person to look at, with what was decided about it before."""

    kind: Kind
    id: str
    seen: dict[str, str]
    """As the pipeline made it: what may not be changed, and the texts that may."""
    texts: dict[str, str]
    """As they are now."""
    choice: Choice | Literal[""] = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """How many rows of a run are decided upon, after an import."""

    accepted: int
    edited: int
    rejected: int
    undecided: int


def read_decisions(run: Path, kinds: Collection[str] = get_args(Kind)) -> list[Decision]:
    """The decisions about these kinds of rows; none where nobody has looked yet."""
    if not (run / _FILE).exists():
        return []
    return [one for one in read_records(run / _FILE, Decision) if one.kind in kinds]


def write_decisions(run: Path, decisions: Sequence[Decision]) -> None:
    """Replace all decisions of a run."""
    path = run / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    write_records(aside, decisions)
    aside.replace(path)


def decisions_key(run: Path, kinds: Collection[str]) -> str | None:
    """A hash of the decisions about these kinds of rows, or None without any."""
    decisions = read_decisions(run, kinds)
    return content_key([repr(one) for one in decisions]) if decisions else None


class Review:
    """A person's decisions about the rows of one stage, applied kind by kind."""

    def __init__(self, run: Path, stage: str, kinds: Collection[str]) -> None:
        self._stage = stage
        self._waiting = {(one.kind, one.row): one for one in read_decisions(run, kinds)}
        self._met: list[Decision] = []

    def apply(self, kind: Kind, rows: Iterable[R], dropped: list[Dropped]) -> list[R]:
        """Leave out the rejected rows; edited ones take the place of what they were."""
        kept: list[R] = []
        for row in rows:
            decision = self._waiting.pop((kind, row.id), None)
            if decision is None:
                kept.append(row)
                continue
            self._met.append(decision)
            if decision.choice == "reject":
                dropped.append(self._rejected(decision))
            else:
                kept.append(_edited(row, decision) if decision.choice == "edit" else row)
        return kept

    @property
    def waiting(self) -> list[str]:
        """Ids of the rows that were decided upon and are not there."""
        return [row for _, row in self._waiting]

    def facts(self) -> dict[str, Any]:
        """For the manifest: decisions by choice, and those that wait; empty without any."""
        if not self._met and not self._waiting:
            return {}
        choices = Counter(one.choice for one in self._met)
        return {"review": dict(choices) | {"waiting": self.waiting}}

    def _rejected(self, decision: Decision) -> Dropped:
        texts = " ".join(decision.seen[name] for name in _TEXTS[decision.kind])
        detail = f"{decision.comment}: {texts}" if decision.comment else texts
        return Dropped(
            record_id=decision.row, stage=self._stage, reason="rejected by a person", detail=detail
        )


def _edited(row: R, decision: Decision) -> R:
    """The row with a person's texts; its origin leads back to the row that it was."""
    origin = replace(
        row.origin,
        parents=(*row.origin.parents, row.id),
        model=f"{row.origin.model}, {EDITED}",
    )
    texts: dict[str, Any] = {
        name: None if not text.strip() and name in _MAY_BE_EMPTY else text
        for name, text in decision.texts.items()
    }
    return replace(row, id=decision.edited_id, origin=origin, **texts)


def items(run: Path) -> list[Item]:
    """Every kept row of a run, and every rejected one, with the decisions so far.

    Raises InputError where `curate` has not been run, or not since `clauses`.
    """
    decisions = read_decisions(run)
    edits = {one.edited_id: one for one in decisions if one.choice == "edit"}
    about = {(one.kind, one.row): one for one in decisions}
    clauses = read_records(run / "clauses/clauses.jsonl", Clause)
    text_of = {one.id: one.text for one in read_records(run / "ingest/documents.jsonl", Document)}
    sentence = {one.id: text_of[one.document][one.start : one.end] for one in clauses}
    statement = {one.id: one.statement for one in clauses}
    rows: dict[Kind, Sequence[Any]] = {
        "examples": read_records(run / "curate/examples.jsonl", Example),
        "pairs": read_records(run / "curate/pairs.jsonl", PreferencePair),
        "probes": read_records(run / "curate/probes.jsonl", Probe),
        "clauses": clauses,
    }
    found: dict[Key, Item] = {}
    for kind, records in rows.items():
        for record in records:
            clause = record.id if kind == "clauses" else record.clause
            if clause not in statement:
                raise InputError(f"{run}: {STALE} Run `adhere run {run}` first.")
            said = {"clause": statement[clause], "sentence": sentence[clause]}
            item = _item(kind, record, said, edits.get(record.id))
            found[kind, item.id] = _decided(item, about.get((kind, item.id)))
        for one in decisions:
            if one.kind == kind and one.choice == "reject":
                found.setdefault((kind, one.row), _from_memory(one))
    return list(found.values())


def _item(kind: Kind, record: Any, said: Mapping[str, str], edit: Decision | None) -> Item:
    now = {name: getattr(record, name) or "" for name in _TEXTS[kind]}
    if edit:
        return Item(kind=kind, id=edit.row, seen=_remembered(edit), texts=now)
    fixed = {name: said.get(name) or _text(getattr(record, name)) for name in _FIXED[kind]}
    return Item(kind=kind, id=record.id, seen=fixed | now, texts=now)


def _text(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else "; ".join(value)


def _remembered(decision: Decision) -> dict[str, str]:
    """What the person saw; a column that was not there at the time is empty."""
    return dict.fromkeys(_FIXED[decision.kind], "") | decision.seen


def _decided(item: Item, decision: Decision | None) -> Item:
    if decision is None:
        return item
    texts = decision.texts or {name: item.seen[name] for name in _TEXTS[item.kind]}
    return replace(item, texts=texts, choice=decision.choice, comment=decision.comment)


def _from_memory(decision: Decision) -> Item:
    texts = {name: decision.seen[name] for name in _TEXTS[decision.kind]}
    item = Item(kind=decision.kind, id=decision.row, seen=_remembered(decision), texts=texts)
    return _decided(item, decision)


def export_review(run: Path, path: Path) -> int:
    """Write every row of a run as a spreadsheet to decide in; returns how many rows.

    Raises InputError for a run without `curate` and for a name that ends in neither
    .xlsx nor .csv.
    """
    found = items(run)
    write_sheets(path, [Sheet(kind, _columns(kind), _rows(kind, found)) for kind in get_args(Kind)])
    return len(found)


def import_review(run: Path, path: Path) -> Decided:
    """Read a person's decisions back into the run: all of them, or none.

    Rows that the spreadsheet does not hold keep what was decided before. Raises InputError
    with a sentence for each row that cannot be used.
    """
    known: dict[Key, Item] = {(item.kind, item.id): item for item in items(run)}
    decided: dict[Key, Decision | None] = {}
    problems: list[str] = []
    for line in read_sheets(path):
        try:
            item = _asked(line, known)
            if (item.kind, item.id) in decided:
                raise ValueError(f"the row {item.id} stands here twice; keep one")
            decided[item.kind, item.id] = _decision(line, item)
        except ValueError as error:
            problems.append(f"{path}: {line.place}: {error}.")
    problems += _leaks(known, decided, path)
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        said = problems[:_MOST_PROBLEMS] + ([f"And {more} more."] if more > 0 else [])
        raise InputError("\n".join([*said, "Nothing was imported."]))
    return decide(run, decided)


def decide(run: Path, decided: Mapping[Key, Decision | None]) -> Decided:
    """Take these decisions into the run; None withdraws one. Others stay as they are."""
    before = {(one.kind, one.row): one for one in read_decisions(run)}
    after = {key: one for key, one in (before | dict(decided)).items() if one}
    write_decisions(run, list(after.values()))
    choices = Counter(item.choice for item in items(run))
    return Decided(choices["accept"], choices["edit"], choices["reject"], choices[""])


def _columns(kind: Kind) -> tuple[Column, ...]:
    return (
        Column("id"),
        *(Column(name) for name in _FIXED[kind]),
        *(Column(name, editable=True) for name in _TEXTS[kind]),
        Column("decision", editable=True, choices=get_args(Choice)),
        Column("comment", editable=True),
    )


def _rows(kind: Kind, found: Iterable[Item]) -> list[dict[str, str]]:
    return [
        {"id": item.id, **item.seen, **item.texts, "decision": item.choice, "comment": item.comment}
        for item in found
        if item.kind == kind
    ]


def _asked(line: Line, known: Mapping[Key, Item]) -> Item:
    """The row of the run that a line is about; ValueError says why there is none."""
    if line.sheet not in get_args(Kind):
        raise ValueError(f"there is no sheet of this name; they are: {', '.join(get_args(Kind))}")
    kind = cast("Kind", line.sheet)
    missing = [column.name for column in _columns(kind) if column.name not in line.cells]
    if missing:
        raise ValueError(f"the column '{missing[0]}' is missing; export again and copy it over")
    item = known.get((kind, line.cells["id"].strip()))
    if item is None:
        raise ValueError(
            f"the run has no row '{line.cells['id']}'; rows cannot be added, and after a new "
            "`generate` or `curate` export again"
        )
    for name in _FIXED[kind]:
        if not _same(line.cells[name], item.seen[name]):
            raise ValueError(f"'{name}' was changed, and only {_yours(kind)} may be")
    strange = {name for names in _TEXTS.values() for name in names} - set(_TEXTS[kind])
    for name in sorted(strange & line.cells.keys()):
        if line.cells[name].strip():
            raise ValueError(f"'{name}' is filled in, and rows of {kind} have only {_yours(kind)}")
    return item


def _decision(line: Line, item: Item) -> Decision | None:
    """What a line decides, None for nothing; ValueError says what is wrong with it."""
    choice = line.cells["decision"].strip().lower()
    if choice not in _CHOICES:
        raise ValueError(
            f"'{line.cells['decision']}' is no decision; choose {', '.join(get_args(Choice))}, "
            "or leave it empty"
        )
    texts = {name: line.cells[name] for name in _TEXTS[item.kind]}
    changed = [name for name, text in texts.items() if not _same(text, item.seen[name])]
    if changed and choice in ("", "accept"):
        raise ValueError(f"'{changed[0]}' was changed; choose edit to keep the change")
    if choice == "edit" and not changed:
        raise ValueError("the decision is edit, and nothing was changed; choose accept")
    if not choice:
        return None
    return Decision(
        kind=item.kind,
        row=item.id,
        choice=cast("Choice", choice),
        seen=item.seen,
        texts=texts if choice == "edit" else {},
        comment=line.cells["comment"],
    )


def _leaks(
    known: Mapping[Key, Item],
    decided: Mapping[Key, Decision | None],
    path: Path,
) -> list[str]:
    """Edited training questions that are a probe's: a probe must not be trained on."""
    texts = {key: item.texts for key, item in known.items()}
    texts |= {key: one.texts for key, one in decided.items() if one and one.texts}
    held_out = {_plain(now["question"]) for (kind, _), now in texts.items() if kind == "probes"}
    return [
        f"{path}: sheet {kind}, row with id {row}: the question is that of a probe, and a "
        "held-out question must not be trained on."
        for (kind, row), one in decided.items()
        if one and one.texts and kind in ("examples", "pairs")
        if _plain(one.texts["question"]) in held_out
    ]


def _yours(kind: Kind) -> str:
    return ", ".join((*_TEXTS[kind], "decision")) + " and comment"


def _same(one: str, other: str) -> bool:
    """Spreadsheet programs have their own line ends."""
    return one.split() == other.split()


def _plain(question: str) -> str:
    return " ".join(question.casefold().split())
