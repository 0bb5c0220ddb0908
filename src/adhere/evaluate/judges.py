"""Who says which of two answers follows the document better.

Judges differ in how they find out: by the likelihood of the answers given the passage,
by asking about both answers at once, or by asking about each answer alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from adhere.engines.base import Engine
from adhere.grounding import Closed, Grounded, Grounding, log_odds
from adhere.progress import Progress
from adhere.prompts import Prompts
from adhere.records import (
    Answer,
    Message,
    Probe,
    Request,
    Sampling,
    Winner,
    record_id,
)

Seat = Literal["A", "B"]

TIE_MARGIN = 0.01
"""Nats; two marks nearer than this are a tie (rounding of batched bf16)."""

_LONGEST_REPLY = 4
_REPLY = re.compile(r"\W*(?:(?:the )?answer\W+)?([AB])\W*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two answers to one question about one passage."""

    probe: str
    passage: str
    """The text that the answers are judged by."""
    statement: str
    """Of the clause: what exactly the passage values here."""
    question: str
    a: str
    b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a judge says of one comparison."""

    winner: Winner
    margin: float = 0.0
    """How much better a is than b, on the judge's own scale."""
    flipped: bool = False
    """The judge changed its mind when the order was swapped; the winner is "tie"."""
    unreadable: bool = False
    """The judge gave no verdict that could be read; the winner is "tie"."""


Match = tuple[str, str]
"""The names of two systems, a and b."""


def comparisons(
    matches: Sequence[Match],
    answers: Sequence[Answer],
    probes: Sequence[Probe],
    passages: Mapping[str, str],
    statements: Mapping[str, str],
) -> list[tuple[Match, Comparison]]:
    """Each match on each probe that both systems answered; those of one probe adjacent.

    `passages`, `statements`: clause id -> text.
    """
    said = {(answer.system, answer.probe): answer.text for answer in answers}
    return [
        (
            (a, b),
            Comparison(
                probe=probe.id,
                passage=passages[probe.clause],
                statement=statements[probe.clause],
                question=probe.question,
                a=said[a, probe.id],
                b=said[b, probe.id],
            ),
        )
        for probe in probes
        for a, b in matches
        if (a, probe.id) in said and (b, probe.id) in said
    ]


class Judge(Protocol):
    @property
    def name(self) -> str:
        """Unique among the judges of a run."""
        ...

    def compare(self, items: Sequence[Comparison]) -> list[Judgement]:
        """One judgement for each comparison, in order."""
        ...


class LikelihoodJudge:
    """The answer with the higher grounding gain wins."""

    def __init__(self, grounding: Grounding, name: str = "likelihood") -> None:
        self.name = name
        self._grounding = grounding

    def compare(self, items: Sequence[Comparison]) -> list[Judgement]:
        sides = [
            Grounded(item.passage, item.question, answer)
            for item in items
            for answer in (item.a, item.b)
        ]
        gains = self._grounding.gains(sides, f"judge {self.name}")
        return [
            _of_two(item, a, b) for item, a, b in zip(items, gains[::2], gains[1::2], strict=True)
        ]


class PointwiseJudge:
    """The answer that is more surely said to keep to the clause wins.

    Each answer is shown alone, with the clause's statement. Its mark is log P("Yes") -
    log P("No") as the reply: a small model says the same word of nearly every answer,
    but not with the same certainty. Needs an engine that can score.
    """

    def __init__(
        self, engine: Engine, prompts: Prompts, progress: Progress, name: str = "pointwise"
    ) -> None:
        self.name = name
        self._engine = engine
        self._prompts = prompts
        self._progress = progress

    def compare(self, items: Sequence[Comparison]) -> list[Judgement]:
        asked = {
            (item.statement, item.question, answer): self._asked(item, answer)
            for item in items
            for answer in (item.a, item.b)
        }
        marks = log_odds(self._engine, asked, f"judge {self.name}", self._progress)
        return [
            _of_two(
                item, *(marks[item.statement, item.question, answer] for answer in (item.a, item.b))
            )
            for item in items
        ]

    def _asked(self, item: Comparison, answer: str) -> Closed:
        text = self._prompts.styled(
            "judge_pointwise", statement=item.statement, question=item.question, answer=answer
        )
        head = self._prompts.head("judge_pointwise")
        chat = self._prompts.style == "chat"
        yes, no = ("Yes", "No") if chat else (" Yes", " No")
        return Closed(prefix=head, prompt=text.removeprefix(head), yes=yes, no=no, chat=chat)


