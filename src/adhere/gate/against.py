"""Whether a run's model is no worse than an older run's: overall, and clause by clause."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adhere.evaluate.pooled import pooled_means
from adhere.evaluate.statistics import Clustered, holm
from adhere.gate.rules import FAILED, FOLLOWED, METRIC, Check, Evidence, Outcome, named
from adhere.report.data import Metric
from adhere.settings import GateSettings

ALPHA = 0.05
"""One-sided, after Holm's correction over the clauses."""


def compare(old: Evidence, new: Evidence, settings: GateSettings) -> list[Check]:
    """Whether the new run's model is no worse than the old one's, overall and clause by clause.

    Both are read on the probes that the two runs share; what of the old run was not
    measured again is named, and nothing is claimed of it.
    """
    shared = _shared(old, new)
    if not shared:
        reason = f"No probe is shared with {old.run}, so the two cannot be compared."
        return [Check("against", "cannot tell", reason)]
    margins = {
        "reference_nll": settings.margin,
        "preference_accuracy": settings.preference_margin,
        "yes_no_accuracy": settings.preference_margin,
    }
    by_token = _of_one_tokenizer(old, new)
    if not by_token:
        del margins["reference_nll"]
    # An evaluation of an earlier version knows nothing of yes and no.
    checks = [
        *(
            _overall(gains, new, METRIC[metric], margin)
            for metric, margin in margins.items()
            if (gains := _gains(old, new, shared, metric)) or metric != "yes_no_accuracy"
        ),
        *(
            _clause_by_clause(changes_between(old, new, settings.margin), old, new, settings.margin)
            if by_token
            else [_another_student(old, new)]
        ),
        _results(old, new),
    ]
    return [*checks, *_not_compared(old, new, shared)]


def _of_one_tokenizer(old: Evidence, new: Evidence) -> bool:
    """Whether nats a token mean the same in both: other students cut texts into other tokens."""
    return not old.student or not new.student or old.student == new.student


def _another_student(old: Evidence, new: Evidence) -> Check:
    reason = (
        f"{old.run} aligned {old.student} and this run {new.student}: their nats a token are "
        "of other tokens and cannot be compared."
    )
    return Check("against: likelihood", "cannot tell", reason)


def changes_between(old: Evidence, new: Evidence, margin: float) -> list["Change"]:
    """`clause_changes` from the old run to the new one, on the probes that they share.

    None where the two are of different students.
    """
    if not _of_one_tokenizer(old, new):
        return []
    gains = _gains(old, new, _shared(old, new), "reference_nll")
    return clause_changes(gains, {key: new.probes[key].clause for key in gains}, margin)


def _shared(old: Evidence, new: Evidence) -> list[str]:
    return [key for key in new.probes if key in old.probes and key in old.values]


def _gains(old: Evidence, new: Evidence, shared: Sequence[str], metric: str) -> dict[str, float]:
    """Probe id -> by how much the new model is better, where both were measured on the same."""
    sign = 1 if METRIC[metric].better == "higher" else -1
    return {
        key: sign * (new.values[key][metric] - old.values[key][metric])
        for key in shared
        if metric in old.values.get(key, {})
        and metric in new.values.get(key, {})
        and (
            metric != "preference_accuracy" or old.probes[key].contrast == new.probes[key].contrast
        )
    }


def _overall(
    gains: Mapping[str, float],
    new: Evidence,
    metric: Metric,
    margin: float,
) -> Check:
    """The paired difference over all shared probes, its error taken over clauses as everywhere."""
    rule = f"against: {metric.key}"
    clustered = Clustered([new.probes[key].clause for key in gains])
    mean = clustered.rate_difference if metric.unit == "per cent" else clustered.mean
    found = mean(np.asarray(list(gains.values())))
    if found is None or found.low is None or found.high is None:
        return Check(rule, "cannot tell", f"{metric.label}: too few shared probes to compare.")
    unit = "points" if metric.unit == "per cent" else "nats a token"
    reason = (
        f"{metric.label}: better by {metric.number(found.value)} ({metric.number(found.low)} to "
        f"{metric.number(found.high)}) than the old run on {found.n} shared probes, where "
        f"{metric.number(-margin)} {unit} is allowed"
    )
    if found.low > -margin:
        return Check(rule, "pass", f"{reason}.")
    if found.high < -margin:
        return Check(rule, "fail", f"{reason}.")
    return Check(rule, "cannot tell", f"{reason}, and the interval leaves it open.")


