"""From scores and verdicts to the tables of `summary.json`."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adhere.evaluate.agreement import agreement
from adhere.evaluate.coverage import Values, clause_evidence, clause_result
from adhere.evaluate.exam import ExamResult, Sorted
from adhere.evaluate.metrics import METRICS, RATES, ProbeScore
from adhere.evaluate.statistics import (
    Clustered,
    Estimate,
    FloatArray,
    holm,
    mcnemar,
    rate_interval,
    smallest_difference,
    two_sided_p,
)
from adhere.evaluate.systems import matches
from adhere.evaluate.wins import win_rates
from adhere.records import Answer, Clause, Dropped, Probe, Verdict
from adhere.settings import EvaluateSettings

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All that the stage found."""

    systems: tuple[str, ...]
    """Names, in the order of the ladder: base first, the fully aligned model last."""
    probes: tuple[Probe, ...]
    clauses: tuple[Clause, ...]
    training: Mapping[str, tuple[int, int]]
    """Clause id -> examples and pairs that were trained on."""
    settings: EvaluateSettings
    answers: list[Answer]
    scores: list[ProbeScore]
    verdicts: list[Verdict]
    judges: list[ExamResult]
    dropped: list[Dropped]

    def summary(self) -> Row:
        """The tables of `summary.json`, ready for JSON.

        - `systems`: name -> metric -> value, low, high, n. A metric that was measured
          nowhere is missing; low and high are None where a single clause has probes.
        - `differences`: a minus b on the probes of both, with p_value, p_holm (Holm
          over the comparisons of one metric) and detectable, the smallest true
          difference that would be found in 80 of 100 such evaluations at alpha 0.05.
        - `win_rates`: of admitted judges. Ties count half. `best` and `worst` are the
          rates if every unreadable verdict were a win, or a loss; `corrected` is the
          rate freed of the errors that the judge made in its exam, `length_controlled`
          the rate at equal length.
        - `p_mcnemar`, of rates: McNemar's exact test over clauses, each won by the
          system that is ahead in it.
        - `judges`: their exams; `withheld` says in words why a judge has no win rates.
        - `agreement`: of the judges that have verdicts.
        - `clauses`: one row a clause; `result` as defined by `clause_result`.
        """
        clustered = Clustered([probe.clause for probe in self.probes])
        table = _table(self)
        return {
            "systems": _systems(self.systems, table, clustered),
            "differences": _differences(self.systems, table, clustered),
            "win_rates": win_rates(
                self.verdicts, self.judges, self.probes, self.answers, self.settings
            ),
            "judges": [judge_row(exam) for exam in self.judges],
            "agreement": agreement(self.verdicts),
            "clauses": _clauses(self),
        }


def _table(evaluation: Evaluation) -> dict[tuple[str, str], FloatArray]:
    """(system, metric) -> values in the order of the probes, NaN where not measured."""
    place = {probe.id: row for row, probe in enumerate(evaluation.probes)}
    table = {
        (system, metric): np.full(len(place), np.nan)
        for system in evaluation.systems
        for metric in METRICS
    }
    for score in evaluation.scores:
        for metric, value in score.values.items():
            table[score.system, metric][place[score.probe]] = value
    return table


def _systems(
    names: Sequence[str], table: Mapping[tuple[str, str], FloatArray], clustered: Clustered
) -> dict[str, dict[str, Row]]:
    systems: dict[str, dict[str, Row]] = {name: {} for name in names}
    for (name, metric), values in table.items():
        estimate = clustered.rate(values) if metric in RATES else clustered.mean(values)
        if estimate is not None:
            systems[name][metric] = _row(estimate)
    return systems


def _row(estimate: Estimate) -> Row:
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
    }


def _differences(
    names: Sequence[str], table: Mapping[tuple[str, str], FloatArray], clustered: Clustered
) -> list[Row]:
    rows: list[Row] = []
    for metric in METRICS:
        family: list[Row] = []
        for a, b in matches(names):
            values = table[a, metric] - table[b, metric]
            is_rate = metric in RATES
            estimate = clustered.rate_difference(values) if is_rate else clustered.mean(values)
            if estimate is None or estimate.error is None:
                continue
            row = {"a": a, "b": b, "metric": metric, **_row(estimate)}
            row["p_value"] = two_sided_p(estimate)
            row["detectable"] = smallest_difference(estimate)
            if is_rate:
                row["p_mcnemar"] = mcnemar(*clustered.ahead(values))
            family.append(row)
        adjusted = holm([row["p_value"] for row in family])
        rows += [{**row, "p_holm": p} for row, p in zip(family, adjusted, strict=True)]
    return rows


def judge_row(exam: ExamResult) -> Row:
    """One judge's exam; what it did on pairs that should tie counts in `kinds` alone."""
    low, high = exam.interval
    return {
        "name": exam.name,
        "exam_accuracy": exam.accuracy,
        "low": low,
        "high": high,
        "n": exam.n,
        "admitted": exam.admitted,
        "right": exam.right,
        "ties": sum(item.credit == 0.5 for item in exam.won),
        "flipped": sum(item.said.flipped for item in exam.won),
        "unreadable": sum(item.said.unreadable for item in exam.won),
        "kinds": _sorted_by(exam.items, lambda item: item.pair.kind),
        "lengths": _sorted_by(
            exam.won,
            lambda item: "longer is wrong" if item.pair.longer_is_wrong else "longer is right",
        ),
        "withheld": exam.withheld,
    }


def _sorted_by(items: Sequence[Sorted], name: Callable[[Sorted], str]) -> dict[str, Row]:
    groups: dict[str, list[Sorted]] = defaultdict(list)
    for item in items:
        groups[name(item)].append(item)
    rows: dict[str, Row] = {}
    for group, own in groups.items():
        right = [float(item.credit == 1) for item in own]
        low, high = rate_interval(right, [item.pair.clause for item in own])
        rows[group] = {"right": int(sum(right)), "n": len(own), "low": low, "high": high}
    return rows


def _clauses(evaluation: Evaluation) -> list[Row]:
    base, last = evaluation.systems[0], evaluation.systems[-1]
    values = {(score.system, score.probe): score.values for score in evaluation.scores}
    probes: dict[str, list[Probe]] = defaultdict(list)
    for probe in evaluation.probes:
        probes[probe.clause].append(probe)
    rows: list[Row] = []
    for clause in evaluation.clauses:
        own = probes[clause.id]
        before, after = (
            [values.get((name, probe.id), _NOTHING) for probe in own] for name in (base, last)
        )
        examples, pairs = evaluation.training.get(clause.id, (0, 0))
        rows.append(
            {
                "id": clause.id,
                "document": clause.document,
                "statement": clause.statement,
                "polarity": clause.polarity,
                "stance": clause.stance,
                "examples": examples,
                "pairs": pairs,
                "probes": len(own),
                "result": clause_result(before, after),
                "evidence": clause_evidence(before, after, base, last),
            }
        )
    return rows


_NOTHING: Values = {}
