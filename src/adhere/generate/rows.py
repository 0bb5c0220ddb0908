"""questions and their answers -> examples, preference pairs and probes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from adhere.generate.answers import Reply
from adhere.generate.pairs import TOLD_APART, Answers, without_contrast
from adhere.generate.plan import Situation
from adhere.generate.questions import Question
from adhere.generate.replies import drop, same
from adhere.records import Dropped, Example, PreferencePair, Probe, record_id


@dataclass(frozen=True, slots=True)
class Generated:
    examples: list[Example] = field(default_factory=list[Example])
    pairs: list[PreferencePair] = field(default_factory=list[PreferencePair])
    probes: list[Probe] = field(default_factory=list[Probe])
    dropped: list[Dropped] = field(default_factory=list[Dropped])


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its faithful answer, and the row that they make."""

    question: Question
    good: Reply

    @property
    def situation(self) -> Situation:
        return self.question.situation

    @property
    def id(self) -> str:
        one = self.situation
        return record_id(one.use, one.clause.id, one.kind, self.question.text, self.good.text)

    @property
    def turn(self) -> float | None:
        """As records have it; None for answers that their first words do not tell apart."""
        stance = self.question.stance
        return round(stance.turn, 2) if stance and self.situation.strategy in TOLD_APART else None

    def example(self) -> Example:
        return Example(
            id=self.id,
            clause=self.situation.clause.id,
            kind=self.situation.kind,
            question=self.question.text,
            answer=self.good.text,
            origin=self.good.origin,
        )

    def probe(self, bad: Reply | None) -> Probe:
        return Probe(
            id=self.id,
            clause=self.situation.clause.id,
            kind=self.situation.kind,
            question=self.question.text,
            reference=self.good.text,
            contrast=bad.text if bad else None,
            origin=self.good.origin,
            turn=self.turn,
        )

    def pair(self, bad: Reply) -> PreferencePair:
        return PreferencePair(
            id=self.id,
            clause=self.situation.clause.id,
            kind=self.situation.kind,
            question=self.question.text,
            chosen=self.good.text,
            rejected=bad.text,
            strategy=self.situation.strategy,
            origin=self.good.origin,
            turn=self.turn,
        )


def build_rows(questions: Sequence[Question], answers: Answers) -> Generated:
    """Join questions and answers; a pair without two different answers is dropped aloud."""
    rows = Generated()
    for question in questions:
        good, bad = answers.faithful.get(question), answers.unfaithful.get(question)
        if good is None:
            continue
        situation, answered = question.situation, Answered(question, good)
        if bad is not None and same(good.text, bad.text):
            detail = f"{question.text} {good.text}"
            alike = drop(situation.clause, "both answers are the same", detail)
            rows.dropped.append(without_contrast(alike) if situation.use == "probe" else alike)
            bad = None
        if situation.use == "example":
            rows.examples.append(answered.example())
        elif situation.use == "probe":
            rows.probes.append(answered.probe(bad))
        elif bad is not None:
            rows.pairs.append(answered.pair(bad))
    return rows
