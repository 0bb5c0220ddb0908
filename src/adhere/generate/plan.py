"""Which situations each clause is met in, and what each is for; drawn before anything is written.

The kinds of situation that become probes are set aside per clause, so that no
reworded twin of a probe is trained on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Literal

from adhere.records import Clause
from adhere.settings import STRATEGIES, GenerateSettings, Strategy

Use = Literal["example", "pair", "probe"]

CLOSED_KINDS = ("temptation", "pressure", "witness", "intention", "approval", "permission")
"""Kinds of situation whose question yes or no answers; `situation.md` has each in words."""
WRONGS = "witness"
"""The kind whose questions a small teacher answers with no. Of all others four in five are
answered with yes, whatever the prompt asks for, and DPO on such pairs learns to agree."""
OPEN_KINDS = ("rule", "reason")
KINDS = (*CLOSED_KINDS, *OPEN_KINDS)


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


def plan(clauses: Iterable[Clause], settings: GenerateSettings) -> list[Situation]:
    """The situations of every clause, drawn by a sampler seeded with the clause's id.

    Pairs are made of closed questions alone: there the two answers differ plainly. A wrong
    that is not held out comes first in training, so that pairs and examples have answers
    of no. The reason is asked only of a clause that gives one; the kind drawn next takes
    its place.
    """
    situations: list[Situation] = []
    for clause in clauses:
        random = Random(f"{settings.seed}:{clause.id}")
        drawn_kinds = random.sample(list(KINDS), len(KINDS))
        kinds = [kind for kind in drawn_kinds if kind != "reason" or clause.rationale]
        held_out = kinds[: settings.probes]
        wrongs = [kind for kind in kinds[settings.probes :] if kind == WRONGS]
        rest = [kind for kind in kinds[settings.probes :] if kind != WRONGS]
        for_pairs = cycle(kind for kind in (*wrongs, *rest) if kind in CLOSED_KINDS)
        others = cycle((*wrongs, *reversed(rest)))
        drawn: list[tuple[Use, str]] = []
        drawn.extend(("probe", kind) for kind in held_out)
        drawn.extend(("pair", next(for_pairs)) for _ in range(settings.pairs))
        drawn.extend(("example", next(others)) for _ in range(settings.examples))
        situations += [
            _situation(clause, kind, use, random.randrange(2**31), settings) for use, kind in drawn
        ]
    return situations


def _situation(
    clause: Clause, kind: str, use: Use, seed: int, settings: GenerateSettings
) -> Situation:
    """Probes keep to one strategy, so that runs of different strategies are tested alike."""
    if use != "pair":
        return Situation(clause, kind, use, seed)
    if settings.strategy == "mix":
        return Situation(clause, kind, use, seed, Random(seed).choice(STRATEGIES))
    return Situation(clause, kind, use, seed, settings.strategy)