@dataclass(frozen=True, slots=True)
class Change:
    """How one clause did against the old run; both p-values are Holm's over all clauses."""

    clause: str
    gain: float
    """Nats a token; negative is worse."""
    low: float
    high: float
    """Of this clause alone, not corrected for how many there are."""
    probes: int
    p_no_worse: float
    """Small: it is not worse by as much as the margin."""
    p_worse: float
    """Small: it is worse by more than the margin."""

    @property
    def outcome(self) -> Outcome:
        if self.p_worse < ALPHA:
            return "fail"
        return "pass" if self.p_no_worse < ALPHA else "cannot tell"


def clause_changes(
    gains: Mapping[str, float], clause_of: Mapping[str, str], margin: float
) -> list[Change]:
    """One-sided t-tests of each clause's mean gain against minus `margin`, Holm-corrected.

    `gains`: probe id -> gain, `clause_of`: probe id -> clause id. The spread within
    clauses is pooled (`pooled_means`). Empty where no clause has two probes.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for probe, gain in gains.items():
        groups[clause_of[probe]].append(gain)
    means = pooled_means(groups)
    no_worse = [mean.p_above(-margin) for mean in means.values()]
    worse = [1 - p for p in no_worse]
    return [
        Change(clause, mean.mean, *mean.interval(), len(groups[clause]), p_no_worse, p_worse)
        for (clause, mean), p_no_worse, p_worse in zip(
            means.items(), holm(no_worse), holm(worse), strict=True
        )
    ]


def _results(old: Evidence, new: Evidence) -> Check:
    """Which clauses were followed and are now not learned.

    Two or three probes a clause prove no single loss, so such a clause is named and the rule
    cannot be told.
    """
    before, after = (
        {row["id"]: row["result"] for row in one.summary.get("clauses", ())} for one in (old, new)
    )
    followed = [key for key in before if before[key] in FOLLOWED and key in after]
    fallen = {key for key in followed if after[key] == FAILED}
    reason = f"{len(fallen)} of {len(followed)} clauses followed in {old.run} are now not learned."
    names = named([row for row in new.summary.get("clauses", ()) if row["id"] in fallen])
    outcome: Outcome = "cannot tell" if fallen else "pass"
    return Check("against: clause results", outcome, reason, names)


def _not_compared(old: Evidence, new: Evidence, shared: Sequence[str]) -> list[Check]:
    """The old run's clauses of which nothing was compared, and shared probes without a score."""
    compared = _gains(old, new, shared, "reference_nll")
    tested = {old.probes[key].clause for key in old.values if key in old.probes}
    lost = tested - {old.probes[key].clause for key in compared}
    unscored = [key for key in shared if key not in compared and "reference_nll" in old.values[key]]
    checks: list[Check] = []
    if lost:
        names = named([row for row in old.summary.get("clauses", ()) if row["id"] in lost])
        reason = f"{len(lost)} clauses tested in {old.run} have no probe that both runs scored."
        checks.append(Check("against: lost", "cannot tell", reason, names))
    if unscored:
        names = tuple(f"{key} {new.probes[key].question}" for key in unscored)
        reason = f"{len(unscored)} shared probes were scored in {old.run} and not in this run."
        checks.append(Check("against: unscored", "cannot tell", reason, names))
    return checks


def _clause_by_clause(
    changes: Sequence[Change], old: Evidence, new: Evidence, margin: float
) -> list[Check]:
    rule = "against: clauses"
    if not changes:
        return [Check(rule, "cannot tell", "No clause has two probes that both runs share.")]
    statement = {row["id"]: row["statement"] for row in new.summary.get("clauses", ())}
    checks = [
        Check(
            f"against: clause {change.clause}",
            "fail",
            f"Worse by {-change.gain:.2f} nats a token than in {old.run} (p = "
            f"{change.p_worse:.3f} after Holm): {statement.get(change.clause, change.clause)}",
            (change.clause,),
        )
        for change in changes
        if change.outcome == "fail"
    ]
    unsure = [change for change in changes if change.outcome == "cannot tell"]
    shown = len(changes) - len(unsure) - len(checks)
    reason = (
        f"{shown} of {len(changes)} clauses are shown to be no worse than in {old.run} by "
        f"{margin:g} nats a token (Holm)"
    )
    if not unsure:
        return [*checks, Check(rule, "pass", f"{reason}.")] if shown else checks
    names = tuple(f"{one.clause} {statement.get(one.clause, '')}" for one in unsure)
    reason = f"{reason}; {len(unsure)} have too few probes to tell."
    return [*checks, Check(rule, "cannot tell", reason, names)]
