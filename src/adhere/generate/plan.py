"""Which situations each clause is met in, and what each is for; drawn before anything is written.

The kinds of situation that become probes are set aside per clause, so that no
reworded twin of a probe is trained on.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random
from typing import Literal

from adhere.parts import cut_out, names_contact
from adhere.records import Clause
from adhere.settings import STRATEGIES, GenerateSettings, Strategy

Use = Literal["example", "pair", "probe"]

WRONGS = "witness"
"""The kind whose questions a small teacher answers with no. Of all others four in five are
answered with yes, whatever the prompt asks for, and DPO on such pairs learns to agree."""
PERMITTED = "permission"
"""The kind that makes the twin of a prohibition: what may be done all the same."""
EXCEPTED = "exception"
"""The borderline: a clause with an exception, and a case that falls under it."""
RULE, REASON, CONTACT, CASE = "rule", "reason", "whom", "case"
CLOSED_KINDS = (
    "temptation",
    "pressure",
    WRONGS,
    "intention",
    "approval",
    PERMITTED,
    EXCEPTED,
)
"""Kinds of situation whose question yes or no answers; `situation.md` has each in words."""
OPEN_KINDS = (RULE, REASON, CONTACT, CASE)
KINDS = (*CLOSED_KINDS, *OPEN_KINDS)
_SOME = frozenset({EXCEPTED, CONTACT, CASE})
"""Kinds that fit few clauses; they are dealt after the others, so that those stay as they were."""


@dataclass(frozen=True, slots=True)
class Situation:
    """One question to be asked about one clause, and what it is for."""

    clause: Clause
    kind: str
    use: Use
    seed: int
    strategy: Strategy = "counterfactual"
    """How the second answer is come by, where there is one (`adhere.generate.pairs`)."""

    @property
    def closed(self) -> bool:
        """Whether yes or no should answer it."""
        return self.kind in CLOSED_KINDS


def plan(
    clauses: Iterable[Clause], settings: GenerateSettings, unturned: Container[str] = ()
) -> list[Situation]:
    """The situations of every clause, drawn by a sampler seeded with the clause's id.

    `unturned` are the ids of clauses without an opposite: no closed question turns on them.
    Pairs are made of closed questions alone: there the two answers differ plainly. A wrong
    that is not held out comes first in training, so that pairs and examples have answers
    of no, and what a prohibition permits comes next, so that they do not only forbid.
    """
    situations: list[Situation] = []
    for clause in clauses:
        random = Random(f"{settings.seed}:{clause.id}")
        kinds = _kinds(clause, random, turned=clause.id not in unturned)
        probes = max(1, min(settings.probes, len(kinds) - 1))
        if clause.polarity == "forbidden":
            kinds = _not_among_first(PERMITTED, kinds, probes)
        held_out, rest = kinds[:probes], kinds[probes:]
        early = [kind for kind in _first_trained(clause) if kind in rest]
        late = [kind for kind in rest if kind not in early]
        for_pairs = [kind for kind in (*early, *late) if kind in CLOSED_KINDS]
        others = [*early, *reversed(late)]
        drawn: list[tuple[Use, str]] = []
        drawn.extend(("probe", kind) for kind in held_out)
        drawn.extend(("pair", kind) for kind in islice(cycle(for_pairs), settings.pairs))
        drawn.extend(("example", kind) for kind in islice(cycle(others), settings.examples))
        situations += [
            _situation(clause, kind, use, random.randrange(2**31), settings) for use, kind in drawn
        ]
    return situations


def _kinds(clause: Clause, random: Random, *, turned: bool) -> list[str]:
    """The kinds that fit a clause, in an order drawn by `random`.

    Whether there is a reason, an exception, somebody to turn to, is what the clause says. A
    clause that cannot be turned round has few kinds, so it is asked about in a case too, and
    what the rule is comes first, which a small teacher asks best: that becomes the probe.
    """
    usual = [kind for kind in KINDS if kind not in _SOME]
    fits = {
        REASON: bool(clause.rationale),
        EXCEPTED: turned and without_exceptions(clause) is not None,
        CONTACT: names_contact(clause.statement),
        CASE: not turned,
    }
    drawn = [
        kind
        for kind in random.sample(usual, len(usual))
        if fits.get(kind, True) and (turned or kind in OPEN_KINDS)
    ]
    for kind in (EXCEPTED, CONTACT, CASE):
        if fits[kind]:
            drawn.insert(random.randrange(len(drawn) + 1), kind)
    return drawn if turned else sorted(drawn, key=lambda kind: kind != RULE)


def _not_among_first(kind: str, kinds: Sequence[str], count: int) -> list[str]:
    """`kinds` with `kind` moved behind the first `count` and the one that takes its place."""
    if kind not in kinds[:count]:
        return list(kinds)
    others = [one for one in kinds if one != kind]
    return [*others[:count], kind, *others[count:]]


def _first_trained(clause: Clause) -> tuple[str, ...]:
    return (WRONGS, PERMITTED) if clause.polarity == "forbidden" else (WRONGS,)


def without_exceptions(clause: Clause) -> str | None:
    """The clause as it would be if it made no exception; None where it makes none in its words."""
    if not clause.exceptions or any(one not in clause.statement for one in clause.exceptions):
        return None
    return cut_out(clause.statement, clause.exceptions) or None


def _situation(
    clause: Clause, kind: str, use: Use, seed: int, settings: GenerateSettings
) -> Situation:
    """Probes keep to one strategy, so that runs of different strategies are tested alike."""
    if use != "pair":
        return Situation(clause, kind, use, seed)
    if settings.strategy == "mix":
        return Situation(clause, kind, use, seed, Random(seed).choice(STRATEGIES))
    return Situation(clause, kind, use, seed, settings.strategy)
