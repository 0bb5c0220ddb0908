"""How good is the data of finished runs? `data_quality.py RUN ...` prints one table.

Reads what `adhere generate` and `adhere curate` left; nothing is generated or scored again.
`data_quality.py --draw N SEED RUN` prints N rows drawn at random, to be marked by a person.
"""

import json
import random
import re
import sys
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from statistics import mean, median
from typing import Any

from rapidfuzz import fuzz

Row = dict[str, Any]
KINDS = ("examples", "pairs", "probes")
NEAR = 90
"""Percent of two questions that is the same, by characters in order, from which they are near."""
_LEANS = re.compile(
    r"\b(?:this|these|the|that|above|following) (?:rule|clause|text|passage|statement|sentence|"
    r"section|article|document|paragraph|quote)s?\b",
    re.IGNORECASE,
)


def rows(run: Path, name: str) -> list[Row]:
    lines = (run / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def manifest(run: Path, stage: str) -> Row:
    return json.loads((run / stage / "manifest.json").read_text(encoding="utf-8"))


def share(part: float, whole: float) -> str:
    return f"{part:.0f} of {whole:.0f} ({part / whole:.0%})" if whole else "–"


def near(questions: Iterable[str]) -> int:
    """Questions that have a near twin among the others."""
    found: set[int] = set()
    for (one, a), (other, b) in combinations(enumerate(questions), 2):
        if fuzz.ratio(a, b) >= NEAR:
            found |= {one, other}
    return len(found)


def measures(run: Path) -> dict[str, str]:
    clauses = rows(run, "clauses/clauses")
    made = {kind: rows(run, f"generate/{kind}") for kind in KINDS}
    kept = {kind: rows(run, f"curate/{kind}") for kind in KINDS}
    dropped = manifest(run, "curate")["dropped"]
    total, left = (sum(map(len, table.values())) for table in (made, kept))
    pairs = kept["pairs"]
    contrasts = sum(probe["contrast"] is not None for probe in kept["probes"])
    ungrounded = dropped.get("answer not grounded", 0)
    alike = dropped.get("answers not told apart", 0) + dropped.get("answers of unlike length", 0)
    questions = [row["question"] for kind in KINDS for row in kept[kind]]
    spent = [manifest(run, stage) for stage in ("generate", "curate")]
    seconds = sum(stage["seconds"] for stage in spent)
    tokens = sum(stage["facts"]["requests"].get("tokens", 0) for stage in spent)
    found = {
        "rows kept of generated": share(left, total),
        **{f"kept {kind}": str(len(kept[kind])) for kind in KINDS},
        "probes with a contrast": str(contrasts),
        "answers grounded, of those scored": share(left + alike, left + alike + ungrounded),
        "pairs told apart, of those grounded": share(len(pairs), len(pairs) + alike),
        "length of chosen to rejected": _ratios(pairs),
        "near-duplicate questions": share(near(questions), len(questions)),
        "questions that lean on a text": share(
            sum(bool(_LEANS.search(question)) for question in questions), len(questions)
        ),
        **{
            f"clauses with {kind}": share(len({row["clause"] for row in kept[kind]}), len(clauses))
            for kind in KINDS
        },
        "seconds a kept row": f"{seconds / left:.1f}",
        "tokens a kept row": f"{tokens / left:,.0f}",
    }
    reasons = manifest(run, "generate")["dropped"] | dropped
    return found | {f"dropped: {reason}": str(count) for reason, count in reasons.items()}


def _ratios(pairs: list[Row]) -> str:
    ratios = [len(pair["chosen"]) / len(pair["rejected"]) for pair in pairs]
    return f"mean {mean(ratios):.2f}, median {median(ratios):.2f}" if ratios else "–"


def table(runs: list[Path]) -> str:
    columns = [measures(run) for run in runs]
    lines = [
        "| | " + " | ".join(run.name for run in runs) + " |",
        "|---" * (len(runs) + 1) + "|",
    ]
    for name in dict.fromkeys(name for column in columns for name in column):
        cells = [column.get(name, "0") for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def drawn(run: Path, count: int, seed: int) -> str:
    """Rows to be marked: the clause, the question, the answers."""
    statement = {clause["id"]: clause["statement"] for clause in rows(run, "clauses/clauses")}
    everything = [(kind, row) for kind in KINDS for row in rows(run, f"curate/{kind}")]
    some = random.Random(seed).sample(everything, min(count, len(everything)))
    return "\n\n".join(
        "\n".join(
            [
                f"{number}. {row['id']} ({kind.removesuffix('s')}, {row['kind']})",
                f"   clause:   {statement[row['clause']]}",
                f"   question: {row['question']}",
                f"   answer:   {row.get('answer') or row.get('chosen') or row.get('reference')}",
                f"   contrary: {row.get('rejected') or row.get('contrast') or '-'}",
            ]
        )
        for number, (kind, row) in enumerate(some, 1)
    )


if __name__ == "__main__":
    if sys.argv[1] == "--draw":
        print(drawn(Path(sys.argv[4]), int(sys.argv[2]), int(sys.argv[3])))
    else:
        print(table([Path(name) for name in sys.argv[1:]]))
