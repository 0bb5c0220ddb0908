"""The exam: before a judge is believed it sorts pairs whose winner is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from random import Random
from typing import Literal

from adhere.evaluate.judges import Comparison, Judge, Judgement
from adhere.evaluate.statistics import wilson
from adhere.records import Probe
from adhere.settings import EvaluateSettings

ExamKind = Literal["contrast", "other clause"]

_BATCH = 20

_Drawn = tuple[Probe, ExamKind, str]
"""A probe, the kind of pair, and the worse answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamPair:
    """A comparison whose better answer, the probe's reference, is known."""

    kind: ExamKind
    clause: str
    comparison: Comparison
    better: Literal["a", "b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamResult:
    """How one judge did. `pairs` were set; a judge beyond hope is not asked all of them."""

    name: str
    pairs: int
    floor: float
    clauses: tuple[str, ...]
    """Of the pairs that were sorted, in their order; as long as `credits`."""
    credits: tuple[float, ...]
    """Of each sorted pair: 1 right, 0.5 tie, 0 wrong."""
    kinds: tuple[ExamKind, ...]
    flipped: int
    unreadable: int

    @property
    def n(self) -> int:
        return len(self.credits)

    @property
    def right(self) -> int:
        """Pairs sorted rightly; a tie is not."""
        return sum(credit == 1 for credit in self.credits)

    @property
    def accuracy(self) -> float:
        return self.right / max(self.n, 1)

    @property
    def low(self) -> float:
        """Lower bound of Wilson's interval of the accuracy."""
        return wilson(self.right, self.n)[0]

    @property
    def admitted(self) -> bool:
        return self.low >= self.floor

    @property
    def withheld(self) -> str | None:
        """Why the judge has no win rates, in a sentence; None for an admitted judge."""
        if self.admitted:
            return None
        if self.n == 0:
            return f"withheld: there were no exam pairs to examine the judge `{self.name}` on."
        sentence = (
            f"withheld: the judge `{self.name}` sorted {self.right} of {self.n} exam pairs "
            f"({self.accuracy:.0%}, lower bound {self.low:.0%}); {self.floor:.0%} is needed"
        ).replace("%", " %")
        left = self.pairs - self.n
        return (
            f"{sentence}, and the other {left} could not have saved it." if left else f"{sentence}."
        )


def exam_pairs(
    probes: Sequence[Probe], sources: Mapping[str, str], settings: EvaluateSettings
) -> list[ExamPair]:
    """At most `settings.exam_pairs` pairs, the two kinds by turns.

    Kinds: a probe's reference against its contrast, and against the reference of a
    probe of another clause. `probes` should be the held-out probes *before* curation:
    curation keeps what the likelihood score approves of, and a judge that uses the
    same score would be examined on pairs of its own choice. `sources`: clause id ->
    text of the clause's passage. The choice is seeded by each probe's id, and the
    better answer sits in seat a and seat b by turns.
    """
    contrasts: list[_Drawn] = [
        (probe, "contrast", probe.contrast) for probe in probes if probe.contrast is not None
    ]
    others: list[_Drawn] = [
        (probe, "other clause", other)
        for probe in probes
        if (other := _other_reference(probe, probes, settings.seed)) is not None
    ]
    turns = zip_longest(_shuffled(contrasts, settings.seed), _shuffled(others, settings.seed))
    chosen = [drawn for turn in turns for drawn in turn if drawn is not None]
    return [
        _pair(probe, kind, worse, sources[probe.clause], "a" if place // 2 % 2 == 0 else "b")
        for place, (probe, kind, worse) in enumerate(chosen[: settings.exam_pairs])
    ]


def _shuffled(drawn: Sequence[_Drawn], seed: int) -> list[_Drawn]:
    return sorted(drawn, key=lambda item: Random(f"{seed}:{item[1]}:{item[0].id}").random())


def _other_reference(probe: Probe, probes: Sequence[Probe], seed: int) -> str | None:
    others = [
        other.reference
        for other in probes
        if other.clause != probe.clause and other.reference != probe.reference
    ]
    return Random(f"{seed}:{probe.id}").choice(others) if others else None


def _pair(
    probe: Probe, kind: ExamKind, worse: str, passage: str, better: Literal["a", "b"]
) -> ExamPair:
    a, b = (probe.reference, worse) if better == "a" else (worse, probe.reference)
    comparison = Comparison(probe=probe.id, passage=passage, question=probe.question, a=a, b=b)
    return ExamPair(kind=kind, clause=probe.clause, comparison=comparison, better=better)


def examine(judge: Judge, pairs: Sequence[ExamPair], floor: float) -> ExamResult:
    """Let the judge sort the pairs; ties and unreadable verdicts count as wrong.

    It is admitted when the lower bound of its accuracy reaches `floor`. A judge that
    could not get there even with all the rest right is not asked the rest.
    """
    judgements: list[Judgement] = []
    for start in range(0, len(pairs), _BATCH):
        batch = pairs[start : start + _BATCH]
        judgements += judge.compare([pair.comparison for pair in batch])
        rest = len(pairs) - len(judgements)
        right = sum(_credit(pair, said) == 1 for pair, said in zip(pairs, judgements, strict=False))
        if wilson(right + rest, len(pairs))[0] < floor:
            break
    sorted_pairs = pairs[: len(judgements)]
    return ExamResult(
        name=judge.name,
        pairs=len(pairs),
        floor=floor,
        clauses=tuple(pair.clause for pair in sorted_pairs),
        credits=tuple(map(_credit, sorted_pairs, judgements)),
        kinds=tuple(pair.kind for pair in sorted_pairs),
        flipped=sum(said.flipped for said in judgements),
        unreadable=sum(said.unreadable for said in judgements),
    )


def _credit(pair: ExamPair, judgement: Judgement) -> float:
    if judgement.winner == "tie":
        return 0.5
    return float(judgement.winner == pair.better)
