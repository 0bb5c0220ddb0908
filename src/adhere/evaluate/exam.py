"""The exam: before a judge is believed it sorts pairs whose winner is known."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Literal, get_args

from adhere.errors import EngineError, UnreachableError
from adhere.evaluate.judges import Comparison, Judge, Judgement
from adhere.evaluate.statistics import rate_interval
from adhere.records import Probe, Winner

WonKind = Literal["contrast", "other clause", "generic"]
ExamKind = Literal["contrast", "other clause", "generic", "itself"]

_BATCH = 20
_TIES_AMONG = 10
"""For so many pairs with a winner there is one that should be a tie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamPair:
    """A comparison whose outcome is known: the probe's reference wins, or ties with itself."""

    kind: ExamKind
    clause: str
    comparison: Comparison
    better: Winner

    @property
    def longer_is_wrong(self) -> bool:
        """Whether the worse answer has more characters than the reference."""
        sides = {"a": len(self.comparison.a), "b": len(self.comparison.b)}
        return self.better != "tie" and sides[self.better] < max(sides.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """One exam pair and what the judge made of it."""

    pair: ExamPair
    said: Judgement

    @property
    def credit(self) -> float:
        """1 right, 0.5 a tie where there is a winner, 0 wrong."""
        if self.said.winner == self.pair.better:
            return 1.0
        return 0.5 if self.said.winner == "tie" else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamResult:
    """How one judge did. A judge beyond hope is not asked all of the pairs."""

    name: str
    pairs: int
    """Pairs with a winner that were set."""
    floor: float
    items: tuple[Sorted, ...] = ()
    refused: str | None = None
    """Why the judge could not sit the exam at all."""

    @property
    def won(self) -> tuple[Sorted, ...]:
        """The sorted pairs that have a winner: they decide."""
        return tuple(item for item in self.items if item.pair.better != "tie")

    @property
    def n(self) -> int:
        return len(self.won)

    @property
    def right(self) -> int:
        """Pairs sorted rightly; a tie is not."""
        return sum(item.credit == 1 for item in self.won)

    @property
    def accuracy(self) -> float:
        return self.right / max(self.n, 1)

    @property
    def low(self) -> float:
        """Lower bound of the interval of the accuracy; pairs of one clause count together."""
        return self.interval[0]

    @property
    def interval(self) -> tuple[float, float]:
        return _interval(self.won)

    @property
    def admitted(self) -> bool:
        return self.low >= self.floor

    @property
    def withheld(self) -> str | None:
        """Why its win rates are not shown, or None."""
        if self.admitted:
            return None
        if self.refused:
            return f"withheld: the judge `{self.name}` could not sit the exam: {self.refused}"
        if not self.pairs:
            return (
                f"withheld: the judge `{self.name}` was not examined, since there are no exam "
                "pairs: it takes longer answers that are wrong and longer answers that are right; "
                "more probes or situations would make some."
            )
        sentence = (
            f"withheld: the judge `{self.name}` sorted {self.right} of {self.n} exam pairs "
            f"({self.accuracy:.0%}, lower bound {self.low:.0%}); {self.floor:.0%} is needed"
        ).replace("%", " %")
        left = self.pairs - self.n
        return (
            f"{sentence}, and the other {left} could not have saved it." if left else f"{sentence}."
        )


def _interval(items: Sequence[Sorted], hoped: Sequence[ExamPair] = ()) -> tuple[float, float]:
    """Of the accuracy, if all of the `hoped` pairs were right too.

    Where nothing varies, `rate_interval` counts each clause as one unit, so that a judge
    without a fault would be less sure than the same judge with one. It is at least as
    sure, wherever that one fault lay.
    """
    clauses = [item.pair.clause for item in items] + [pair.clause for pair in hoped]
    right = [float(item.credit == 1) for item in items] + [1.0] * len(hoped)
    low, high = rate_interval(right, clauses)
    if right and min(right) == 1:
        places = {clause: place for place, clause in enumerate(clauses)}.values()
        one_fault = [[float(place != fault) for place in range(len(right))] for fault in places]
        low = max(low, min(rate_interval(values, clauses)[0] for values in one_fault))
    return low, high


def exam_pairs(
    probes: Sequence[Probe],
    passages: Mapping[str, str],
    statements: Mapping[str, str],
    generic: Sequence[str],
    *,
    count: int,
    seed: int,
) -> list[ExamPair]:
    """`count` pairs with a known winner (fewer where there are not so many), and some ties.

    Kinds of worse answer: the probe's contrast, the reference of a probe of another
    clause, and one of the `generic` answers that say nothing of the document. Lengths
    are crossed: the longer answer is wrong as often as right, so that a judge of
    length gets half. Ties set a reference against itself, one among ten; they are
    shown and do not count.

    `probes` should be the held-out probes *before* curation: curation keeps what the
    likelihood score approves of, and a judge that uses the same score would be
    examined on pairs of its own choice. `passages`, `statements`: clause id -> text.
    The choice is seeded by each probe's id, and the better answer sits in seat a and
    seat b by turns.
    """
    drawn = _crossed(_worse(probes, generic, seed), seed)[:count]
    ties = sorted(probes, key=lambda probe: Random(f"{seed}:itself:{probe.id}").random())

    def pair(probe: Probe, kind: ExamKind, a: str, b: str, better: Winner) -> ExamPair:
        comparison = Comparison(
            probe=probe.id,
            passage=passages[probe.clause],
            statement=statements[probe.clause],
            question=probe.question,
            a=a,
            b=b,
        )
        return ExamPair(kind=kind, clause=probe.clause, comparison=comparison, better=better)

    won = [
        pair(one.probe, one.kind, one.probe.reference, one.worse, "a")
        if place // 2 % 2 == 0
        else pair(one.probe, one.kind, one.worse, one.probe.reference, "b")
        for place, one in enumerate(drawn)
    ]
    tied = [
        pair(probe, "itself", probe.reference, probe.reference, "tie")
        for probe in ties[: len(won) // _TIES_AMONG]
    ]
    return won + tied


@dataclass(frozen=True, slots=True)
class _Worse:
    """A probe and an answer that is worse than its reference."""

    probe: Probe
    kind: WonKind
    worse: str

    @property
    def longer(self) -> bool:
        return len(self.worse) > len(self.probe.reference)


def _worse(probes: Sequence[Probe], generic: Sequence[str], seed: int) -> list[_Worse]:
    """For each probe its contrast, and a longer and a shorter answer of each other kind.

    None is as long as the reference: it could not be crossed.
    """
    found: list[_Worse] = []
    for probe in probes:
        if probe.contrast is not None:
            found.append(_Worse(probe, "contrast", probe.contrast))
        others = {other.reference for other in probes if other.clause != probe.clause}
        pools: dict[WonKind, set[str]] = {"other clause": others, "generic": set(generic)}
        for kind, pool in pools.items():
            ready = [_Worse(probe, kind, text) for text in sorted(pool - {probe.reference})]
            for longer in (True, False):
                side = [one for one in ready if one.longer == longer]
                if side:
                    found.append(Random(f"{seed}:{kind}:{longer}:{probe.id}").choice(side))
    return [one for one in found if len(one.worse) != len(one.probe.reference)]


def _crossed(found: Sequence[_Worse], seed: int) -> list[_Worse]:
    """In the order of drawing: longer and shorter by turns, among each the kinds by turns.

    It ends where one of the two lengths has run out.
    """
    longer, shorter = (
        _by_turns([one for one in found if one.longer == side], seed) for side in (True, False)
    )
    return [one for both in zip(longer, shorter, strict=False) for one in both]


def _by_turns(found: Sequence[_Worse], seed: int) -> Iterator[_Worse]:
    def rank(one: _Worse) -> float:
        return Random(f"{seed}:{one.kind}:{one.longer}:{one.probe.id}").random()

    queues = [
        deque(sorted((one for one in found if one.kind == kind), key=rank))
        for kind in get_args(WonKind)
    ]
    for queue in cycle(queues):
        if queue:
            yield queue.popleft()
        elif not any(queues):
            return


def examine(judge: Judge, pairs: Sequence[ExamPair], floor: float) -> ExamResult:
    """Let the judge sort the pairs; ties and unreadable verdicts count as wrong.

    It is admitted when the lower bound of its accuracy reaches `floor`. A judge that
    could not get there even with all the rest right is not asked the rest.
    """
    items: list[Sorted] = []
    winners = sum(pair.better != "tie" for pair in pairs)
    for start in range(0, len(pairs), _BATCH):
        batch = pairs[start : start + _BATCH]
        judgements = judge.compare([pair.comparison for pair in batch])
        items += [
            Sorted(pair=pair, said=said) for pair, said in zip(batch, judgements, strict=True)
        ]
        result = ExamResult(name=judge.name, pairs=winners, floor=floor, items=tuple(items))
        rest = [pair for pair in pairs[len(items) :] if pair.better != "tie"]
        if _interval(result.won, rest)[0] < floor:
            break
    return ExamResult(name=judge.name, pairs=winners, floor=floor, items=tuple(items))


def sit(judge: Judge, pairs: Sequence[ExamPair], floor: float) -> ExamResult:
    """`examine`, for a judge whose engine may turn out unable to do what it needs.

    Raises UnreachableError where it is only gone, and may be back.
    """
    try:
        return examine(judge, pairs, floor)
    except UnreachableError:
        raise
    except EngineError as error:
        return ExamResult(name=judge.name, pairs=0, floor=floor, refused=str(error))
