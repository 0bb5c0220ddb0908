"""As many rows whose answer says yes as rows whose answer says no.

A model that learns from rows of one side learns the side: docs/training.md has the measurements.
"""

from collections.abc import Callable, Sequence
from itertools import cycle, islice

from adhere.text import side
from adhere.train.rows import Row

MOST_TIMES = 4
"""How often a row is taken at most; more than 31 pairs to 9 was not measured."""


def balanced(rows: Sequence[Row], stage: str, note: Callable[[str], None]) -> list[Row]:
    """The rows, shortest first, with those of the rarer side taken again until both are as many.

    The side of a pair is that of its chosen answer. Each row is taken at most `MOST_TIMES`;
    those that take neither side are left as they are.
    """
    sides: dict[str | None, list[Row]] = {"yes": [], "no": [], None: []}
    for row in rows:
        [answer] = row["chosen"] if "chosen" in row else row["completion"]
        sides[side(answer["content"])].append(row)
    few, many = sorted((sides["yes"], sides["no"]), key=len)
    wanted = min(len(many), MOST_TIMES * len(few))
    again = list(islice(cycle(few), wanted - len(few))) if few else []
    if again:
        note(
            f"{stage}: answers of yes: {len(sides['yes'])}, of no: {len(sides['no'])}; of "
            f"the fewer, {len(again)} are taken again (balance)."
        )
    return sorted([*rows, *again], key=lambda row: row["length"])
