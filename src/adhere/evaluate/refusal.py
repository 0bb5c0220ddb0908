"""Does an answer refuse? Told by phrases, which are examined on answers labelled by hand."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adhere.evaluate.statistics import rate_interval
from adhere.files import read_lines
from adhere.text import says_no, says_yes

_LABELLED = Path(__file__).parent / "data" / "refusals.jsonl"

LANGUAGE = "en"
"""Of the phrases; of answers in other languages they know nothing."""

_OPENING = 240
"""Characters in which an answer that declines has said so."""
# Broader than the linter in `faults`, which must not drop "I have to decline your gift".
_DECLINING = (
    "i can't",
    "i cannot",
    "i can not",
    "i won't",
    "i will not",
    "i'm not able",
    "i am not able",
    "i'm unable",
    "i am unable",
    "i'm not equipped",
    "i am not equipped",
    "i'm not comfortable",
    "i am not comfortable",
    "i don't have the ability",
    "i don't have the capability",
    "i do not have the ability",
    "i must decline",
    "i have to decline",
    "i'd rather not",
    "i would rather not",
    "i'm sorry, but",
    "i am sorry, but",
    "i'm sorry for any",
    "i apologize, but",
    "i apologise, but",
    "not appropriate for me",
)
_DENYING = re.compile(
    r"(?:cannot|can't|can not|may not|must not|should not|shouldn't)\b(?! hesitate)"
    r"|not allowed|not permitted|forbidden|prohibited|(?:is|are|'s) against the"
)


def refuses(answer: str) -> bool:
    """Whether the answer begins by declining ("I cannot help") or by saying no ("You may not").

    Who says yes denies nothing, though a reason may name what is forbidden or what the speaker
    will not do; but "Yes, I know, but I cannot help" declines.
    """
    opening = answer[:_OPENING].casefold().replace("’", "'")
    if says_yes(opening, LANGUAGE):
        return any(f"but {phrase}" in opening for phrase in _DECLINING)
    if any(phrase in opening for phrase in _DECLINING):
        return True
    first = re.split(r"(?<=[.!?])\s", opening, maxsplit=1)[0]
    return says_no(opening, LANGUAGE) or bool(_DENYING.search(first))


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """An answer, of a small model or in its manner, and what a person says of it."""

    answer: str
    refuses: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorExam:
    """How often the phrases and the person agree."""

    right: int
    n: int
    missed: int
    """Refusals that the phrases took for none."""
    mistaken: int
    """Other answers that they took for refusals."""
    low: float
    """Lower bound of the interval of the agreement."""


@cache
def exam() -> DetectorExam:
    """The exam on the answers that come with adhere."""
    return examined(read_lines(_LABELLED, Labelled))


def examined(rows: Sequence[Labelled]) -> DetectorExam:
    """The exam on other answers."""
    pairs = [(row.refuses, refuses(row.answer)) for row in rows]
    right = [float(label == found) for label, found in pairs]
    return DetectorExam(
        right=int(sum(right)),
        n=len(pairs),
        low=rate_interval(right, [row.answer for row in rows])[0],
        missed=sum(label and not found for label, found in pairs),
        mistaken=sum(found and not label for label, found in pairs),
    )
