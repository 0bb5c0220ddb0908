"""Small things about the teacher's replies that every step of generation needs."""

import re
from collections.abc import Iterator, Sequence

from adhere.records import Clause, Completion, Dropped

_RUN = 7
"""Words; below that, people happen to say the same."""
_PLACE = re.compile(r"\([^)]+\)")
_NAME = re.compile(r"(?:(?<=[\w,;] )|(?<=\())[A-ZÀ-Þ]\w{2,}")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+")
"""Chinese and Japanese without punctuation: there words cannot be told by spaces."""
_UNSPACED_RUN = 12
"""Characters; "was that right?" has 11 in Japanese."""


def said(reply: Completion) -> str:
    """The reply's text; empty where the engine failed."""
    return "" if reply.error else reply.text.strip()


def same(one: str, other: str) -> bool:
    return one.strip(" .;").casefold() == other.strip(" .;").casefold()


def runs(text: str) -> set[tuple[str, ...]]:
    """All runs of seven consecutive words: long enough that only a copy shares one.

    In Chinese and Japanese of twelve characters.
    """
    found = set(_windows(re.findall(r"\w+", text.casefold()), _RUN))
    for stretch in _UNSPACED.findall(text):
        found |= set(_windows(stretch, _UNSPACED_RUN))
    return found


def names(text: str) -> set[str]:
    """Words with a capital in the midst of a sentence: proper names, in most languages."""
    return set(_NAME.findall(text))


def places(prompt: str) -> set[str]:
    """The names in the places of worked examples: `Rule (Harbour Line Handbook, Gifts): ...`.

    Not all names of a prompt: that a letter is in English may be in any question.
    """
    return names(" ".join(_PLACE.findall(prompt)))


def _windows(items: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for place in range(len(items) - size + 1):
        yield tuple(items[place : place + size])


def failed(clause: Clause, reason: str, reply: Completion) -> Dropped:
    return drop(clause, reason, reply.error or "the reply was empty")


def drop(clause: Clause, reason: str, detail: str) -> Dropped:
    return Dropped(record_id=clause.id, stage="generate", reason=reason, detail=detail)
