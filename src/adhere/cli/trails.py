"""How a chain of records is shown on a terminal: what one asked for in full, the rest by its id."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from adhere.evaluate.sheet import BlindPair
from adhere.records import (
    Answer,
    Dropped,
    Example,
    PreferencePair,
    Probe,
    ProbeScore,
    Relation,
    Verdict,
)
from adhere.report.sentences import verdict_words
from adhere.text import printable
from adhere.trace import ClauseTrail, Place, RowTrail, SituationTrail, Trail

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

_LABEL = 11
"""Columns of the labels, `reference` being the longest of ours."""


def trail_lines(trail: Trail) -> "Iterator[RenderableType]":
    """The chain through one record, from its sentence down to the verdicts."""
    yield _title(trail.kind, trail.id)
    if trail.place:
        yield from _place(trail.place)
    if trail.kind == "document":
        yield _line("passages", " ".join(trail.passages))
    for told in trail.rewritings:
        yield _line(told.id, f"told again, {told.angle}: {told.text}")
        yield _line("made by", f"{told.origin.model} with {told.origin.prompt}")
    if trail.kind == "passage" and trail.read_for:
        yield _line("read for", " ".join(trail.read_for))
    if trail.kind in ("document", "passage", "rewriting", "dropped"):
        yield from _drops(trail.dropped)
        for clause in trail.clauses:
            yield from _clause_in_short(clause)
        return
    if trail.relation:
        yield from _relation(trail.relation)
        for clause in trail.clauses:
            yield from _clause_in_short(clause)
            yield from _place(clause.place)
        return
    if trail.situation:
        yield from _situation(trail.situation)
    if trail.sheet:
        yield from _sheet(trail.sheet)
    for clause in trail.clauses:
        yield from _clause(clause, trail.probe or trail.id)


def _place(place: Place) -> "Iterator[RenderableType]":
    from rich.padding import Padding
    from rich.text import Text

    page = "" if place.page is None else f", page {place.page}"
    where = " › ".join((place.name, *place.headings)) + page
    yield _line("document", f"{where}  ({place.document})")
    span = f"characters {place.start:,} to {place.end:,}"
    yield _line("passage", f"{place.passage}, {span}" if place.passage else span)
    if place.text:
        around = (
            (printable(" ".join(place.before.split()[-25:])), "dim"),
            " ",
            (printable(" ".join(place.text.split())), "bold"),
            " ",
            (printable(" ".join(place.after.split()[:25])), "dim"),
        )
        yield Padding(Text.assemble(*around), (1, 2))


def _clause(trail: ClauseTrail, focus: str) -> "Iterator[RenderableType]":
    clause = trail.clause
    yield _title("clause", clause.id)
    if clause.statement != " ".join(trail.place.text.split()):
        yield _line("states", clause.statement)
    yield _line("is", f"{clause.polarity}, {clause.stance}")
    said = [("binds", clause.binds), ("reason", clause.rationale)]
    for label, text in [*said, *(("exception", text) for text in clause.exceptions)]:
        if text:
            yield _line(label, text)
    yield _line("read by", f"{clause.origin.model} with {clause.origin.prompt}")
    for relation in trail.relations:
        other = relation.other(clause.id)
        yield _line("stands to", f"{other}: {relation.kind}  (conflict {relation.id})")
    yield from _result(trail)
    whole = focus == clause.id
    for title, rows in (
        ("trained on: examples", trail.examples),
        ("trained on: pairs", trail.pairs),
        ("tested by: probes", trail.probes),
    ):
        yield _title(title, str(len([row for row in rows if row.kept])))
        for row in rows:
            yield from _row(row, whole=whole or row.row.id == focus)
    if whole:
        yield from _drops(trail.dropped)
    elif trail.dropped:
        reasons = Counter(drop.reason for drop in trail.dropped).most_common()
        counted = ", ".join(f"{reason} ({count})" for reason, count in reasons)
        yield _line("dropped", f"for the clause: {counted}", "dim")


def _result(trail: ClauseTrail) -> "Iterator[RenderableType]":
    found = trail.result
    yield _line("result", str(found.get("result", "not evaluated yet")), style="bold")
    if found.get("evidence"):
        yield _line("because", str(found["evidence"]))
    if "gain" in found:
        interval = f"{found['gain']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"
        p = f", p = {found['p_holm']:.3f} (Holm)" if "p_holm" in found else ""
        yield _line("gain", f"{interval} nats a token over base{p}")


def _clause_in_short(trail: ClauseTrail) -> "Iterator[RenderableType]":
    counts = (len([row for row in rows if row.kept]) for rows in (trail.examples, trail.pairs))
    examples, pairs = counts
    probes = len([row for row in trail.probes if row.kept])
    yield _title("clause", trail.clause.id)
    yield _line(trail.clause.polarity, trail.clause.statement)
    yield _line(
        "result",
        f"{trail.result.get('result', 'not evaluated yet')}  "
        f"(examples {examples}, pairs {pairs}, probes {probes})",
    )


def _row(trail: RowTrail, *, whole: bool) -> "Iterator[RenderableType]":
    row = trail.row
    gone = "" if trail.kept else "  dropped"
    head = f"{row.kind}{gone}"
    if not whole:
        yield _line(row.id, f"{head}: {_short(row.question)}", style="" if trail.kept else "dim")
        return
    yield _line(row.id, head, style="bold")
    yield _line("question", row.question)
    for label, text in _texts(row):
        yield _line(label, text)
    yield _line("made by", f"{row.origin.model} with {row.origin.prompt}")
    yield from _said(trail.answers, trail.scores, trail.verdicts)
    yield from _drops(trail.dropped)
    yield _line("", "")


def _said(
    answers: Sequence[Answer], scores: Sequence[ProbeScore], verdicts: Sequence[Verdict]
) -> "Iterator[RenderableType]":
    """What the systems answered, how that was measured, and who judged it."""
    said = {answer.system: answer for answer in answers}
    measured = {score.system: _measured(score.values) for score in scores}
    for system in dict.fromkeys((*said, *measured)):
        answer = said.get(system)
        text = answer.text if answer else ""
        yield _line(system, f"{text} {measured.get(system, '')}".strip())
        if answer and answer.passages:
            yield _line("", f"having read {', '.join(answer.passages)}", "dim")
    for verdict in verdicts:
        yield _line("judged", verdict_words(verdict))


def _situation(trail: SituationTrail) -> "Iterator[RenderableType]":
    situation = trail.situation
    if situation.section:
        yield _line("section", situation.section)
    yield _line("question", situation.question)
    for label, texts in (("good", situation.good), ("bad", situation.bad)):
        for text in texts:
            yield _line(label, text)
    yield from _said(trail.answers, trail.scores, trail.verdicts)


def _relation(relation: Relation) -> "Iterator[RenderableType]":
    yield _line("is", f"{relation.kind}, {relation.score:.2f} alike in what they are about")
    yield _line("stands", relation.winner or "both")


def _sheet(pair: BlindPair) -> "Iterator[RenderableType]":
    cells = pair.cells()
    yield _line("answer 1", cells["answer 1"])
    yield _line("answer 2", cells["answer 2"])
    first, second = ("b", "a") if pair.swapped else ("a", "b")
    if pair.match:
        names = dict(zip("ab", pair.match, strict=True))
        yield _line("hides", f"1 is {names[first]}, 2 is {names[second]}")
    if pair.exam:
        kind, _, better = pair.exam
        right = {first: "1", second: "2"}.get(better, "tie")
        yield _line("hides", f"an exam pair ({kind}); right is {right}")


def _texts(row: Example | PreferencePair | Probe) -> list[tuple[str, str]]:
    if isinstance(row, Example):
        return [("answer", row.answer)]
    if isinstance(row, PreferencePair):
        return [("chosen", row.chosen), ("rejected", row.rejected)]
    contrast = row.contrast or "none was kept"
    return [("reference", row.reference), ("contrast", contrast)]


def _measured(values: dict[str, float]) -> str:
    said: list[str] = []
    if "reference_nll" in values:
        said.append(f"finds the reference at {values['reference_nll']:.2f} nats a token")
    if "preference_accuracy" in values:
        preferred = {1.0: "prefers it to the contrast", 0.0: "prefers the contrast"}
        by = f" by {values['preference_margin']:+.2f}" if "preference_margin" in values else ""
        said.append(preferred.get(values["preference_accuracy"], "prefers neither") + by)
    if "yes_no_accuracy" in values:
        word = {1.0: "right", 0.0: "wrong"}.get(values["yes_no_accuracy"], "undecided")
        said.append(f"its yes or no is {word} by {values['yes_no_margin']:+.2f}")
    if "accuracy" in values:
        said.append(
            f"finds the good likelier than the bad in {values['accuracy']:.0%} of the pairings, "
            f"by {values['margin']:+.2f} nats a token"
        )
    return f"[{', '.join(said)}]" if said else ""


def _drops(drops: Sequence[Dropped]) -> "Iterator[RenderableType]":
    for drop in drops:
        yield _line("dropped", f"in {drop.stage}, {drop.reason}: {_short(drop.detail)}", "dim")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:100].rpartition(' ')[0]} …"


def _title(what: str, name: str) -> "Text":
    from rich.text import Text

    return Text.assemble("\n", (what, "bold cyan"), "  ", (name, "bold"))


def _line(label: str, text: str, style: str = "") -> "RenderableType":
    """A label and its text, which wraps under itself and never in colour codes of its own."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.add_column(min_width=_LABEL, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(label, style="cyan"), Text(printable(text), style=style))
    return grid
