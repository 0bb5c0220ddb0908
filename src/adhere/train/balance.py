"""As many pairs whose chosen answer says yes as pairs whose chosen answer says no.

DPO on pairs of one side teaches the side: docs/training.md has the measurements.
"""

from collections.abc import Callable, Sequence
from itertools import cycle, islice

from adhere.text import side
from adhere.train.rows import Row

MOST_TIMES = 4
"""How often a pair is taken at most; more than 31 pairs to 9 was not measured."""


def balanced(pairs: Sequence[Row], stage: str, note: Callable[[str], None]) -> list[Row]:
    """The pairs, shortest first, with those of the rarer side taken again until both are as many.

    Each is taken at most `MOST_TIMES`. Pairs that take neither side are left as they are.
    """
    sides: dict[str | None, list[Row]] = {"yes": [], "no": [], None: []}
    for pair in pairs:
        sides[side(pair["chosen"][0]["content"])].append(pair)
    few, many = sorted((sides["yes"], sides["no"]), key=len)
    wanted = min(len(many), MOST_TIMES * len(few))
    again = list(islice(cycle(few), wanted - len(few))) if few else []
    if again:
        note(
            f"{stage}: chosen answers of yes: {len(sides['yes'])}, of no: {len(sides['no'])}; of "
            f"the fewer, {len(again)} are taken again (dpo.balance)."
        )
    return sorted([*pairs, *again], key=lambda pair: pair["length"])
