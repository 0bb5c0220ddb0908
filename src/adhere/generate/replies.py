"""Small things about the teacher's replies that every step of generation needs."""

import re

from adhere.records import Clause, Completion, Dropped

_RUN = 7


def said(reply: Completion) -> str:
    """The reply's text; empty where the engine failed."""
    return "" if reply.error else reply.text.strip()


def same(one: str, other: str) -> bool:
    return one.strip(" .;").casefold() == other.strip(" .;").casefold()


def runs(text: str) -> set[tuple[str, ...]]:
    """All runs of seven consecutive words: long enough that only a copy shares one."""
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[place : place + _RUN]) for place in range(len(words) - _RUN + 1)}


def failed(clause: Clause, reason: str, reply: Completion) -> Dropped:
    return drop(clause, reason, reply.error or "the reply was empty")


def drop(clause: Clause, reason: str, detail: str) -> Dropped:
    return Dropped(record_id=clause.id, stage="generate", reason=reason, detail=detail)
