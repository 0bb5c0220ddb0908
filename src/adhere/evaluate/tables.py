"""Values of several systems on the same units, as the tables that are written down."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adhere.evaluate.matches import matches
from adhere.evaluate.statistics import (
    Clustered,
    Estimate,
    FloatArray,
    holm,
    mcnemar,
    smallest_difference,
    two_sided_p,
)

Row = dict[str, Any]
Values = Iterable[tuple[str, str, Mapping[str, float]]]
"""(system, unit, metric -> value), in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What was measured of each system on each unit (a probe, a situation, a question)."""

    systems: Sequence[str]
    metrics: Sequence[str]
    rates: frozenset[str]
    """Metrics whose values lie in [0, 1] and are counts of successes."""
    values: Mapping[tuple[str, str], FloatArray]
    """(system, metric) -> one value a unit, NaN where it was not measured."""
    clustered: Clustered

    @classmethod
    def of(
        cls,
        values: Values,
        *,
        systems: Sequence[str],
        metrics: Sequence[str],
        rates: frozenset[str],
        cluster_of: Mapping[str, str],
    ) -> "Table":
        """`cluster_of`: each unit -> what it belongs with and depends on.

        Of the values, those of the `metrics` are taken.
        """
        place = {unit: row for row, unit in enumerate(cluster_of)}
        found = {
            (system, metric): np.full(len(place), np.nan)
            for system in systems
            for metric in metrics
        }
        for system, unit, measured in values:
            for metric in measured.keys() & metrics:
                found[system, metric][place[unit]] = measured[metric]
        return cls(
            systems=systems,
            metrics=metrics,
            rates=rates,
            values=found,
            clustered=Clustered(list(cluster_of.values())),
        )

    def estimates(self) -> dict[str, dict[str, Row]]:
        """System -> metric -> value, low, high, n; a metric measured nowhere is missing."""
        rows: dict[str, dict[str, Row]] = {name: {} for name in self.systems}
        for (name, metric), values in self.values.items():
            rate = metric in self.rates
            estimate = self.clustered.rate(values) if rate else self.clustered.mean(values)
            if estimate is not None:
                rows[name][metric] = _row(estimate)
        return rows

    def differences(self) -> list[Row]:
        """a minus b on the units of both, for every match and metric; Holm within a metric."""
        rows: list[Row] = []
        for metric in self.metrics:
            family = [
                row for a, b in matches(self.systems) if (row := self._difference(a, b, metric))
            ]
            adjusted = holm([row["p_value"] for row in family])
            rows += [{**row, "p_holm": p} for row, p in zip(family, adjusted, strict=True)]
        return rows

    def _difference(self, a: str, b: str, metric: str) -> Row | None:
        values, clustered = self.values[a, metric] - self.values[b, metric], self.clustered
        rate = metric in self.rates
        estimate = clustered.rate_difference(values) if rate else clustered.mean(values)
        if estimate is None or estimate.error is None:
            return None
        row = {"a": a, "b": b, "metric": metric, **_row(estimate)}
        row["p_value"] = two_sided_p(estimate)
        row["detectable"] = smallest_difference(estimate)
        if rate:
            row["p_mcnemar"] = mcnemar(*clustered.ahead(values))
        return row


def _row(estimate: Estimate) -> Row:
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
    }
