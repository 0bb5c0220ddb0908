"""From scores and verdicts to the tables of `summary.json`."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adhere.evaluate.coverage import Values, clause_evidence, clause_result
from adhere.evaluate.exam import ExamResult
from adhere.evaluate.metrics import METRICS, RATES, ProbeScore
from adhere.evaluate.statistics import (
    Estimate,
    FloatArray,
    Resamples,
    corrected_rate,
    from_draws,
    holm,
    smallest_difference,
    two_sided_p,
)
from adhere.evaluate.systems import matches
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
          difference that would be found in 80 of 100 such evaluations.
        - `win_rates`: of admitted judges. Ties count half. `best` and `worst` are the
          rates if every unreadable verdict were a win, or a loss; `corrected` is the
          rate freed of the errors that the judge made in its exam.
        - `judges`: their exams; `withheld` says in words why a judge has no win rates.
        - `clauses`: one row a clause; `result` as defined by `clause_result`.
        """
        resamples = Resamples(
            [probe.clause for probe in self.probes], self.settings.resamples, self.settings.seed
        )
        table = _table(self)
        return {
            "systems": _systems(self.systems, table, resamples),
            "differences": _differences(self.systems, table, resamples),
            "win_rates": _win_rates(self, resamples),
            "judges": [_judge(exam) for exam in self.judges],
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
    names: Sequence[str], table: Mapping[tuple[str, str], FloatArray], resamples: Resamples
) -> dict[str, dict[str, Row]]:
    systems: dict[str, dict[str, Row]] = {name: {} for name in names}
    for (name, metric), values in table.items():
        estimate = resamples.rate(values) if metric in RATES else resamples.mean(values)
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
    names: Sequence[str], table: Mapping[tuple[str, str], FloatArray], resamples: Resamples
) -> list[Row]:
    rows: list[Row] = []
    for metric in METRICS:
        family: list[Row] = []
        for a, b in matches(names):
            values = table[a, metric] - table[b, metric]
            estimate = resamples.mean(values)
            if estimate is not None and estimate.error is not None:
                tests = {
                    "p_value": two_sided_p(resamples.draws(values)),
                    "detectable": smallest_difference(estimate.error),
                }
                family.append({"a": a, "b": b, "metric": metric, **_row(estimate), **tests})
        adjusted = holm([row["p_value"] for row in family])
        rows += [{**row, "p_holm": p} for row, p in zip(family, adjusted, strict=True)]
    return rows


def _win_rates(evaluation: Evaluation, resamples: Resamples) -> list[Row]:
    exams = {exam.name: exam for exam in evaluation.judges}
    groups: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    for verdict in evaluation.verdicts:
        groups[verdict.judge, verdict.a, verdict.b].append(verdict)
    place = {probe.id: row for row, probe in enumerate(evaluation.probes)}
    rows: list[Row] = []
    for (judge, a, b), verdicts in groups.items():
        credits = np.full(len(place), np.nan)
        for verdict in verdicts:
            credits[place[verdict.probe]] = _CREDIT[verdict.winner]
        estimate = resamples.rate(credits)
        if estimate is not None:
            row = {"a": a, "b": b, "judge": judge, **_counts(verdicts), **_rate(estimate)}
            row["corrected"] = _corrected(
                estimate, resamples.draws(credits), exams[judge], evaluation.settings
            )
            rows.append(row)
    return rows


_CREDIT = {"a": 1.0, "tie": 0.5, "b": 0.0}


def _rate(estimate: Estimate) -> Row:
    return {"rate": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}


def _counts(verdicts: Sequence[Verdict]) -> Row:
    counted = Counter(verdict.winner for verdict in verdicts)
    n = len(verdicts)
    unreadable = sum(verdict.unreadable for verdict in verdicts)
    score = counted["a"] + counted["tie"] / 2
    return {
        "wins": counted["a"],
        "ties": counted["tie"],
        "losses": counted["b"],
        "flip_rate": sum(verdict.flipped for verdict in verdicts) / n,
        "unreadable": unreadable,
        "best": (score + unreadable / 2) / n,
        "worst": (score - unreadable / 2) / n,
    }


def _corrected(
    rate: Estimate, draws: FloatArray, exam: ExamResult, settings: EvaluateSettings
) -> Row:
    """The Rogan-Gladen rate; the exam is resampled on its own, so its draws are independent."""
    credits = np.asarray(exam.credits)
    examined = Resamples(exam.clauses, settings.resamples, settings.seed + 1).draws(credits)
    value = corrected_rate(np.asarray([rate.value]), np.asarray([credits.mean()]))
    estimate = from_draws(float(value[0]), corrected_rate(draws, examined), rate.n)
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _judge(exam: ExamResult) -> Row:
    kinds: dict[str, Row] = {}
    for kind, credit in zip(exam.kinds, exam.credits, strict=True):
        row = kinds.setdefault(kind, {"right": 0, "n": 0})
        row["right"] += int(credit == 1)
        row["n"] += 1
    return {
        "name": exam.name,
        "exam_accuracy": exam.accuracy,
        "low": exam.low,
        "n": exam.n,
        "admitted": exam.admitted,
        "right": exam.right,
        "ties": sum(credit == 0.5 for credit in exam.credits),
        "flipped": exam.flipped,
        "unreadable": exam.unreadable,
        "kinds": kinds,
        "withheld": exam.withheld,
    }


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
