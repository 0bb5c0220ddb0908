"""Win rates: raw, freed of the judge's known errors, and at equal length."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from adhere.evaluate.agreement import CREDIT
from adhere.evaluate.exam import ExamResult
from adhere.evaluate.rates import corrected_rate, length_controlled_rate
from adhere.evaluate.statistics import Clustered, Estimate, mcnemar
from adhere.evaluate.tables import Row
from adhere.records import Answer, Verdict
from adhere.settings import EvaluateSettings


def win_rates(
    verdicts: Sequence[Verdict],
    exams: Sequence[ExamResult],
    clause_of: Mapping[str, str],
    answers: Sequence[Answer],
    settings: EvaluateSettings,
) -> list[Row]:
    """One row for each judge and match; see `Evaluation.summary` for what it holds.

    A verdict that could not be read says nothing: it is counted, and is in no rate.
    `clause_of`: probe -> what it belongs with and depends on.
    """
    judged = {exam.name: exam for exam in exams}
    lengths = {(answer.system, answer.probe): len(answer.text) for answer in answers}
    place = {probe: row for row, probe in enumerate(clause_of)}
    clauses = np.asarray(list(clause_of.values()))
    clustered = Clustered(list(clauses))
    groups: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        groups[verdict.judge, verdict.a, verdict.b].append(verdict)
    rows: list[Row] = []
    for (judge, a, b), group in groups.items():
        read = [verdict for verdict in group if not verdict.unreadable]
        credits = np.full(len(place), np.nan)
        longer = np.zeros(len(place))
        for verdict in read:
            at = place[verdict.probe]
            credits[at] = CREDIT[verdict.winner]
            longer[at] = lengths[a, verdict.probe] - lengths[b, verdict.probe]
        row = {"a": a, "b": b, "judge": judge} | _counts(read, len(group) - len(read))
        rate = clustered.rate(credits)
        if rate is None:
            rows.append(row | _NO_RATE)
            continue
        known = ~np.isnan(credits)
        level = length_controlled_rate(credits[known], longer[known], list(clauses[known]))
        rows.append(
            row
            | {"rate": rate.value, "low": rate.low, "high": rate.high, "n": rate.n}
            | {"p_mcnemar": mcnemar(*clustered.ahead(credits - 0.5))}
            | {"corrected": _corrected(rate, judged[judge], settings)}
            | {"length_controlled": asdict(level)}
        )
    return rows


_NO_RATE: Row = {
    "rate": None,
    "low": None,
    "high": None,
    "n": 0,
    "p_mcnemar": None,
    "corrected": None,
    "length_controlled": None,
}
"""Where no verdict could be read."""


def _counts(read: Sequence[Verdict], unreadable: int) -> Row:
    """`best` and `worst` are over all verdicts: the unreadable ones all won, or all lost."""
    counted = Counter(verdict.winner for verdict in read)
    score = counted["a"] + counted["tie"] / 2
    everything = len(read) + unreadable
    return {
        "wins": counted["a"],
        "ties": counted["tie"],
        "losses": counted["b"],
        "flip_rate": sum(verdict.flipped for verdict in read) / len(read) if read else None,
        "unreadable": unreadable,
        "best": (score + unreadable) / everything,
        "worst": score / everything,
    }


def _corrected(rate: Estimate, exam: ExamResult, settings: EvaluateSettings) -> Row:
    """`value` is `rate` by the name that other estimates have."""
    clauses = [item.pair.clause for item in exam.won]
    skill = Clustered(clauses).rate(np.asarray([item.credit for item in exam.won]))
    assert skill is not None  # only judges that passed their exam have win rates
    found = corrected_rate(rate, skill, settings.resamples, settings.seed)
    return {"value": found.rate, **asdict(found)}
