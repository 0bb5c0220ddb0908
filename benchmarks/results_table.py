"""Print the Markdown tables of the README from finished runs: `results_table.py RUN ...`."""

import json
import re
import sys
from pathlib import Path

COLUMNS = {
    "reference_nll": ("reference NLL ↓", 2, 1.0),
    "preference_accuracy": ("preference accuracy ↑", 0, 100.0),
    "rouge_l": ("ROUGE-L ↑", 2, 1.0),
    "embedding_similarity": ("similarity ↑", 2, 1.0),
    "grounding_gain": ("grounding gain ↑", 2, 1.0),
}


def cell(value: dict[str, float | None], digits: int, scale: float) -> str:
    """`value (low to high)`; a metric that was not measured is a dash."""
    numbers = [value.get(key) for key in ("value", "low", "high")]
    if any(number is None for number in numbers):
        return "–"
    middle, low, high = (f"{number * scale:.{digits}f}" for number in numbers if number is not None)
    text = f"{middle}{' %' if scale == 100 else ''} ({low} to {high})"
    return re.sub(r"-(0\.0+)\b", r"\1", text)  # no minus zero


def table(summary: dict) -> str:
    """Systems by metrics, each value with its 95 % interval."""
    lines = [
        "| system | " + " | ".join(title for title, *_ in COLUMNS.values()) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name, metrics in summary["systems"].items():
        cells = [
            cell(metrics[metric], digits, scale) if metric in metrics else "–"
            for metric, (_, digits, scale) in COLUMNS.items()
        ]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def judgements(summary: dict) -> str:
    """What the judges said, or why they were not believed."""
    lines = []
    for judge in summary["judges"]:
        exam = f"{judge['exam_accuracy']:.0%} of {judge['n']} exam pairs"
        lines.append(
            f"- judge `{judge['name']}`: {exam}, lower bound {judge['low']:.0%}, "
            + ("admitted" if judge["admitted"] else "not admitted")
        )
    lines += [
        f"- `{win['a']}` against `{win['b']}` by `{win['judge']}`: {win['rate']:.0%} "
        f"({win['low']:.0%} to {win['high']:.0%}); {win['wins']} won, {win['ties']} tied, "
        f"{win['losses']} lost"
        for win in summary["win_rates"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    for run in sys.argv[1:]:
        summary = json.loads(Path(run, "evaluate", "summary.json").read_text(encoding="utf-8"))
        counts = summary["counts"]
        manifests = Path(run).glob("*/manifest.json")
        seconds = sum(json.loads(path.read_text())["seconds"] for path in manifests)
        print(
            f"### {run}\n\n{counts['clauses']['clauses']} clauses, "
            f"{counts['sft']['rows']} examples, {counts['dpo']['rows']} pairs, "
            f"{counts['curate']['probes']} probes; {seconds / 60:.0f} minutes\n"
        )
        print(table(summary), "\n", judgements(summary), sep="\n")
