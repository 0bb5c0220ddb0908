"""What a clause answers to a question, yes or no, and whether the question turns on the clause.

A small teacher that is asked for "a question that breaks the rule" writes a question
about the rule or about something else, and in either direction. Its likelihood tells
which: where the clause is turned round, the leaning between yes and no must turn with
it. What moves it is at stake, and the way it moves is the faithful answer. Read by eye,
45 of 59 questions that passed were about their clause and rightly answered; most of the
others were about clauses too vague to decide anything (docs/decisions.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from adhere.grounding import Closed, log_odds
from adhere.teacher import Teacher
from adhere.text import YES_NO, yes_no

K = TypeVar("K")

_COMMAS = {"ar": "،", "ja": "、", "zh": "，"}
_UNSPACED = frozenset({"ja", "zh"})
_PLAIN_LEANING, _LEAST_TURN = 0.8, 0.2
"""In nats."""
_NOES = {no for _, no in YES_NO.values()}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the clause that should answer it, and the same clause turned round."""

    statement: str
    opposite: str
    question: str
    language: str


@dataclass(frozen=True, slots=True)
class Stance:
    """`word` begins the faithful answer, `contrary` the unfaithful one."""

    word: str
    contrary: str
    leaning: float
    """log P(word) - log P(contrary) after the clause, in nats: below 0, the two disagree."""
    turn: float
    """By how much the leaning is larger after the clause than after the clause turned round."""

    @property
    def plain(self) -> bool:
        """Whether the clause's side is plain though little turns.

        Read by eye, 24 of 39 such questions about the Universal Declaration were about their
        clause and rightly answered (docs/data-quality.md).
        """
        return self.leaning >= _PLAIN_LEANING and self.turn >= _LEAST_TURN

    @property
    def negative(self) -> bool:
        """Whether the faithful answer is no."""
        return self.word in _NOES


def stances(asked: Mapping[K, Asked], teacher: Teacher) -> dict[K, Stance]:
    """The stance of each question that could be scored, under the question's key."""
    closed = {
        (key, text): _closed(text, item, teacher)
        for key, item in asked.items()
        for text in (item.statement, item.opposite)
    }
    found = log_odds(teacher.engine, closed, "what is at stake", teacher.progress)
    known: dict[K, Stance] = {}
    for key, item in asked.items():
        faithful, contrary = (found[key, text] for text in (item.statement, item.opposite))
        if faithful is not None and contrary is not None:
            known[key] = _stance(*yes_no(item.language), faithful, faithful - contrary)
    return known


def opening(word: str, language: str) -> str:
    """How an answer that takes a side begins: `No,`."""
    return word + _COMMAS.get(language, ",")


def _stance(yes: str, no: str, leaning: float, turn: float) -> Stance:
    if turn >= 0:
        return Stance(yes, no, leaning, turn)
    return Stance(no, yes, -leaning, -turn)


def _closed(text: str, item: Asked, teacher: Teacher) -> Closed:
    prompts = teacher.prompts
    chat = prompts.style == "chat"
    head = prompts.head("answer", item.language)
    prompt = prompts.styled("answer", item.language, text=text, question=item.question, start="")
    space = "" if chat or item.language in _UNSPACED else " "
    yes, no = (space + word for word in yes_no(item.language))
    return Closed(prefix=head, prompt=prompt.removeprefix(head), yes=yes, no=no, chat=chat)
