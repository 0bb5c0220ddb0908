"""How good is the data of finished runs? `data_quality.py RUN ...` prints one table.

Reads what `adhere generate` and `adhere curate` left; nothing is generated or scored again, but
with `--judge`: the teacher then says of every kept pair which answer is the better one, as the
judges of the evaluation do. `--draw N SEED` prints N rows drawn at random, to be marked by a
person, and `--marks FILE` what such marks come to (a JSON list of rows: `id`, `right`, `why`).
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import mean, median
from typing import Any

from rapidfuzz import fuzz

from adhere.bench import Bench
from adhere.evaluate.judges import Comparison, LikelihoodJudge, PointwiseJudge
from adhere.faults import needs_text
from adhere.grounding import Grounding
from adhere.parts import names_contact
from adhere.progress import ConsoleProgress
from adhere.settings import RunSettings
from adhere.text import says_yes

Row = dict[str, Any]
KINDS = ("examples", "pairs", "probes")
NEAR = 90
"""Percent of two questions that is the same, by characters in order, from which they are near."""
_NO_QUESTION = ("opposite does not differ", "no opposite", "contrast left out: ")
"""What `generate` drops besides questions: opposites, and the contrasts of probes that go on."""


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


def lost_questions(reasons: Mapping[str, int]) -> int:
    """Questions of which no row came, of all that `generate` dropped, by reason."""
    return sum(n for reason, n in reasons.items() if not reason.startswith(_NO_QUESTION))


def measures(run: Path) -> dict[str, str]:
    clauses = rows(run, "clauses/clauses")
    spoken = {row["id"]: row["language"] for row in rows(run, "ingest/documents")}
    language = {clause["id"]: spoken[clause["document"]] for clause in clauses}
    made = {kind: rows(run, f"generate/{kind}") for kind in KINDS}
    kept = {kind: rows(run, f"curate/{kind}") for kind in KINDS}
    dropped = manifest(run, "curate")["dropped"]
    total, left = (sum(map(len, table.values())) for table in (made, kept))
    reasons = manifest(run, "generate")["dropped"]
    asked = total + lost_questions(reasons)
    pairs = kept["pairs"]
    contrasts = sum(probe["contrast"] is not None for probe in kept["probes"])
    ungrounded = dropped.get("answer not grounded", 0)
    alike = dropped.get("answers not told apart", 0) + dropped.get("answers of unlike length", 0)
    questions = [row["question"] for kind in KINDS for row in kept[kind]]
    spent = [manifest(run, stage) for stage in ("generate", "curate")]
    seconds = sum(stage["seconds"] for stage in spent)
    tokens = sum(stage["facts"]["requests"].get("tokens", 0) for stage in spent)
    found = {
        "rows kept of questions asked": share(left, asked),
        "rows kept of generated": share(left, total),
        **{f"kept {kind}": str(len(kept[kind])) for kind in KINDS},
        "probes with a contrast": str(contrasts),
        "answers grounded, of those scored": share(left + alike, left + alike + ungrounded),
        "pairs told apart, of those grounded": share(len(pairs), len(pairs) + alike),
        "length of chosen to rejected": _ratios(pairs),
        "near-duplicate questions": share(near(questions), len(questions)),
        "questions that lean on a text": share(sum(map(needs_text, questions)), len(questions)),
        **{
            f"clauses with {kind}": share(len({row["clause"] for row in kept[kind]}), len(clauses))
            for kind in KINDS
        },
        "prohibitions with a permitted twin": _twins(clauses, kept, language),
        "answers that name whom the clause names": _contacts(clauses, kept),
        "pairs answered by no": share(
            sum(not says_yes(pair["chosen"], language[pair["clause"]]) for pair in pairs),
            len(pairs),
        ),
        "seconds a kept row": f"{seconds / left:.1f}",
        "tokens a kept row": f"{tokens / left:,.0f}",
    }
    return found | {
        f"dropped: {reason}": str(count) for reason, count in (reasons | dropped).items()
    }


def _twins(clauses: list[Row], kept: dict[str, list[Row]], language: dict[str, str]) -> str:
    """Clauses of what is forbidden that are trained on something that they permit."""
    trained = {
        row["clause"]
        for row in (*kept["examples"], *kept["pairs"])
        if says_yes(row.get("answer") or row["chosen"], language[row["clause"]])
    }
    forbidden = {clause["id"] for clause in clauses if clause["polarity"] == "forbidden"}
    return share(len(forbidden & trained), len(forbidden))


def _contacts(clauses: list[Row], kept: dict[str, list[Row]]) -> str:
    statement = {clause["id"]: clause["statement"] for clause in clauses}
    answers = [
        row.get("answer") or row.get("chosen")
        for row in (*kept["examples"], *kept["pairs"])
        if names_contact(statement[row["clause"]])
    ]
    return share(sum(map(names_contact, answers)), len(answers))


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


def judged(run: Path) -> str:
    """How many kept pairs each judge tells apart, on the chosen answer's side."""
    bench = Bench(run, RunSettings.read(run / "run.toml"), ConsoleProgress())
    text = {row["id"]: row["text"] for row in rows(run, "ingest/passages")}
    clauses = {row["id"]: row for row in rows(run, "clauses/clauses")}
    items = [
        Comparison(
            probe=pair["id"],
            passage=text[clauses[pair["clause"]]["passage"]],
            statement=clauses[pair["clause"]]["statement"],
            question=pair["question"],
            a=pair["chosen"],
            b=pair["rejected"],
        )
        for pair in rows(run, "curate/pairs")
    ]
    panel = (
        LikelihoodJudge(Grounding(bench.engine, bench.progress)),
        PointwiseJudge(bench.engine, bench.prompts, bench.progress),
    )
    lines: list[str] = []
    for judge in panel:
        found = judge.compare(items)
        won = Counter(one.winner for one in found)
        clear = sum(one.margin >= bench.settings.curate.min_margin for one in found)
        lines.append(
            f"{run.name}: judge {judge.name} prefers the chosen answer in "
            f"{share(won['a'], len(found))}, by the least margin in {share(clear, len(found))}"
        )
    return "\n".join(lines)


def marked(run: Path, marks: Sequence[Row]) -> Iterator[str]:
    """What a person's marks come to, for the rows that the run holds."""
    kind_of = {row["id"]: kind for kind in KINDS for row in rows(run, f"curate/{kind}")}
    here = [mark for mark in marks if mark["id"] in kind_of]
    right = [mark for mark in here if mark["right"]]
    yield f"{run.name}: right {share(len(right), len(here))} of {len(kind_of)} kept rows"
    for kind in KINDS:
        own = [mark for mark in here if kind_of[mark["id"]] == kind]
        yield f"  {kind}: {share(sum(mark['right'] for mark in own), len(own))}"
    for why, count in Counter(mark["why"] for mark in here if not mark["right"]).most_common():
        yield f"  wrong: {why}: {count}"


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--judge", action="store_true", help="let the teacher judge the pairs")
    parser.add_argument("--draw", nargs=2, type=int, metavar=("N", "SEED"))
    parser.add_argument("--marks", type=Path)
    given = parser.parse_args()
    if given.draw:
        print(*(drawn(run, *given.draw) for run in given.runs), sep="\n\n")
    elif given.marks:
        marks = json.loads(given.marks.read_text(encoding="utf-8"))
        print(*(line for run in given.runs for line in marked(run, marks)), sep="\n")
    else:
        print(table(given.runs))
        if given.judge:
            print(*map(judged, given.runs), sep="\n")


if __name__ == "__main__":
    main()
