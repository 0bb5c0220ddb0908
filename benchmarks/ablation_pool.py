"""What a step of the recipe brings, over several documents: `ablation_pool.py OUT=RUN [...]`.

Reads what `ablation.py OUT RUN` measured on each document and prints, as a Markdown table,
the paired differences between recipes over all of their probes. Trains nothing.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from ablation import METRICS, Values, over_seeds

from adhere.evaluate.statistics import Clustered, Estimate, FloatArray
from adhere.run_files import PROBES

DEFAULT = "SFT + DPO (default)"
COMPARISONS = (
    ("the text, SFT and DPO against the bare student", DEFAULT, "base"),
    ("DPO after SFT", DEFAULT, "SFT"),
    ("SFT before DPO, without the text", "SFT + DPO, without the text", "DPO alone"),
    ("the text before SFT", "SFT", "SFT, without the text"),
    ("the text before SFT and DPO", DEFAULT, "SFT + DPO, without the text"),
    ("the likelihood term", DEFAULT, "without the likelihood term"),
    ("DPO at 3e-5, against 3e-4", "DPO at 3e-5", DEFAULT),
    ("DPO at 1e-4, against 3e-4", "DPO at 1e-4", DEFAULT),
    ("DPO at 1e-3, against 3e-4", "DPO at 1e-3", DEFAULT),
    ("instructed pairs, against counterfactual", "pairs: instructed", DEFAULT),
    ("revised pairs, against counterfactual", "pairs: revised", DEFAULT),
    ("onpolicy pairs, against counterfactual", "pairs: onpolicy", DEFAULT),
    ("rewritings beside the text", "the text and rewritings", DEFAULT),
    ("the text read twice as often", "the text, 6 epochs", DEFAULT),
    ("rewritings, against reading twice as often", "the text and rewritings", "the text, 6 epochs"),
)


class Document:
    """What was measured on one document."""

    def __init__(self, out: Path, run: Path) -> None:
        self.probes = PROBES.read(run)
        self._out = out

    def seeds(self, recipe: str) -> set[int]:
        names = [path.stem for path in self._out.glob(f"{recipe}-*.json")]
        return {int(name.rpartition("-")[2]) for name in names}

    def values(self, recipe: str, seeds: set[int], metric: str) -> FloatArray:
        """Each probe's mean over the seeds."""
        paths = [self._out / f"{recipe}-{seed}.json" for seed in sorted(seeds)]
        measured: list[Values] = [
            json.loads(path.read_text(encoding="utf-8"))["values"] for path in paths
        ]
        return over_seeds(measured, metric, self.probes)


def row(name: str, first: str, second: str, documents: list[Document]) -> str:
    """One line of the table; documents that lack one of the recipes are left out."""
    both = {document: document.seeds(first) & document.seeds(second) for document in documents}
    used = {document: seeds for document, seeds in both.items() if seeds}
    if not used:
        return ""
    clustered = Clustered([probe.clause for document in used for probe in document.probes])
    nll, preferred = (
        np.concatenate(
            [
                document.values(first, seeds, metric) - document.values(second, seeds, metric)
                for document, seeds in used.items()
            ]
        )
        for metric in METRICS
    )
    cells = [
        name,
        _points(clustered.rate_difference(preferred)),
        _nats(clustered.mean(nll)),
        ", ".join(str(len(seeds)) for seeds in used.values()),
    ]
    return f"| {' | '.join(cells)} |"


def _points(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "–"
    value, low, high = (100 * one for one in (estimate.value, estimate.low, estimate.high))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def _nats(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", nargs="+", help="OUT=RUN")
    folders = [one.partition("=") for one in parser.parse_args().measured]
    documents = [Document(Path(out), Path(run)) for out, _, run in folders]
    print("| | preference accuracy, points | reference NLL, nats a token | seeds |")
    print("|---" * 4 + "|")
    rows = {name: row(name, first, second, documents) for name, first, second in COMPARISONS}
    print("\n".join(one for one in rows.values() if one))
    if missing := [name for name, one in rows.items() if not one]:
        print(f"Not measured: {'; '.join(missing)}.", file=sys.stderr)


if __name__ == "__main__":
    main()