def _of_two(item: Comparison, a: float | None, b: float | None) -> Judgement:
    """By two marks; None is a mark that could not be given. Who says nothing loses."""
    if bool(item.a.strip()) != bool(item.b.strip()):
        return Judgement(winner="a" if item.a.strip() else "b")
    if a is None or b is None:
        return Judgement(winner="tie", unreadable=True)
    margin = a - b
    if abs(margin) < TIE_MARGIN:
        return Judgement(winner="tie", margin=margin)
    return Judgement(winner="a" if margin > 0 else "b", margin=margin)


class AskedJudge:
    """A model is asked which answer follows the passage better, in both orders.

    Disagreement between the orders is a tie and counted as flipped. Two answers that
    are the same are a tie without being asked about.
    """

    def __init__(
        self, engine: Engine, prompts: Prompts, progress: Progress, name: str = "asked"
    ) -> None:
        self.name = name
        self._engine = engine
        self._prompts = prompts
        self._progress = progress

    def compare(self, items: Sequence[Comparison]) -> list[Judgement]:
        pairs = [
            None if item.a == item.b else (self._request(item, False), self._request(item, True))
            for item in items
        ]
        requests = {request.id: request for pair in pairs if pair for request in pair}
        completions = self._progress.track(
            self._engine.complete(requests.values()), f"judge {self.name}", len(requests)
        )
        seats: dict[str, Seat | None] = {
            completion.id: None if completion.error else parse_seat(completion.text)
            for completion in completions
        }
        return [
            _of_both_orders(seats[pair[0].id], seats[pair[1].id])
            if pair
            else Judgement(winner="tie")
            for pair in pairs
        ]

    def _request(self, item: Comparison, swapped: bool) -> Request:
        first, second = (item.b, item.a) if swapped else (item.a, item.b)
        text = self._prompts.render(
            "judge_pairwise",
            passage=item.passage,
            question=item.question,
            first=first,
            second=second,
        )
        return Request(
            id=record_id(text),
            prompt=(Message(role="user", content=text),),
            sampling=Sampling(max_tokens=_LONGEST_REPLY),
        )


def parse_seat(reply: str) -> Seat | None:
    """The seat that a reply names on its first line, or None if it names none plainly.

    "B", "**A**", "(b)." and "Answer: A" are plain; "A good answer" and "A or B" are not.
    """
    lines = reply.strip().splitlines()
    match = _REPLY.fullmatch(lines[0]) if lines else None
    if match is None:
        return None
    return "A" if match[1].upper() == "A" else "B"


def judge_winner(seat: Seat, swapped: bool) -> Winner:
    """Whose answer sat in the winning seat: unswapped, a sits in A and b in B."""
    return "a" if (seat == "A") != swapped else "b"


def _of_both_orders(straight: Seat | None, swapped: Seat | None) -> Judgement:
    if straight is None or swapped is None:
        return Judgement(winner="tie", unreadable=True)
    first, second = judge_winner(straight, swapped=False), judge_winner(swapped, swapped=True)
    if first != second:
        return Judgement(winner="tie", flipped=True)
    return Judgement(winner=first, margin=1.0 if first == "a" else -1.0)


def judges_of(
    engine: Engine, grounding: Grounding, prompts: Prompts, progress: Progress, of: str = ""
) -> list[Judge]:
    """Every way in which one engine can judge; `of` tells its judges from another engine's."""
    return [
        LikelihoodJudge(grounding, f"likelihood {of}".strip()),
        AskedJudge(engine, prompts, progress, f"asked {of}".strip()),
        PointwiseJudge(engine, prompts, progress, f"pointwise {of}".strip()),
    ]
