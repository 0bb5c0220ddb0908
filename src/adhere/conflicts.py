"""clauses -> which of them say the same, narrow one another, or cannot both be followed.

Two clauses contradict each other when contrary words of duty are said of one act ("must not
accept gifts", "may accept gifts"), or the same words with another figure ("within 24 hours",
"within 30 days"). The act is the sentence without its words of duty, and acts are compared by
their embeddings: with the words of duty in, "shall" and "shall not" of unlike things come out
as near as of one thing. The bounds were set on pairs marked by hand and measured on others
(benchmarks/clause_pairs.py).

Clauses of one passage are not compared: a rule and its exception stand together on purpose.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from adhere.duty import act, duties, plain_duty
from adhere.embedding import Embed, FloatArray
from adhere.errors import SettingsError
from adhere.records import Clause, Document, Dropped, Polarity, Relation, RelationKind, record_id
from adhere.settings import ClausesSettings

Rank = tuple[int, int]

SAME_WORDS = 0.999
"""Least cosine of acts in the same words, but for case and stops. Of less near ones the embedder
cannot tell whether they are one rule: "within two days" and "within ten days" come to 0.91, "the
front door" and "the back door" to 0.96 (MiniLM)."""
NEAR_ACT = 0.5
"""Least cosine of an act and one that narrows it; all its words must be there too."""
_TYPO = 0.75
"""Least likeness (difflib's ratio) of a name to the one that was meant: random ids reach 0.6."""
_BINDING: set[Polarity] = {"required", "forbidden", "permitted"}
_LABEL = re.compile(r"^(?:\(?(?:\d+|\w)[.)]|\(?\d+(?:\.\d+)+[.)]?(?=\s+[A-Z]))\s+")
"""The number or letter of a paragraph: "1.", "(a)", "4.2"."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")


def find_relations(
    clauses: Sequence[Clause],
    documents: Sequence[Document],
    embed: Embed,
    settings: ClausesSettings,
) -> list[Relation]:
    """The relations between explicit clauses of different passages, in the order of the clauses.

    Only clauses of one language are compared.
    """
    explicit = [clause for clause in clauses if clause.stance == "explicit"]
    language = {document.id: document.language for document in documents}
    acts = [act(clause.statement, language[clause.document]) for clause in explicit]
    found: list[Relation] = []
    for one, other, score in _near(embed(acts)) if explicit else ():
        first, second = explicit[one], explicit[other]
        spoken = language[first.document]
        if first.passage == second.passage or spoken != language[second.document]:
            continue
        kind = relation_of(first.statement, second.statement, score, spoken, settings)
        if kind == "refinement" and len(acts[one]) > len(acts[other]):
            first, second = second, first
        if kind:
            found.append(_relation(kind, first, second, score))
    return found


def relation_of(
    first: str, second: str, score: float, language: str, settings: ClausesSettings
) -> RelationKind | None:
    """How two statements stand to each other, whose acts have the cosine `score`.

    A statement that says two things ("is free to report, and must not be punished") is
    contrary only to one that says neither. The number of a paragraph is no figure.
    """
    first, second = (_LABEL.sub("", text) for text in (first, second))
    one, other = _bound(first, language), _bound(second, language)
    if one and other and not one & other:
        contrary = score >= settings.same_act and one | other <= _BINDING
        return "contradiction" if contrary else None
    if plain_duty(first, language) != plain_duty(second, language):
        return None
    words = [set(re.findall(r"\w+", act(text, language).casefold())) for text in (first, second)]
    if score >= NEAR_ACT and (words[0] < words[1] or words[1] < words[0]):
        return "refinement"
    if score < settings.same_rule:
        return None
    figures = [_NUMBER.findall(text) for text in (first, second)]
    if figures[0] == figures[1]:
        return "duplicate" if duties(first, language) == duties(second, language) else None
    return "contradiction" if len(figures[0]) == len(figures[1]) else None


def _bound(statement: str, language: str) -> set[Polarity]:
    """All that a statement says; after the first word, "may" counts for nothing ("nobody may")."""
    bound: set[Polarity] = {duty for duty in duties(statement, language) if duty != "permitted"}
    if said := plain_duty(statement, language):
        bound.add(said)
    return bound


def _near(vectors: FloatArray) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows whose dot product is at least NEAR_ACT, row by row to spare memory."""
    for row in range(len(vectors) - 1):
        scores = vectors[row + 1 :] @ vectors[row]
        for offset in (scores >= NEAR_ACT).nonzero()[0]:
            yield row, row + 1 + int(offset), float(scores[offset])


