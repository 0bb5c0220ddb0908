"""People as judges: a sheet of anonymous, shuffled pairs, and what comes back of it.

The sheet hides which system wrote which answer, and hides among the pairs some whose
winner is known: people sit the same exam as every other judge.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adhere.evaluate.agreement import CREDIT, krippendorff_alpha
from adhere.evaluate.exam import ExamKind, ExamPair, ExamResult, Sorted
from adhere.evaluate.judges import Comparison, Judgement, Match, Seat, judge_winner
from adhere.records import Verdict, Winner, record_id
from adhere.run_files import RecordFile

PEOPLE = "people"
"""The name of the judge."""
CHOICES: Mapping[str, Seat | None] = {"1": "A", "2": "B", "tie": None}
"""What may stand under `better`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindPair:
    """One row of the sheet and what the sheet hides: a match of two systems, or an exam pair."""

    id: str
    swapped: bool
    """Whether b's answer stands first."""
    comparison: Comparison
    match: Match | None = None
    """The systems a and b."""
    exam: tuple[ExamKind, str, Winner] | None = None
    """Kind, clause and the better answer of an exam pair."""

    def cells(self) -> dict[str, str]:
        """What the reader sees; `better` is to be filled in."""
        item = self.comparison
        first, second = (item.b, item.a) if self.swapped else (item.a, item.b)
        return {
            "id": self.id,
            "text": item.passage,
            "rule": item.statement,
            "question": item.question,
            "answer 1": first,
            "answer 2": second,
            "better": "",
        }

    def winner(self, choice: str) -> Winner:
        seat = CHOICES[choice]
        return judge_winner(seat, self.swapped) if seat else "tie"


KEY = RecordFile("people/key.jsonl", BlindPair)
"""What the sheet that was exported last hides."""
VOTED = RecordFile("people/voted.jsonl", BlindPair)
"""The pairs that the votes are on."""


def blind_pairs(
    matches: Sequence[tuple[Match, Comparison]], exam: Sequence[ExamPair], seed: int
) -> list[BlindPair]:
    """Matches and exam pairs together, in an order and with seats that tell nothing.

    Each side stands first as often as second, so that whoever always says 1 gets half.
    """
    shuffled = sorted(matches, key=lambda one: record_id(seed, one))
    pairs = [
        BlindPair(
            id=record_id(seed, (match, item)),
            swapped=place % 2 == 1,
            comparison=item,
            match=match,
        )
        for place, (match, item) in enumerate(shuffled)
    ]
    pairs += [
        BlindPair(
            id=record_id(seed, pair),
            swapped=False,  # the exam has dealt the seats
            comparison=pair.comparison,
            exam=(pair.kind, pair.clause, pair.better),
        )
        for pair in exam
    ]
    return sorted(pairs, key=lambda pair: pair.id)


Votes = Mapping[str, str]
"""Of one person: id of the pair -> a key of CHOICES."""


def people_exam(pairs: Sequence[BlindPair], votes: Sequence[Votes], floor: float) -> ExamResult:
    """How the people, by majority, sorted the exam pairs hidden among the others."""
    items = tuple(
        Sorted(
            pair=ExamPair(kind=kind, clause=clause, comparison=pair.comparison, better=better),
            said=Judgement(winner=_majority(pair, votes)),
        )
        for pair in pairs
        if pair.exam
        for kind, clause, better in [pair.exam]
    )
    winners = sum(item.pair.better != "tie" for item in items)
    return ExamResult(name=PEOPLE, pairs=winners, floor=floor, items=items)


def people_verdicts(pairs: Sequence[BlindPair], votes: Sequence[Votes]) -> list[Verdict]:
    """What most people said of each match; a tie where they are split."""
    return [
        Verdict(
            probe=pair.comparison.probe,
            a=pair.match[0],
            b=pair.match[1],
            judge=PEOPLE,
            winner=_majority(pair, votes),
        )
        for pair in pairs
        if pair.match
    ]


def people_alpha(pairs: Sequence[BlindPair], votes: Sequence[Votes]) -> float | None:
    """Krippendorff's alpha among the people; None for one person alone."""
    return krippendorff_alpha(
        [
            (str(person), pair.id, CREDIT[pair.winner(said[pair.id])])
            for person, said in enumerate(votes)
            for pair in pairs
        ]
    )


def _majority(pair: BlindPair, votes: Sequence[Votes]) -> Winner:
    counted: Counter[Winner] = Counter(pair.winner(person[pair.id]) for person in votes)
    (first, most), *rest = counted.most_common()
    return "tie" if rest and rest[0][1] == most else first
