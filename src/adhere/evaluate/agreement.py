"""How far several judges, people among them, agree."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from adhere.records import Verdict

CREDIT = {"a": 1.0, "tie": 0.5, "b": 0.0}
"""Of a verdict, for system a."""

Item = tuple[str, str, str]
"""Probe and the two systems."""


def krippendorff_alpha(ratings: Sequence[tuple[str, object, float]]) -> float | None:
    """Krippendorff's alpha of (rater, item, value), with the interval metric.

    1 is full agreement and 0 what chance would give (Krippendorff 2011, *Computing
    Krippendorff's Alpha-Reliability*). Items that one rater alone saw do not count.
    None where nothing can be compared, or where nobody ever said anything but one
    value, so that chance would agree as well. By nltk, which rouge-score brings; the
    package `krippendorff` is GPL.
    """
    from nltk.metrics.agreement import AnnotationTask
    from nltk.metrics.distance import interval_distance

    raters: dict[object, set[str]] = defaultdict(set)
    for rater, item, _ in ratings:
        raters[item].add(rater)
    shared = [rating for rating in ratings if len(raters[rating[1]]) > 1]
    if len({value for _, _, value in shared}) < 2:
        return None
    return float(AnnotationTask(data=shared, distance=interval_distance).alpha())


def agreement(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """For each two judges, and for all where there are more, how far their verdicts agree.

    Rows: `judges`; `n`, the comparisons that at least two of them judged; `same`, the
    share of those on which all who judged said the same; `alpha`, with a tie halfway
    between the two winners. Unreadable verdicts are left out.
    """
    said: dict[str, dict[Item, float]] = defaultdict(dict)
    for verdict in verdicts:
        if not verdict.unreadable:
            item = (verdict.probe, verdict.a, verdict.b)
            said[verdict.judge][item] = CREDIT[verdict.winner]
    groups = list(combinations(said, 2))
    everyone = [tuple(said)] if len(said) > 2 else []
    return [_agreement({judge: said[judge] for judge in group}) for group in (*groups, *everyone)]


def _agreement(said: dict[str, dict[Item, float]]) -> dict[str, Any]:
    values: dict[Item, list[float]] = defaultdict(list)
    for marks in said.values():
        for item, value in marks.items():
            values[item].append(value)
    shared = [found for found in values.values() if len(found) > 1]
    return {
        "judges": list(said),
        "n": len(shared),
        "same": sum(len(set(found)) == 1 for found in shared) / len(shared) if shared else None,
        "alpha": krippendorff_alpha(
            [(judge, item, value) for judge, marks in said.items() for item, value in marks.items()]
        ),
    }