def _relation(kind: RelationKind, first: Clause, second: Clause, score: float) -> Relation:
    return Relation(
        id=record_id(kind, first.id, second.id),
        kind=kind,
        first=first.id,
        second=second.id,
        score=score,
    )


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of the clauses: those that stand, those set aside, and why."""

    standing: list[Clause]
    aside: list[Clause]
    relations: list[Relation]
    """As found, with their winners."""
    dropped: list[Dropped]
    unsettled: int
    """Contradictions of which both sides stand, though nobody said that both shall."""


@dataclass(frozen=True, slots=True)
class _Fall:
    """Why a clause is set aside, and the clause that stands in its place, where there is one."""

    reason: str
    winner: str | None
    by: str


def check_precedence(documents: Sequence[Document], settings: ClausesSettings) -> None:
    """Raises SettingsError for a name in `clauses.precedence` that no document has."""
    _check_known(
        settings.precedence,
        [document.name for document in documents],
        "clauses.precedence: there is no document",
    )


def settle(
    clauses: Sequence[Clause],
    relations: Sequence[Relation],
    documents: Sequence[Document],
    settings: ClausesSettings,
) -> Settlement:
    """Who wins: by hand (`clauses.settle`), then by `clauses.precedence`.

    A contradiction that neither settles is left standing, both sides of it: the finder errs,
    and a rule that it set aside in error would be missed by nobody. For the same reason twins
    both stand where they say it in other words (SAME_WORDS) and nobody said which wins; of
    those in the same words the earlier stands, or the one of the document that goes first. A
    clause that is said to win always stands: of two such, both. Raises SettingsError for a
    clause that is not there.
    """
    by_id = {clause.id: clause for clause in clauses}
    _check_known(settings.settle, list(by_id), "clauses.settle: there is no clause")
    names = {document.id: document.name for document in documents}
    ranks = {clause.id: _rank(clause, names, settings) for clause in clauses}
    standing: set[str] = set()
    fallen: dict[str, _Fall] = {}
    for clause in sorted(clauses, key=lambda one: ranks[one.id]):  # stable: then the text's order
        if fall := _fall(clause.id, relations, ranks, standing, settings):
            fallen[clause.id] = fall
        else:
            standing.add(clause.id)
    return Settlement(
        standing=[clause for clause in clauses if clause.id in standing],
        aside=[clause for clause in clauses if clause.id in fallen],
        relations=[_with_winner(relation, standing) for relation in relations],
        dropped=[_dropped(by_id[one], fall, by_id, names) for one, fall in fallen.items()],
        unsettled=sum(
            {one.first, one.second} <= standing and not both_win(one.first, one.second, settings)
            for one in relations
            if one.kind == "contradiction"
        ),
    )


def both_win(first: str, second: str, settings: ClausesSettings) -> bool:
    """Whether a person said of two clauses that they shall stand side by side."""
    return settings.settle.get(first) == settings.settle.get(second) == "wins"


def _rank(clause: Clause, names: Mapping[str, str], settings: ClausesSettings) -> Rank:
    """Lower goes first: said to win, then the place of its document in the precedence."""
    order = [*settings.precedence, names[clause.document]]
    by_hand = {"wins": 0, "loses": 2}.get(settings.settle.get(clause.id, ""), 1)
    listed = names[clause.document] in settings.precedence
    return by_hand, order.index(names[clause.document]) if listed else len(settings.precedence)


def _fall(
    clause: str,
    relations: Iterable[Relation],
    ranks: Mapping[str, Rank],
    standing: Collection[str],
    settings: ClausesSettings,
) -> _Fall | None:
    """What sets a clause aside, if anything does; `standing` are those that go before it."""
    if settings.settle.get(clause) == "wins":
        return None
    for relation in relations:
        other = relation.other(clause)
        if other is None or other not in standing or relation.kind == "refinement":
            continue
        by_hand = ranks[other][0] != ranks[clause][0]
        if relation.kind == "duplicate" and (by_hand or relation.score >= SAME_WORDS):
            return _Fall("duplicate", other, "says the same as")
        if relation.kind == "contradiction" and ranks[other] < ranks[clause]:
            by = "clauses.settle" if by_hand else "clauses.precedence"
            return _Fall("contradicted", other, f"by {by} it gives way to")
    if settings.settle.get(clause) == "loses":
        return _Fall("set aside", None, "clauses.settle says that it loses")
    return None


def _with_winner(relation: Relation, standing: Collection[str]) -> Relation:
    """What sets nothing aside (a refinement, an open contradiction, near twins) has no winner."""
    stand = [one for one in (relation.first, relation.second) if one in standing]
    return replace(relation, winner=stand[0] if len(stand) == 1 else None)


def _dropped(
    clause: Clause, fall: _Fall, by_id: Mapping[str, Clause], names: Mapping[str, str]
) -> Dropped:
    detail = f"{clause.statement!r}: {fall.by}"
    if fall.winner:
        winner = by_id[fall.winner]
        detail += f" {winner.id} ({names[winner.document]}): {winner.statement!r}"
    return Dropped(record_id=clause.id, stage="clauses", reason=fall.reason, detail=detail)


def _check_known(given: Iterable[str], known: Sequence[str], said: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=_TYPO)
            remedy = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(known[:20])}"
            raise SettingsError(f"{said} '{name}'; {remedy}")
