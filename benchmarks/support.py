"""Does a score tell what follows from a text from what does not? `support.py [FOLDER [TEACHER]]`.

On the marked statements of `support.json`, prints for each score how well it sorts the true
ones before those of a kind that does not follow (the area under the ROC curve), and what
`clauses.min_support` and the words of duty keep. FOLDER holds the public documents of the set
'documents', whose sentences are known here by their hashes; without it that set is left out.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import mannwhitneyu

from adhere.diff import sentences_of
from adhere.duty import plain_duty
from adhere.embedding import embedder
from adhere.engines import open_engine
from adhere.grounding import Grounded, Grounding
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.settings import ClausesSettings, ModelSettings
from adhere.support import Claim, leanings
from adhere.teacher import Teacher

MARKED = json.loads(Path(__file__).with_name("support.json").read_text(encoding="utf-8"))
STORY = Path(__file__).parents[1] / "examples" / "narrative.md"
QUESTION = "What does the text ask or value?"
KINDS = ("true", "contrary", "turned", "changed", "unrelated")
OTHER = {"scenes": 4, "sentences": 1, "documents": 1}
"""How many texts further on the other text of a statement stands."""


@dataclass(frozen=True)
class Item:
    name: str
    kind: str
    claim: Claim
    elsewhere: Claim
    """The same statement with another text of the set: how it leans whatever the text."""


def scenes() -> list[str]:
    story = STORY.read_text(encoding="utf-8")
    begun = [story[story.index(scene["from"]) :] for scene in MARKED["scenes"]]
    ends = [scene["to"] for scene in MARKED["scenes"]]
    return [
        " ".join((text.partition(end)[0] if end else text).split())
        for text, end in zip(begun, ends, strict=True)
    ]


def sentences(folder: Path) -> dict[str, str]:
    """Hash -> sentence, of the documents that the set 'documents' was taken from."""
    named = (sentences_of(folder / name) for name in MARKED["names"])
    return {one.id: one.text for units in named for one in units}


def items(name: str, texts: Sequence[str]) -> Iterator[Item]:
    """The statements of a set; what is true of the text after next is `elsewhere` here."""
    marks = MARKED[name]
    for n, (text, mark) in enumerate(zip(texts, marks, strict=True)):
        other = texts[(n + OTHER[name]) % len(texts)]
        said = {kind: mark[kind] for kind in KINDS if kind in mark}
        said["elsewhere"] = marks[(n + 2) % len(marks)]["true"][:1]
        for kind, statements in said.items():
            for statement in statements:
                yield Item(name, kind, Claim(statement, text), Claim(statement, other))


def scores(marked: Sequence[Item], teacher: Teacher) -> dict[str, dict[Item, float]]:
    leaning = leanings([item.claim for item in marked], teacher, "what follows")
    idle = leanings([item.elsewhere for item in marked], teacher, "what follows")
    grounded = [Grounded(item.claim.text, QUESTION, item.claim.statement) for item in marked]
    gains = Grounding(teacher.engine, teacher.progress).gains(grounded, "grounding gain")
    embed = embedder(ModelSettings().embedder, NoProgress())
    texts, statements = (
        embed([getattr(item.claim, part) for item in marked]) for part in ("text", "statement")
    )
    return {
        "leaning": {item: sure(leaning[item.claim]) for item in marked},
        "with another text": {item: sure(idle[item.elsewhere]) for item in marked},
        "grounding gain": {item: sure(gain) for item, gain in zip(marked, gains, strict=True)},
        "cosine": dict(zip(marked, (texts * statements).sum(axis=1), strict=True)),
    }


def sure(score: float | None) -> float:
    if score is None:
        raise SystemExit("The teacher could not score every statement.")
    return score


def auc(true: Sequence[float], false: Sequence[float]) -> float:
    """Share of the pairs of a true and a false one that are in order; a tie counts half."""
    return float(mannwhitneyu(true, false).statistic) / (len(true) * len(false))


def kept(item: Item, leaning: float) -> bool:
    said, duty = (plain_duty(text, "en") for text in (item.claim.text, item.claim.statement))
    contrary = None not in (said, duty) and said != duty
    return leaning >= ClausesSettings().min_support and not contrary


def main(folder: Path | None, address: str) -> None:
    texts = {"scenes": scenes(), "sentences": [mark["sentence"] for mark in MARKED["sentences"]]}
    if folder:
        known = sentences(folder)
        texts["documents"] = [known[mark["sentence"]] for mark in MARKED["documents"]]
    marked = [item for name in texts for item in items(name, texts[name])]
    teacher = Teacher(open_engine(address), Prompts(), NoProgress())
    found = scores(marked, teacher)
    print("| set | kind | statements | kept |", " | ".join(found), "|")
    print("|---" * (4 + len(found)) + "|")
    for name, kind in dict.fromkeys((item.name, item.kind) for item in marked):
        ours = [item for item in marked if (item.name, item.kind) == (name, kind)]
        true = [item for item in marked if (item.name, item.kind) == (name, "true")]
        areas = [
            "" if kind == "true" else f"{auc([one[i] for i in true], [one[i] for i in ours]):.2f}"
            for one in found.values()
        ]
        passed = sum(kept(item, found["leaning"][item]) for item in ours)
        print("|", " | ".join((name, kind, f"{len(ours)}", f"{passed}", *areas)), "|")
    for item in marked:
        marks = ", ".join(f"{score} {one[item]:.2f}" for score, one in found.items())
        print(f"  {item.name} {item.kind}: {marks}: {item.claim.statement}", file=sys.stderr)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else None,
        sys.argv[2] if len(sys.argv) > 2 else ModelSettings().teacher,
    )
