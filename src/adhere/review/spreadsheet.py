"""A review as a spreadsheet: the rows out, and a person's decisions in, all of them or none."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

from adhere.errors import InputError
from adhere.review.decisions import TEXTS, Choice, Decision, Key, Kind
from adhere.review.rows import FIXED, Decided, Item, decide, items
from adhere.sheets import Column, Line, Sheet, read_sheets, write_sheets

_CHOICES = ("", *get_args(Choice))
_MOST_PROBLEMS = 20
_REMEDY = (
    "Is it a file of `adhere export-review`? Export again and copy the decisions over. "
    "Nothing was imported."
)


def export_review(run: Path, path: Path) -> int:
    """Write every row of a run as a spreadsheet to decide in; returns how many rows.

    Raises InputError for a run without `curate`, for a file that is there already and for a
    name that ends in neither .xlsx nor .csv.
    """
    found = items(run)
    write_sheets(path, [Sheet(kind, _columns(kind), _rows(kind, found)) for kind in get_args(Kind)])
    return len(found)


def import_review(run: Path, path: Path) -> Decided:
    """Read a person's decisions back into the run: all of them, or none.

    Rows that the spreadsheet does not hold keep what was decided before. Raises InputError
    with one sentence for columns that are not those of a review, and with a sentence for each
    row that cannot be used.
    """
    lines = read_sheets(path)
    _require_columns(path, lines)
    known: dict[Key, Item] = {(item.kind, item.id): item for item in items(run)}
    decided: dict[Key, Decision | None] = {}
    problems: list[str] = []
    for line in lines:
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


def _columns(kind: Kind) -> tuple[Column, ...]:
    return (
        Column("id"),
        *(Column(name) for name in FIXED[kind]),
        *(Column(name, editable=True) for name in TEXTS[kind]),
        Column("decision", editable=True, choices=get_args(Choice)),
        Column("comment", editable=True),
    )


def _rows(kind: Kind, found: Iterable[Item]) -> list[dict[str, str]]:
    return [
        {"id": item.id, **item.seen, **item.texts, "decision": item.choice, "comment": item.comment}
        for item in found
        if item.kind == kind
    ]


def _require_columns(path: Path, lines: Sequence[Line]) -> None:
    """Raise InputError where a sheet's columns, or all the sheets, are not those of a review."""
    kinds, found = get_args(Kind), {line.sheet: line.cells for line in lines}
    if found and not any(sheet in kinds for sheet in found):
        names = dict.fromkeys(column.name for kind in kinds for column in _columns(kind))
        raise InputError(
            f"{path}: none of the sheets {', '.join(kinds)} is here (a .csv names them in its "
            f"column 'sheet'), with the columns {', '.join(names)}. {_REMEDY}"
        )
    for kind in [kind for kind in kinds if kind in found]:
        names = [column.name for column in _columns(kind)]
        missing = [name for name in names if name not in found[kind]]
        if missing:
            raise InputError(
                f"{path}: sheet {kind}: the column '{missing[0]}' is missing; wanted are "
                f"{', '.join(names)}. {_REMEDY}"
            )


def _asked(line: Line, known: Mapping[Key, Item]) -> Item:
    """The row of the run that a line is about; ValueError says why there is none."""
    if line.sheet not in get_args(Kind):
        raise ValueError(f"there is no sheet of this name; they are: {', '.join(get_args(Kind))}")
    kind = cast("Kind", line.sheet)
    item = known.get((kind, line.cells["id"].strip()))
    if item is None:
        raise ValueError(
            f"the run has no row '{line.cells['id']}'; rows cannot be added, and after a new "
            "`generate` or `curate` export again"
        )
    for name in FIXED[kind]:
        if not _same(line.cells[name], item.seen[name]):
            raise ValueError(f"'{name}' was changed, and only {_yours(kind)} may be")
    strange = {name for names in TEXTS.values() for name in names} - set(TEXTS[kind])
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
    texts = {name: line.cells[name] for name in TEXTS[item.kind]}
    changed = [name for name, text in texts.items() if not _same(text, item.seen[name])]
    if changed and choice in ("", "accept"):
        raise ValueError(f"'{changed[0]}' was changed; choose edit to keep the change")
    if choice == "edit" and not changed:
        raise ValueError("the decision is edit, and nothing was changed; choose accept")
    if not choice and line.cells["comment"].strip():
        raise ValueError("a comment without a decision is not kept; choose accept, edit or reject")
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
    """Edited rows that bring a question of training and a question of a probe together."""
    texts = {key: item.texts for key, item in known.items()}
    texts |= {key: one.texts for key, one in decided.items() if one and one.texts}

    def asked(*kinds: Kind) -> set[str]:
        return {_plain(now["question"]) for (kind, _), now in texts.items() if kind in kinds}

    held_out, trained = asked("probes"), asked("examples", "pairs")
    others: dict[Kind, tuple[str, set[str]]] = {
        "probes": ("a training row", trained),
        "examples": ("a probe", held_out),
        "pairs": ("a probe", held_out),
    }
    return [
        f"{path}: sheet {kind}, row with id {row}: the question is that of {others[kind][0]}, and "
        "a held-out question must not be trained on."
        for (kind, row), one in decided.items()
        if one and one.texts and kind in others
        if _plain(one.texts["question"]) in others[kind][1]
    ]


def _yours(kind: Kind) -> str:
    return ", ".join((*TEXTS[kind], "decision")) + " and comment"


def _same(one: str, other: str) -> bool:
    """Spreadsheet programs have their own line ends."""
    return one.split() == other.split()


def _plain(question: str) -> str:
    return " ".join(question.casefold().split())
