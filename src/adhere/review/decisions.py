"""What a person decided about rows: kept in the run's folder, and applied to them."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from adhere.errors import InputError
from adhere.records import Clause, Dropped, Example, PreferencePair, Probe, record_id
from adhere.store import content_key, read_manifest, read_records, write_records

Kind = Literal["examples", "pairs", "probes", "clauses"]
Choice = Literal["accept", "edit", "reject"]
Key = tuple[Kind, str]
"""A kind of row, and the id of one as the pipeline made it."""
R = TypeVar("R", Example, PreferencePair, Probe, Clause)

EDITED = "edited by a person"
TEXTS: Mapping[Kind, tuple[str, ...]] = {
    "examples": ("question", "answer"),
    "pairs": ("question", "chosen", "rejected"),
    "probes": ("question", "reference", "contrast"),
    "clauses": ("statement",),
}
"""What a person may edit: the names of the record's fields."""
REVIEWED: Mapping[str, tuple[Kind, ...]] = {
    "clauses": ("clauses",),
    "curate": ("examples", "pairs", "probes"),
}
"""Stage -> the kinds of its rows that a person's decisions are applied to, last."""
_FILE = Path("review", "decisions.jsonl")
_MAY_BE_EMPTY = {"contrast"}
_MUST_DIFFER = (("chosen", "rejected"), ("reference", "contrast"))


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
        names = TEXTS[self.kind]
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


def require_reviewed(run: Path) -> None:
    """Raise InputError where a stage was made with other decisions than those imported last."""
    for stage, kinds in REVIEWED.items():
        made = read_manifest(run / stage)
        if made and made.inputs.get("review") != decisions_key(run, kinds):
            raise InputError(
                f"{run}: '{stage}' is out of date, since the decisions about its rows are others "
                f"now; run `adhere {stage} {run}` first, or `adhere run {run}` for everything."
            )


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
        texts = " ".join(decision.seen[name] for name in TEXTS[decision.kind])
        detail = f"{decision.comment}: {texts}" if decision.comment else texts
        return Dropped(
            record_id=decision.row, stage=self._stage, reason="rejected by a person", detail=detail
        )


def decided(run: Path, kind: Kind, rows: Iterable[R]) -> list[R]:
    """The rows after a person's decisions, for a reader of what `curate` has not yet seen."""
    return Review(run, "curate", [kind]).apply(kind, rows, [])


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
