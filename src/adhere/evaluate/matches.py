"""Who is compared with whom, and what judges say of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from adhere.engines.base import Engine
from adhere.evaluate.exam import ExamPair, ExamResult, sit
from adhere.evaluate.judges import Comparison, Judge, Match, judges_of
from adhere.grounding import Grounding
from adhere.progress import Progress
from adhere.prompts import Prompts
from adhere.records import ALIGNED, Verdict

_FURTHER = (("sft", "base"), ("sft+dpo+rag", "base+rag"))
"""What is compared besides."""


def aligned(names: Sequence[str]) -> str:
    """The system that the others are compared with: the first of `ALIGNED`, or else the last."""
    return next((name for name in ALIGNED if name in names), names[-1])


def matches(names: Sequence[str]) -> list[Match]:
    """The aligned system with every other, and the pairs that show a single step."""
    ours = aligned(names)
    pairs = [(ours, other) for other in names if other != ours]
    return pairs + [pair for pair in _FURTHER if set(pair) <= set(names) and pair not in pairs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The engines that judge: the teacher, unless others are given."""

    teacher: Engine
    grounding: Grounding
    """The teacher's, which remembers what it has scored."""
    engines: Sequence[Engine] = ()
    prompts: Prompts
    progress: Progress

    def judges(self) -> Iterator[Judge]:
        """Every judge of every engine; another engine than the teacher is closed after its last."""
        for engine in self.engines or [self.teacher]:
            own = engine is self.teacher
            grounding = self.grounding if own else Grounding(engine, self.progress)
            of = "" if own else engine.name
            yield from judges_of(engine, grounding, self.prompts, self.progress, of)
            if not own:
                engine.close()


def examined(
    judges: Iterable[Judge],
    pairs: Sequence[ExamPair],
    compared: Callable[[], Sequence[tuple[Match, Comparison]]],
    floor: float,
) -> tuple[list[ExamResult], list[Verdict]]:
    """Every judge's exam, and what those that pass say of what is `compared`."""
    exams: list[ExamResult] = []
    said: list[Verdict] = []
    for judge in judges:
        exams.append(sit(judge, pairs, floor))
        if exams[-1].admitted:
            said += _verdicts(judge, compared())
    return exams, said


def _verdicts(judge: Judge, compared: Sequence[tuple[Match, Comparison]]) -> list[Verdict]:
    judgements = judge.compare([comparison for _, comparison in compared])
    return [
        Verdict(
            probe=comparison.probe,
            a=a,
            b=b,
            judge=judge.name,
            winner=said.winner,
            margin=said.margin,
            flipped=said.flipped,
            unreadable=said.unreadable,
        )
        for ((a, b), comparison), said in zip(compared, judgements, strict=True)
    ]
