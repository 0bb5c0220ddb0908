"""Situations with good and bad answers marked by people: a yardstick that adhere did not write.

One JSON object a line: `id`, `turns` (each `role` and `text`), `good` and `bad` (texts),
and `section`, which groups what belongs together. The file is never trained on, and what
resembles a training row is left out and written down.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random

from adhere.errors import InputError, NoLikelihoodError
from adhere.evaluate.exam import ExamPair, ExamResult
from adhere.evaluate.judges import Comparison, Judge, Match
from adhere.evaluate.matches import examined, matches
from adhere.evaluate.reading import NOTHING
from adhere.evaluate.summary import judge_row
from adhere.evaluate.systems import System, answers, in_turn
from adhere.evaluate.tables import Row, Table
from adhere.evaluate.wins import win_rates
from adhere.files import read_lines
from adhere.grounding import score_all, score_request
from adhere.progress import Progress
from adhere.records import (
    Answer,
    Dropped,
    Example,
    PreferencePair,
    ProbeScore,
    ScoreRequest,
    Verdict,
)
from adhere.run_files import RecordFile
from adhere.settings import EvaluateSettings
from adhere.twins import Shingles, jaccard, shingles

METRICS = ("accuracy", "margin")
RATES = frozenset({"accuracy"})
_LEAK = "near twin of a training row"
_TELLING = 60
"""Characters from which an answer that stands elsewhere too is a leak, not a common phrase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A conversation, and what people marked as good and as bad to say next."""

    id: str
    turns: tuple[Turn, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]
    section: str = ""

    def __post_init__(self) -> None:
        if not self.turns or not self.good or not self.bad:
            raise ValueError("turns, good and bad must each hold something")
        if not all(text.strip() for text in (*self.good, *self.bad)):
            raise ValueError("an answer is empty")

    @property
    def question(self) -> str:
        """The conversation as one user's words; the roles are named where there are several.

        Not every engine scores an answer after more than one turn.
        """
        if len(self.turns) == 1:
            return self.turns[0].text
        return "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in self.turns)

    @property
    def group(self) -> str:
        """What it belongs with: its section, or itself where it has none."""
        return self.section or self.id


SITUATIONS = RecordFile("evaluate/official_situations.jsonl", Situation)
"""Those that were put to the systems."""


def read_situations(path: Path) -> list[Situation]:
    """Raises InputError for a line that is not a situation, or an id that occurs twice."""
    situations = read_lines(path, Situation)
    seen: set[str] = set()
    for situation in situations:
        if situation.id in seen:
            raise InputError(f"{path}: the id '{situation.id}' occurs twice.")
        seen.add(situation.id)
    return situations


def without_leaks(
    situations: Sequence[Situation],
    rows: Sequence[Example | PreferencePair],
    threshold: float,
) -> tuple[list[Situation], list[Dropped]]:
    """The situations that no training row resembles, and a Dropped for each of the others.

    `threshold`: Jaccard similarity of character 5-grams of two questions, or of two
    answers that are long enough to tell.
    """
    trained = [(row.id, [shingles(text) for text in _texts(row)]) for row in rows]
    kept: list[Situation] = []
    dropped: list[Dropped] = []
    for situation in situations:
        own = [shingles(text) for text in _texts(situation)]
        if twin := _twin(own, trained, threshold):
            dropped.append(
                Dropped(
                    record_id=situation.id,
                    stage="evaluate",
                    reason=_LEAK,
                    detail=f"{twin}: {situation.question}",
                )
            )
        else:
            kept.append(situation)
    return kept, dropped


def _texts(row: Situation | Example | PreferencePair) -> list[str]:
    """The question first, then the answers that are long enough to tell."""
    if isinstance(row, Situation):
        answers = (*row.good, *row.bad)
    elif isinstance(row, Example):
        answers = (row.answer,)
    else:
        answers = (row.chosen, row.rejected)
    return [row.question, *(answer for answer in answers if len(answer) >= _TELLING)]


def _twin(
    own: Sequence[Shingles], trained: Sequence[tuple[str, Sequence[Shingles]]], threshold: float
) -> str | None:
    for name, theirs in trained:
        pairs = [(own[0], theirs[0]), *product(own[1:], theirs[1:])]
        if any(jaccard(one, other) >= threshold for one, other in pairs):
            return name
    return None


@dataclass(slots=True)
class Official:
    """What the systems make of the situations."""

    situations: Sequence[Situation]
    systems: Sequence[System]
    settings: EvaluateSettings
    values: list[tuple[str, str, dict[str, float]]] = field(
        default_factory=list[tuple[str, str, dict[str, float]]]
    )
    """(system, situation, metric -> value)."""
    answers: list[Answer] = field(default_factory=list[Answer])
    """The systems' own, where a judge compares them; a situation stands where a probe does."""
    judges: list[ExamResult] = field(default_factory=list[ExamResult])
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    notes: dict[str, str] = field(default_factory=dict[str, str])
    dropped: list[Dropped] = field(default_factory=list[Dropped])

    def score(self, progress: Progress) -> None:
        """Which answers each system finds likelier.

        `accuracy`: the share of a situation's pairings of a good with a bad answer in which
        the good one is likelier a token (a tie is half). `margin`: the mean difference in
        nats a token.
        """
        for system in in_turn(self.systems):
            try:
                self._score(system, progress)
            except NoLikelihoodError as error:
                self.notes[system.name] = f"No likelihoods: {error}"

    def _score(self, system: System, progress: Progress) -> None:
        read = system.read(self._questions())
        requests: dict[tuple[str, str], ScoreRequest] = {
            (situation.id, answer): score_request(
                read.get(situation.id, NOTHING).text, situation.question, answer, chat=True
            )
            for situation in self.situations
            for answer in (*situation.good, *situation.bad)
        }
        what = f"{system.name}: answers marked by people"
        scores = score_all(system.engine, list(requests.values()), what, progress)
        for situation in self.situations:
            found = {
                answer: scores[requests[situation.id, answer].id]
                for answer in (*situation.good, *situation.bad)
            }
            problem = next((score.error for score in found.values() if score.error), None)
            if problem is None:
                means = {answer: score.mean for answer, score in found.items()}
                self.values.append((system.name, situation.id, _preference(situation, means)))
            else:
                self._drop(situation.id, "no score", f"{system.name}: {problem}")

    def judge(
        self, judges: Iterable[Judge], passages: Mapping[str, str], progress: Progress
    ) -> None:
        """Let the judges that sort the people's answers as they did compare the systems' own.

        `passages`: situation id -> the text that is judged by. Nothing is asked of the
        systems where no judge passes.
        """
        compared: list[tuple[Match, Comparison]] = []

        def once() -> list[tuple[Match, Comparison]]:
            if not compared:
                self._answer(progress)
                compared.extend(self._compared(passages))
            return compared

        pairs = self._exam(passages)
        self.judges, self.verdicts = examined(judges, pairs, once, self.settings.exam_floor)

    def scores(self) -> list[ProbeScore]:
        """The values as records; a situation stands where a probe does."""
        return [
            ProbeScore(system=system, probe=name, values=values)
            for system, name, values in self.values
        ]

    def _exam(self, passages: Mapping[str, str]) -> list[ExamPair]:
        """Pairings of a good with a bad answer; the good one in seat a and b by turns."""
        return [
            ExamPair(
                kind="contrast",
                clause=situation.group,
                comparison=_comparison(situation, passages, good, bad)
                if place // 2 % 2 == 0
                else _comparison(situation, passages, bad, good),
                better="a" if place // 2 % 2 == 0 else "b",
            )
            for place, (situation, good, bad) in enumerate(self._crossed())
        ]

    def _crossed(self) -> Iterator[tuple[Situation, str, str]]:
        """The longer answer is wrong and right by turns, as in the other exam.

        It ends where one of the two has run out: a judge of length must get half.
        """
        pairings = [
            (situation, good, bad)
            for situation in self.situations
            for good, bad in product(situation.good, situation.bad)
        ]
        pairings.sort(key=lambda one: Random(f"{self.settings.seed}:{one}").random())
        wrong = (one for one in pairings if len(one[2]) > len(one[1]))
        right = (one for one in pairings if len(one[2]) < len(one[1]))
        for both in zip(wrong, right, strict=False):
            yield from both

    def _answer(self, progress: Progress) -> None:
        questions = self._questions()
        for system in in_turn(self.systems):
            read = system.read(questions)
            said, unanswered = answers(system, questions, read, self.settings, progress)
            self.answers += said
            self.dropped += unanswered

    def _questions(self) -> dict[str, str]:
        return {situation.id: situation.question for situation in self.situations}

    def _compared(self, passages: Mapping[str, str]) -> list[tuple[Match, Comparison]]:
        texts = {(answer.system, answer.probe): answer.text for answer in self.answers}
        return [
            (
                (a, b),
                _comparison(situation, passages, texts[a, situation.id], texts[b, situation.id]),
            )
            for situation in self.situations
            for a, b in matches(self._names())
            if (a, situation.id) in texts and (b, situation.id) in texts
        ]

    def _names(self) -> list[str]:
        return [system.name for system in self.systems]

    def _drop(self, name: str, reason: str, detail: str) -> None:
        self.dropped.append(Dropped(record_id=name, stage="evaluate", reason=reason, detail=detail))

    def report(self) -> Row:
        """The tables of `official.json`; the error of every interval is taken over sections."""
        groups = {situation.id: situation.group for situation in self.situations}
        table = Table.of(
            self.values, systems=self._names(), metrics=METRICS, rates=RATES, cluster_of=groups
        )
        return {
            "situations": len(groups),
            "sections": len(set(groups.values())),
            "left_out": [drop.record_id for drop in self.dropped if drop.reason == _LEAK],
            "systems": table.estimates(),
            "notes": self.notes,
            "differences": table.differences(),
            "win_rates": win_rates(self.verdicts, self.judges, groups, self.answers, self.settings),
            "judges": [judge_row(exam) for exam in self.judges],
        }


def _preference(situation: Situation, means: Mapping[str, float]) -> dict[str, float]:
    margins = [means[good] - means[bad] for good, bad in product(situation.good, situation.bad)]
    credits = [0.5 if margin == 0 else float(margin > 0) for margin in margins]
    return {"accuracy": sum(credits) / len(credits), "margin": sum(margins) / len(margins)}


def _comparison(situation: Situation, passages: Mapping[str, str], a: str, b: str) -> Comparison:
    """No clause belongs to a situation: the passages stand for its statement too."""
    passage = passages[situation.id]
    return Comparison(
        probe=situation.id,
        passage=passage,
        statement=passage,
        question=situation.question,
        a=a,
        b=b,
    )
