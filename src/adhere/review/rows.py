"""The rows of a run for a person to look at, with what was decided about each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from adhere.errors import InputError
from adhere.review.decisions import (
    TEXTS,
    Choice,
    Decision,
    Key,
    Kind,
    read_decisions,
    write_decisions,
)
from adhere.run_files import CLAUSES, DOCUMENTS, EXAMPLES, PAIRS, PROBES
from adhere.store import require_current

STALE = "some rows are about clauses that are no longer there."
_ABOUT_ROW = ("kind", "clause", "sentence")
FIXED: Mapping[Kind, tuple[str, ...]] = {
    "examples": _ABOUT_ROW,
    "pairs": _ABOUT_ROW,
    "probes": _ABOUT_ROW,
    "clauses": ("polarity", "stance", "binds", "rationale", "exceptions", "sentence"),
}
"""What a person sees of a row and does not change."""


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


def items(run: Path) -> list[Item]:
    """Every kept row of a run, and every rejected one, with the decisions so far.

    Raises InputError where `curate` has not been run, or not since `clauses`, and where
    `clauses` is not of the documents as they were read last.
    """
    require_current(run, ("clauses",))
    decisions = read_decisions(run)
    edits = {one.edited_id: one for one in decisions if one.choice == "edit"}
    about = {(one.kind, one.row): one for one in decisions}
    clauses = CLAUSES.read(run)
    text_of = {one.id: one.text for one in DOCUMENTS.read(run)}
    sentence = {one.id: text_of[one.document][one.start : one.end] for one in clauses}
    statement = {one.id: one.statement for one in clauses}
    rows: dict[Kind, Sequence[Any]] = {
        "examples": EXAMPLES.read(run),
        "pairs": PAIRS.read(run),
        "probes": PROBES.read(run),
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
    now = {name: getattr(record, name) or "" for name in TEXTS[kind]}
    if edit:
        return Item(kind=kind, id=edit.row, seen=_remembered(edit), texts=now)
    fixed = {name: said.get(name) or _text(getattr(record, name)) for name in FIXED[kind]}
    return Item(kind=kind, id=record.id, seen=fixed | now, texts=now)


def _text(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else "; ".join(value)


def _remembered(decision: Decision) -> dict[str, str]:
    """What the person saw; a column that was not there at the time is empty."""
    return dict.fromkeys(FIXED[decision.kind], "") | decision.seen


def _decided(item: Item, decision: Decision | None) -> Item:
    if decision is None:
        return item
    texts = decision.texts or {name: item.seen[name] for name in TEXTS[item.kind]}
    return replace(item, texts=texts, choice=decision.choice, comment=decision.comment)


def _from_memory(decision: Decision) -> Item:
    texts = {name: decision.seen[name] for name in TEXTS[decision.kind]}
    item = Item(kind=decision.kind, id=decision.row, seen=_remembered(decision), texts=texts)
    return _decided(item, decision)


def decide(run: Path, decided: Mapping[Key, Decision | None]) -> Decided:
    """Take these decisions into the run; None withdraws one. Others stay as they are."""
    before = {(one.kind, one.row): one for one in read_decisions(run)}
    after = {key: one for key, one in (before | dict(decided)).items() if one}
    write_decisions(run, list(after.values()))
    choices = Counter(item.choice for item in items(run))
    return Decided(choices["accept"], choices["edit"], choices["reject"], choices[""])
