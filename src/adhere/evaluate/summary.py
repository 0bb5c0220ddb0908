"""From scores and verdicts to the tables of `summary.json`."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adhere.evaluate.agreement import agreement
from adhere.evaluate.coverage import Values, clause_evidence, clause_result
from adhere.evaluate.exam import ExamResult, Sorted
from adhere.evaluate.matches import aligned
from adhere.evaluate.metrics import METRICS, RATES
from adhere.evaluate.pooled import PooledMean, clause_gains
from adhere.evaluate.statistics import holm, rate_interval
from adhere.evaluate.tables import Row, Table
from adhere.evaluate.wins import win_rates
from adhere.records import Answer, Clause, Dropped, Probe, ProbeScore, Verdict
from adhere.settings import EvaluateSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All that the stage found."""

    systems: tuple[str, ...]
    """Names, in the order of the ladder: base first."""
    notes: Mapping[str, str]
    """System -> what must be known to take its numbers rightly; "" where there is nothing."""
    probes: tuple[Probe, ...]
    clauses: tuple[Clause, ...]
    training: Mapping[str, tuple[int, int]]
    """Clause id -> examples and pairs that were trained on."""
    languages: Mapping[str, str]
    """Clause id -> the language of its document."""
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
        - `notes`: system -> what must be known to take its numbers rightly.
        - `differences`: a minus b on the probes of both, with p_value, p_holm (Holm
          over the comparisons of one metric) and detectable, the smallest true
          difference that would be found in 80 of 100 such evaluations at alpha 0.05.
        - `win_rates`: of admitted judges. Ties count half. `unreadable` counts verdicts
          that could not be read: they are in no rate (each is None where none is left),
          and `best` and `worst` are the rates if every one were a win, or a loss.
          `corrected` is the rate freed of the errors that the judge made in its exam,
          `length_controlled` the rate at equal length.
        - `p_mcnemar`, of rates: McNemar's exact test over clauses, each won by the
          system that is ahead in it.
        - `judges`: their exams; `withheld` says in words why a judge has no win rates.
        - `agreement`: of the judges that have verdicts.
        - `clauses`: one row a clause; `result` as defined by `clause_result`. `gain`, `low`,
          `high` and `p_holm` (Holm over the clauses, two-sided), where known: `clause_gains`
          of the last system over base.
        """
        clause_of = {probe.id: probe.clause for probe in self.probes}
        table = Table.of(
            ((score.system, score.probe, score.values) for score in self.scores),
            systems=self.systems,
            metrics=METRICS,
            rates=RATES,
            cluster_of=clause_of,
        )
        return {
            "systems": table.estimates(),
            "notes": {name: note for name, note in self.notes.items() if note},
            "differences": table.differences(),
            "win_rates": win_rates(
                self.verdicts, self.judges, clause_of, self.answers, self.settings
            ),
            "judges": [judge_row(exam) for exam in self.judges],
            "agreement": agreement(self.verdicts),
            "clauses": _clauses(self),
        }


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
    base, last = evaluation.systems[0], aligned(evaluation.systems)
    values = {(score.system, score.probe): score.values for score in evaluation.scores}
    probes: dict[str, list[Probe]] = defaultdict(list)
    for probe in evaluation.probes:
        probes[probe.clause].append(probe)
    gains = _gains(clause_gains(evaluation.probes, evaluation.scores, base, last))
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
                **gains.get(clause.id, {}),
            }
        )
    return rows


def _gains(found: Mapping[str, PooledMean]) -> dict[str, Row]:
    """Clause id -> its gain over base, with its interval and p after Holm's correction."""
    adjusted = holm([mean.p_differs() for mean in found.values()])
    rows: dict[str, Row] = {}
    for (clause, mean), p_holm in zip(found.items(), adjusted, strict=True):
        low, high = mean.interval()
        rows[clause] = {"gain": mean.mean, "low": low, "high": high, "p_holm": p_holm}
    return rows


_NOTHING: Values = {}
