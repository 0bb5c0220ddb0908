"""How well are related clauses told? `clause_pairs.py [FOLDER]`.

Measures `adhere.conflicts` on the marked pairs of `clause_pairs.json`: precision and recall by
kind and set, and each mistake. FOLDER holds the public documents of the set 'documents', whose
sentences are known here by their hashes; without it that set is left out.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from adhere.conflicts import relation_of
from adhere.diff import sentences_of
from adhere.duty import act
from adhere.embedding import Embed, embedder
from adhere.progress import NoProgress
from adhere.settings import ClausesSettings

MARKED = json.loads(Path(__file__).with_name("clause_pairs.json").read_text(encoding="utf-8"))
KINDS = ("contradiction", "duplicate", "refinement")
Pair = Sequence[str]
"""Language, mark, and the two statements."""


def sentences(folder: Path) -> dict[str, str]:
    """Hash -> sentence, of the documents that the set 'documents' was taken from."""
    named = (sentences_of(folder / name) for name in MARKED["names"])
    return {one.id: one.text for units in named for one in units}


def told(pairs: Sequence[Pair], embed: Embed) -> list[str]:
    acts = [embed([act(pair[side], pair[0]) for pair in pairs]) for side in (2, 3)]
    scores = (acts[0] * acts[1]).sum(axis=1)
    return [
        relation_of(first, second, float(score), language, ClausesSettings()) or "none"
        for (language, _, first, second), score in zip(pairs, scores, strict=True)
    ]


def share(part: int, whole: int) -> str:
    return f"{part}/{whole}"


def report(name: str, pairs: Sequence[Pair], embed: Embed) -> None:
    kinds = told(pairs, embed)
    marks = [pair[1] for pair in pairs]
    for kind in KINDS:
        hits = sum(mark == one == kind for mark, one in zip(marks, kinds, strict=True))
        precision, recall = share(hits, kinds.count(kind)), share(hits, marks.count(kind))
        print(f"| {name} | {len(pairs)} | {kind} | {precision} | {recall} |")
    for pair, kind in zip(pairs, kinds, strict=True):
        if kind != pair[1]:
            print(f"  {pair[1]} told as {kind}: {pair[2][:90]} / {pair[3][:90]}", file=sys.stderr)


def main(folder: Path | None) -> None:
    embed = embedder("all-minilm-l6-v2", NoProgress())
    print("| set | pairs | kind | precision | recall |\n|---|---|---|---|---|")
    for name in ("chosen", "held out"):
        report(name, MARKED[name], embed)
    for language in dict.fromkeys(pair[0] for pair in MARKED["languages"]):
        report(language, [pair for pair in MARKED["languages"] if pair[0] == language], embed)
    if folder:
        text = sentences(folder)
        pairs = [
            (language, mark, text[one], text[other])
            for language, mark, one, other in MARKED["documents"]
            if one in text and other in text
        ]
        report("documents", pairs, embed)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
