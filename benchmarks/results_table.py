"""Print the Markdown tables of finished runs: `results_table.py RUN [RUN ...]`.

Several runs are one experiment: the same data, trained with other seeds. A probe's values
are then means over the seeds; what a run measured as a whole stands seed by seed.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from adhere.evaluate.matches import aligned
from adhere.evaluate.metrics import METRICS, RATES
from adhere.evaluate.tables import Table
from adhere.run_files import PROBES, SCORES

Row = dict[str, Any]
COLUMNS = {
    "reference_nll": ("reference NLL ↓", 2, 1.0),
    "preference_accuracy": ("preference accuracy ↑", 0, 100.0),
    "preference_margin": ("preference margin ↑", 2, 1.0),
    "yes_no_accuracy": ("yes or no right ↑", 0, 100.0),
    "rouge_l": ("ROUGE-L ↑", 2, 1.0),
    "embedding_similarity": ("similarity ↑", 2, 1.0),
    "grounding_gain": ("grounding gain ↑", 2, 1.0),
}


def over_seeds(runs: Sequence[Path]) -> tuple[Table, int]:
    """Every system's values on every probe, averaged over the runs; and how many were left out."""
    probes = [PROBES.read(run) for run in runs]
    if any(other != probes[0] for other in probes):
        sys.exit("These runs do not have the same probes, so they are not seeds of one experiment.")
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for run in runs:
        for score in SCORES.read(run):
            found[score.system, score.probe].append(score.values)
    averaged = {key: in_all(values, len(runs)) for key, values in found.items()}
    table = Table.of(
        [(system, probe, values) for (system, probe), (values, _) in averaged.items()],
        systems=list(dict.fromkeys(system for system, _ in found)),
        metrics=METRICS,
        rates=RATES,
        cluster_of={probe.id: probe.clause for probe in probes[0]},
    )
    return table, sum(left_out for _, left_out in averaged.values())


def in_all(values: Sequence[Mapping[str, float]], seeds: int) -> tuple[dict[str, float], int]:
    """The means of what every seed has measured; and how many metrics only some of them have."""
    counts = Counter(metric for one in values for metric in one)
    whole = [metric for metric, count in counts.items() if count == seeds]
    means = {metric: mean(one[metric] for one in values) for metric in whole}
    return means, len(counts) - len(whole)


def cell(value: Row | None, digits: int, scale: float, *, signed: bool = False) -> str:
    """`value (low to high)`; what was not measured is a dash."""
    numbers = [(value or {}).get(key) for key in ("value", "low", "high")]
    if any(number is None for number in numbers):
        return "–"
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    middle, low, high = (form.format(number * scale) for number in numbers if number is not None)
    unit = "" if scale == 1 else " points" if signed else " %"
    return re.sub(r"[+-](0(?:\.0+)?)(?=[ )]|$)", r"\1", f"{middle}{unit} ({low} to {high})")


def systems(table: Table) -> Iterator[str]:
    """Systems by metrics, each value with its 95 % interval."""
    yield "| system | " + " | ".join(title for title, *_ in COLUMNS.values()) + " |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for name, measured in table.estimates().items():
        cells = [
            cell(measured.get(metric), digits, scale)
            for metric, (_, digits, scale) in COLUMNS.items()
        ]
        yield f"| `{name}` | " + " | ".join(cells) + " |"


def differences(table: Table) -> Iterator[str]:
    """The aligned system less each other, on the same probes."""
    ours = aligned(table.systems)
    rows = {(row["b"], row["metric"]): row for row in table.differences() if row["a"] == ours}
    yield f"| `{ours}` less | " + " | ".join(title for title, *_ in COLUMNS.values()) + " |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for other in dict.fromkeys(other for other, _ in rows):
        cells = [
            cell(rows.get((other, metric)), digits, scale, signed=True)
            for metric, (_, digits, scale) in COLUMNS.items()
        ]
        yield f"| `{other}` | " + " | ".join(cells) + " |"


def judgements(summaries: Sequence[Row]) -> Iterator[str]:
    """What the judges said, or why they were not believed."""
    for judge in summaries[0]["judges"]:
        exam = f"{judge['exam_accuracy']:.0%} of {judge['n']} exam pairs"
        yield (
            f"- judge `{judge['name']}`: {exam}, lower bound {judge['low']:.0%}, "
            + ("admitted" if judge["admitted"] else "not admitted")
        )
    yield ""
    yield "| win rate | against | judge | raw | held to equal length |"
    yield "|---|---|---|---|---|"
    wins: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for summary in summaries:
        for win in summary["win_rates"]:
            rates = share(win), share(win["length_controlled"])
            wins[win["a"], win["b"], win["judge"]].append(rates)
    for (a, b, judge), rates in wins.items():
        raw, level = (seeds(column) for column in zip(*rates, strict=True))
        yield f"| `{a}` | `{b}` | `{judge}` | {raw} | {level} |"


def share(win: Row | None) -> str:
    return cell(win and {**win, "value": win["rate"]}, 0, 100.0)


def costs(summaries: Sequence[Row]) -> Iterator[str]:
    """What is declined that should be answered, and general ability."""
    for kind, part in (
        ("permitted", None),
        ("twins", None),
        ("duties", None),
        ("wrong_yes", None),
        ("refusals", "safe"),
        ("refusals", "unsafe"),
        ("general", None),
    ):
        measured = [summary["costs"].get(kind, {}) for summary in summaries]
        tables = [one.get(part, {}) if part else one for one in measured]
        for system, metrics in tables[0].get("systems", {}).items():
            for metric in metrics:
                rates = [cell(one["systems"][system].get(metric), 2, 1.0) for one in tables]
                yield f"- {part or kind}, `{system}`, {metric}: {seeds(rates)}"


def official(runs: Sequence[Path]) -> Iterator[str]:
    """Answers that people marked, where the run had such a file."""
    found = [run / "evaluate/official.json" for run in runs]
    tables = [json.loads(path.read_text(encoding="utf-8")) for path in found if path.exists()]
    for system in tables[0]["systems"] if tables else ():
        rates = [cell(one["systems"][system].get("accuracy"), 0, 100.0) for one in tables]
        yield f"- `{system}` prefers what people marked as good: {seeds(rates)}"
    for judge in tables[0]["judges"] if tables else ():
        yield (
            f"- judge `{judge['name']}` agrees with people on {judge['exam_accuracy']:.0%} of "
            f"{judge['n']} pairings, lower bound {judge['low']:.0%}"
        )


def seeds(values: Iterable[str]) -> str:
    """Equal values once: what was not trained is the same for every seed."""
    return "; ".join(dict.fromkeys(values))


def main(runs: Sequence[Path]) -> None:
    summaries = [
        json.loads((run / "evaluate/summary.json").read_text(encoding="utf-8")) for run in runs
    ]
    counts = summaries[0]["counts"]
    print(
        f"{counts['clauses']['clauses']} clauses, {counts['curate']['examples']} examples, "
        f"{counts['curate']['pairs']} pairs, {counts['curate']['probes']} probes; "
        f"{len(runs)} seed{'s' if len(runs) > 1 else ''}\n"
    )
    table, left_out = over_seeds(runs)
    if left_out:
        print(f"{left_out} values are left out, since not every seed has them.\n")
    for part in (systems(table), differences(table), judgements(summaries), costs(summaries)):
        print(*part, sep="\n", end="\n\n")
    print(*official(runs), sep="\n")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
