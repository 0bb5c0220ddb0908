"""clauses -> examples, preference pairs and probes.

Each clause is met in several situations, drawn by a seeded sampler (`plan`). A question
is sampled for each, until one turns on the clause (`questions`, `stance`); answers are
greedy (`answers`). The two answers of a pair come from one prompt, once with the clause
and once with the clause turned round (a counterfactual clause, `opposites`): they differ
in the value, and not in length or style.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adhere.embedding import Embed
from adhere.generate.answers import Basis, Reply, answer
from adhere.generate.opposites import turn_round
from adhere.generate.plan import KINDS, plan
from adhere.generate.questions import Question, Source, find_questions
from adhere.generate.replies import drop, same
from adhere.records import (
    Clause,
    Document,
    Dropped,
    Example,
    Passage,
    PreferencePair,
    Probe,
    record_id,
)
from adhere.settings import GenerateSettings
from adhere.teacher import Teacher

__all__ = ["KINDS", "Generated", "generate"]


@dataclass(frozen=True, slots=True)
class Generated:
    examples: list[Example] = field(default_factory=list[Example])
    pairs: list[PreferencePair] = field(default_factory=list[PreferencePair])
    probes: list[Probe] = field(default_factory=list[Probe])
    dropped: list[Dropped] = field(default_factory=list[Dropped])


def generate(
    documents: Sequence[Document],
    passages: Sequence[Passage],
    clauses: Sequence[Clause],
    teacher: Teacher,
    embed: Embed,
    settings: GenerateSettings,
) -> Generated:
    """Opposites, then questions, then answers; every failure is a Dropped, never an exception.

    A clause without an opposite is asked open questions only, so it makes no pairs.
    """
    opposites, unturned = turn_round(clauses, teacher)
    source = Source.of(documents, passages, opposites)
    situations = [
        situation
        for situation in plan(clauses, settings)
        if not situation.closed or situation.clause.id in opposites
    ]
    questions, rejected = find_questions(situations, source, teacher, embed, settings)
    faithful, unanswered = answer(
        {question: _faithful(question, source) for question in questions},
        teacher,
        settings,
        "answers",
    )
    contrary = {
        question: _contrary(question, source)
        for question in faithful
        if question.situation.use != "example" and question.situation.clause.id in opposites
    }
    unfaithful, uncontrasted = answer(contrary, teacher, settings, "answers turned round")
    rows = build_rows(questions, faithful, unfaithful, teacher)
    rows.dropped[:0] = [*unturned, *rejected, *unanswered, *uncontrasted]
    return rows


def _faithful(question: Question, source: Source) -> Basis:
    """What the faithful answer rests on.

    The whole passage for an example's open question, as in the paper. The clause alone
    for all else: the stance was found with it, and a counterfactual twin has no more.
    """
    clause = question.situation.clause
    if question.situation.use == "example" and not question.stance:
        return Basis(source.body(clause))
    return Basis(clause.statement, question.stance.word if question.stance else "")


def _contrary(question: Question, source: Source) -> Basis:
    start = question.stance.contrary if question.stance else ""
    return Basis(source.opposites[question.situation.clause.id], start)


def build_rows(
    questions: Sequence[Question],
    faithful: Mapping[Question, Reply],
    unfaithful: Mapping[Question, Reply],
    teacher: Teacher,
) -> Generated:
    """Join questions and answers; a pair without two different answers is dropped aloud."""
    rows = Generated()
    for question in questions:
        good, bad = faithful.get(question), unfaithful.get(question)
        if good is None:
            continue
        clause, kind, text = question.situation.clause, question.situation.kind, question.text
        identity = record_id(question.situation.use, clause.id, kind, text, good.text)
        origin = teacher.origin("answer", good.request, clause.id, question.request.id)
        turn = round(question.stance.turn, 2) if question.stance else None
        if bad is not None and same(good.text, bad.text):
            rows.dropped.append(drop(clause, "both answers are the same", f"{text} {good.text}"))
            bad = None
        if question.situation.use == "example":
            rows.examples.append(
                Example(
                    id=identity,
                    clause=clause.id,
                    kind=kind,
                    question=text,
                    answer=good.text,
                    origin=origin,
                )
            )
        elif question.situation.use == "probe":
            rows.probes.append(
                Probe(
                    id=identity,
                    clause=clause.id,
                    kind=kind,
                    question=text,
                    reference=good.text,
                    contrast=bad.text if bad else None,
                    origin=origin,
                    turn=turn,
                )
            )
        elif bad is not None:
            rows.pairs.append(
                PreferencePair(
                    id=identity,
                    clause=clause.id,
                    kind=kind,
                    question=text,
                    chosen=good.text,
                    rejected=bad.text,
                    origin=origin,
                    turn=turn,
                )
            )
    return rows
