"""clauses -> examples, preference pairs and probes.

Each clause is met in several situations, drawn by a seeded sampler (`plan`). A question
is sampled for each, until one turns on the clause (`questions`, `stance`), and answered
once, or twice for a pair and a probe (`answers`, `pairs`). By default both answers come
from one prompt, once with the clause and once with the clause turned round (`opposites`):
they differ in the value, and not in length or style.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from adhere.embedding import Embed
from adhere.engines.base import Engine
from adhere.generate.opposites import turn_round
from adhere.generate.pairs import TOLD_APART, Answers, Writers, two_answers
from adhere.generate.plan import KINDS, plan
from adhere.generate.questions import Question, Source, find_questions
from adhere.generate.replies import drop, same
from adhere.generate.rewritings import ANGLES, rewritings
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

__all__ = ["ANGLES", "KINDS", "Generated", "generate", "rewritings"]


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
    student: Engine,
    embed: Embed,
    settings: GenerateSettings,
) -> Generated:
    """Opposites, then questions, then answers; every failure is a Dropped, never an exception.

    A clause without an opposite is asked open questions only, so it makes no pairs.
    `student` answers only where the strategy of pairs asks for its own answers.
    """
    language_of = {document.id: document.language for document in documents}
    opposites, unturned = turn_round(clauses, language_of, teacher)
    source = Source.of(passages, language_of, opposites)
    situations = plan(clauses, settings, {drop.record_id for drop in unturned})
    questions, rejected = find_questions(situations, source, teacher, embed, settings)
    answers = two_answers(questions, Writers(teacher, student, source, settings))
    rows = build_rows(questions, answers)
    rows.dropped[:0] = [*unturned, *rejected, *answers.dropped]
    return rows


def build_rows(questions: Sequence[Question], answers: Answers) -> Generated:
    """Join questions and answers; a pair without two different answers is dropped aloud."""
    rows = Generated()
    for question in questions:
        good, bad = answers.faithful.get(question), answers.unfaithful.get(question)
        if good is None:
            continue
        situation, text = question.situation, question.text
        clause, kind = situation.clause, situation.kind
        identity = record_id(situation.use, clause.id, kind, text, good.text)
        decided = question.stance if situation.strategy in TOLD_APART else None
        turn = round(decided.turn, 2) if decided else None
        if bad is not None and same(good.text, bad.text):
            rows.dropped.append(drop(clause, "both answers are the same", f"{text} {good.text}"))
            bad = None
        if situation.use == "example":
            rows.examples.append(
                Example(
                    id=identity,
                    clause=clause.id,
                    kind=kind,
                    question=text,
                    answer=good.text,
                    origin=good.origin,
                )
            )
        elif situation.use == "probe":
            rows.probes.append(
                Probe(
                    id=identity,
                    clause=clause.id,
                    kind=kind,
                    question=text,
                    reference=good.text,
                    contrast=bad.text if bad else None,
                    origin=good.origin,
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
                    strategy=situation.strategy,
                    origin=good.origin,
                    turn=turn,
                )
            )
    return rows
