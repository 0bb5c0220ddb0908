"""How does every kind of judge do in its exam? `judges.py RUN ...` prints it for finished runs.

The run's teacher sits the whole exam in each way of judging that adhere has, and in two
more that it might have: likelihood given the clause alone instead of its passage, and the
pointwise judge in the other style of prompt. Answers go through the run's cache.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adhere.bench import Bench
from adhere.evaluate.exam import ExamPair, exam_pairs, examine
from adhere.evaluate.judges import Judge, PointwiseJudge, judges_of
from adhere.evaluate.summary import judge_row
from adhere.grounding import Grounding
from adhere.progress import ConsoleProgress
from adhere.prompts import Prompts
from adhere.run_files import CLAUSES, GENERATED_PROBES, PASSAGES
from adhere.settings import RunSettings

COLUMNS = ("contrast", "other clause", "generic", "itself")
LENGTHS = ("longer is wrong", "longer is right")


def exam_of(bench: Bench) -> list[ExamPair]:
    clauses = bench.read(CLAUSES)
    text = {passage.id: passage.text for passage in bench.read(PASSAGES)}
    chosen = bench.settings.evaluate
    return exam_pairs(
        bench.read(GENERATED_PROBES),
        {clause.id: text[clause.passage] for clause in clauses},
        {clause.id: clause.statement for clause in clauses},
        bench.prompts.render("judge_generic").splitlines(),
        count=chosen.exam_pairs,
        seed=chosen.seed,
    )


def by_clause(pairs: Sequence[ExamPair]) -> list[ExamPair]:
    """The same pairs with the clause's statement in the place of the passage."""
    return [
        replace(pair, comparison=replace(pair.comparison, passage=pair.comparison.statement))
        for pair in pairs
    ]


def sittings(bench: Bench, pairs: Sequence[ExamPair]) -> list[tuple[str, Judge, list[ExamPair]]]:
    """Name, judge, and the pairs as this judge is to see them."""
    progress = bench.progress
    grounding = Grounding(bench.engine, progress)
    style = "continue" if bench.prompts.style == "chat" else "chat"
    panel = judges_of(bench.engine, grounding, bench.prompts, progress)
    other = PointwiseJudge(bench.engine, Prompts(bench.run / "prompts", style), progress)
    return [
        *((judge.name, judge, list(pairs)) for judge in panel),
        ("likelihood, clause alone", panel[0], by_clause(pairs)),
        (f"pointwise, {style}", other, list(pairs)),
    ]


def table(run: Path) -> None:
    bench = Bench(run, RunSettings.read(run / "run.toml"), ConsoleProgress())
    pairs = exam_of(bench)
    floor = bench.settings.evaluate.exam_floor
    print(f"\n{run}: {len(pairs)} pairs, teacher {bench.engine.name}, {floor:.0%} needed\n")
    print("| judge | right | interval | flips |", " | ".join((*COLUMNS, *LENGTHS)), "|")
    print("|---" * (4 + len(COLUMNS) + len(LENGTHS)) + "|")
    for name, judge, shown in sittings(bench, pairs):
        row = judge_row(examine(judge, shown, floor=0.0))  # floor 0: nobody is sent home early
        parts = [row["kinds"].get(kind) for kind in COLUMNS]
        parts += [row["lengths"].get(length) for length in LENGTHS]
        cells = [f"{part['right']}/{part['n']}" if part else "" for part in parts]
        passed = " ✓" if row["low"] >= floor else ""
        print(
            f"| {name}{passed} | {row['right']}/{row['n']} | {row['low']:.0%} to "
            f"{row['high']:.0%} | {row['flipped']} |",
            " | ".join(cells),
            "|",
            flush=True,
        )
    bench.engine.close()


if __name__ == "__main__":
    for name in sys.argv[1:]:
        table(Path(name))
