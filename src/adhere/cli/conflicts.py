"""`adhere conflicts`: where documents disagree, repeat or narrow one another, and who wins."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adhere.cli.common import Flag, app, errors_in_words, saved

if TYPE_CHECKING:
    from adhere.records import Clause, Document, Passage, Relation
    from adhere.settings import ClausesSettings

_ORDER = ("contradiction", "duplicate", "refinement")
_SAID = {
    "contradiction": "cannot both be followed",
    "duplicate": "seem to say the same",
    "refinement": "the second narrows the first",
}


@app.command
def conflicts(run: Path, *, json: Flag = False) -> None:
    """Clauses that contradict, repeat or narrow one another, with both places, and who wins.

    Parameters
    ----------
    run
        The run's folder, with `clauses` done.
    json
        Print a JSON list for programs.
    """
    with errors_in_words():
        settings = saved(run).clauses
        rows = _rows(run)
        if json:
            _print_json(rows)
        else:
            _print(run, rows, settings)


def _rows(run: Path) -> list[dict[str, Any]]:
    """Each relation with both clauses and their places, contradictions first, surest first."""
    from adhere.errors import InputError
    from adhere.run_files import CLAUSES, DOCUMENTS, PASSAGES, RELATIONS, SET_ASIDE
    from adhere.store import require_current

    if not (run / RELATIONS.name).exists():
        raise InputError(
            f"{run}: no conflicts were looked for yet; run `adhere clauses {run}` first."
        )
    require_current(run, ("clauses",))
    standing = CLAUSES.read(run)
    aside = SET_ASIDE.read(run)
    clauses = {
        one.id: (one, stands) for stands, some in ((True, standing), (False, aside)) for one in some
    }
    documents = {one.id: one for one in DOCUMENTS.read(run)}
    passages = {one.id: one for one in PASSAGES.read(run)}
    relations = RELATIONS.read(run)
    return [
        _row(relation, clauses, documents, passages)
        for relation in sorted(relations, key=lambda one: (_ORDER.index(one.kind), -one.score))
    ]


def _row(
    relation: "Relation",
    clauses: "dict[str, tuple[Clause, bool]]",
    documents: "dict[str, Document]",
    passages: "dict[str, Passage]",
) -> dict[str, Any]:
    sides: list[dict[str, Any]] = []
    for name in (relation.first, relation.second):
        clause, stands = clauses[name]
        document, passage = documents[clause.document], passages[clause.passage]
        sides.append(
            {
                "id": clause.id,
                "stands": stands,
                "document": document.name,
                "headings": list(passage.path(clause.start, clause.end)),
                "page": passage.page,
                "start": clause.start,
                "end": clause.end,
                "polarity": clause.polarity,
                "statement": clause.statement,
                "text": document.text[clause.start : clause.end],
            }
        )
    return {
        "kind": relation.kind,
        "score": round(relation.score, 3),
        "winner": relation.winner,
        "clauses": sides,
    }


def _print_json(rows: list[dict[str, Any]]) -> None:
    import json

    print(json.dumps(rows, ensure_ascii=False, indent=2))


def _print(run: Path, rows: list[dict[str, Any]], settings: "ClausesSettings") -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for row in rows:
        console.print(f"{row['kind']}: {_SAID[row['kind']]}", style="bold", markup=False)
        for side in row["clauses"]:
            console.print(f"  {side['id']}  {_place(side)}", markup=False, style="dim")
            console.print(f"    {side['polarity']}: {side['statement']}", markup=False)
        console.print(f"  {_verdict(row, settings)}\n", markup=False)
    counts = ", ".join(f"{sum(row['kind'] == kind for row in rows)} {kind}s" for kind in _ORDER)
    console.print(f"{run}: {counts}.", markup=False, soft_wrap=True)


def _place(side: dict[str, Any]) -> str:
    """`code.md › Gifts, page 3, characters 120 to 180`."""
    path = " › ".join((side["document"], *side["headings"]))
    page = f", page {side['page']}" if side["page"] is not None else ""
    return f"{path}{page}, characters {side['start']} to {side['end']}"


def _verdict(row: dict[str, Any], settings: "ClausesSettings") -> str:
    from adhere.conflicts import both_win

    if row["winner"]:
        return f"{row['winner']} stands; the other makes no data."
    if not any(side["stands"] for side in row["clauses"]):
        return "Neither stands; both gave way to others, or were set aside by hand."
    first, second = (side["id"] for side in row["clauses"])
    if row["kind"] == "refinement" or both_win(first, second, settings):
        return "Both stand."
    if row["kind"] == "duplicate":
        return (
            "In other words, so both make data. If they are one rule, say in run.toml which of the "
            "two wins, under [clauses.settle]."
        )
    return (
        "Not settled: both make data. In run.toml, name the document that goes first in "
        "precedence under [clauses], or one of the two under [clauses.settle]."
    )
