"""Who says which of two answers follows the passage better."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from adhere.engines.base import Engine
from adhere.grounding import Grounded, Grounding
from adhere.progress import Progress
from adhere.prompts import Prompts
from adhere.records import Message, Request, Sampling, Winner, record_id

Seat = Literal["A", "B"]

TIE_MARGIN = 0.01
"""Nats a token; two grounding gains nearer than this are a tie (rounding of batched bf16)."""

_LONGEST_REPLY = 4
_REPLY = re.compile(r"\W*(?:(?:the )?answer\W+)?([AB])\W*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two answers to one question about one passage."""

    probe: str
    passage: str
    """The text that the answers are judged by."""
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


class Judge(Protocol):
    @property
    def name(self) -> str: ...

    def compare(self, items: Sequence[Comparison]) -> list[Judgement]:
        """One judgement for each comparison, in order."""
        ...


class LikelihoodJudge:
    """The answer with the higher grounding gain under the teacher wins."""

    name = "likelihood"

    def __init__(self, grounding: Grounding) -> None:
        self._grounding = grounding

    def compare(self, items: Sequence[Comparison]) -> list[Judgement]:
        sides = [
            Grounded(item.passage, item.question, answer)
            for item in items
            for answer in (item.a, item.b)
        ]
        gains = self._grounding.gains(sides, "judge likelihood")
        return [_by_gain(a, b) for a, b in zip(gains[::2], gains[1::2], strict=True)]


def _by_gain(a: float | None, b: float | None) -> Judgement:
    if a is None or b is None:
        return Judgement(winner="tie", unreadable=True)
    margin = a - b
    if abs(margin) < TIE_MARGIN:
        return Judgement(winner="tie", margin=margin)
    return Judgement(winner="a" if margin > 0 else "b", margin=margin)


class AskedJudge:
    """The teacher is asked which answer follows the passage better, in both orders.

    Disagreement between the orders is a tie and counted as flipped. Two answers that
    are the same are a tie without being asked about.
    """

    name = "asked"

    def __init__(self, teacher: Engine, prompts: Prompts, progress: Progress) -> None:
        self._teacher = teacher
        self._prompts = prompts
        self._progress = progress

    def compare(self, items: Sequence[Comparison]) -> list[Judgement]:
        pairs = [
            None if item.a == item.b else (self._request(item, False), self._request(item, True))
            for item in items
        ]
        requests = {request.id: request for pair in pairs if pair for request in pair}
        completions = self._progress.track(
            self._teacher.complete(requests.values()), "judge asked", len(requests)
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
