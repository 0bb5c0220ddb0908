"""The data card: what is in the folder, who wrote it, what was left out, and what is weak."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, StrictUndefined

from adhere.dataset.rows import RunData, Split
from adhere.faults import personal_data
from adhere.generate.replies import runs
from adhere.records import Example, PreferencePair, Probe
from adhere.store import Manifest, content_key, read_manifest, read_summary

MADE_BY = "made with `adhere`"
"""Stands in every card, and tells an export from somebody's own folder."""
_TEMPLATE = Path(__file__).with_name("card.md")
_HUB_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_DROPPING = ("clauses", "generate", "curate")
_HELD = "hold an e-mail address or a number that stands in the documents"
_STRANGE = "hold an e-mail address or a number that does not stand in the documents"


def card(
    data: RunData,
    splits: Sequence[Split],
    paths: Mapping[str, str],
    licences: Mapping[str, str],
) -> str:
    """The README.md of the dataset, with the YAML header that `datasets` reads.

    `paths`: configuration -> its file. `licences`: document name -> licence, or "".
    """
    made = {name: read_manifest(data.run / name) for name in (*_DROPPING, "evaluate")}
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"json": _json, "cell": _cell}
    names, licence = [document.name for document in data.documents], _whole(licences)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=f"Values of {names[0]}" + (f" and {len(names) - 1} more" if names[1:] else ""),
        made_by=MADE_BY,
        version=version("adhere"),
        licence=licence,
        licences=licences,
        licence_id=licence if _HUB_LICENCE.fullmatch(licence) else licence and "other",
        documents=data.documents,
        languages=sorted({document.language for document in data.documents}),
        splits=[_counted(split, paths[split.config]) for split in splits],
        authors=Counter((row.origin.model, row.origin.prompt) for row in data.rows).most_common(),
        reviewed=_reviewed(made["curate"], len(data.rows)),
        drops=[
            (name, reason, count)
            for name in _DROPPING
            if (manifest := made[name])
            for reason, count in manifest.dropped.items()
        ],
        filters=_filters(made["curate"]),
        personal=_personal(data),
        weaknesses=[*_structure(data), *_wording(data), *_measured(data, made)],
    )


def _whole(licences: Mapping[str, str]) -> str:
    """The licence of all the documents together; empty where that of one is not stated."""
    found = set(licences.values())
    if "" in found:
        return ""
    return found.pop() if len(found) == 1 else "several, see the sources"


def _json(value: Any) -> str:
    """JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _counted(split: Split, path: str) -> dict[str, Any]:
    return {
        "config": split.config,
        "name": split.name,
        "layout": split.layout,
        "path": path,
        "rows": len(split.records),
        "clauses": len({row.clause for row in split.records}),
    }


def _reviewed(curate: Manifest | None, rows: int) -> str:
    review: dict[str, Any] = curate.facts.get("review", {}) if curate else {}
    looked = {choice: review.get(choice, 0) for choice in ("accept", "edit", "reject")}
    if not any(looked.values()):
        return "No person has decided on any of these rows."
    return (
        f"A person accepted {looked['accept']} of the {rows} rows as they were and edited "
        f"{looked['edit']}; {looked['reject']} more were rejected and left out."
    )


def _filters(curate: Manifest | None) -> list[tuple[str, Any]]:
    return list(curate.settings["curate"].items()) if curate else []


def _personal(data: RunData) -> str:
    """What the linter finds, whether or not the rows went through it."""
    texts = ["\n".join(_texts(row)) for row in data.rows]
    strange = sum(1 for text in texts if personal_data(text, data.known))
    holding = sum(1 for text in texts if personal_data(text, data.known, allowed=True))
    return (
        f"By their form alone, {strange} of {len(texts)} rows {_STRANGE}, and {holding} {_HELD}. "
        "Names of people were not looked for."
    )


def _texts(row: Example | PreferencePair | Probe) -> list[str]:
    if isinstance(row, Example):
        return [row.question, row.answer]
    if isinstance(row, PreferencePair):
        return [row.question, row.chosen, row.rejected]
    return [row.question, row.reference, row.contrast or ""]


def _structure(data: RunData) -> list[str]:
    """Clauses without rows, probes without contrast, and how the polarities are spread."""
    clauses = len(data.clauses)
    taught = {row.clause for row in (*data.examples, *data.pairs)}
    tested = {row.clause for row in data.probes}
    bare = sum(1 for probe in data.probes if probe.contrast is None)
    rows = Counter(row.clause for row in data.rows)
    polarity = Counter(clause.polarity for clause in data.clauses.values())
    spread = ", ".join(f"{count} {name}" for name, count in polarity.most_common())
    return [
        f"Of {clauses} clauses, {clauses - len(taught & data.clauses.keys())} have no training "
        f"row and {clauses - len(tested & data.clauses.keys())} no probe.",
        f"{bare} of {len(data.probes)} probes have no unfaithful answer to compare with.",
        f"Clauses have between {min(rows.values())} and {max(rows.values())} rows, "
        f"half of them at most {median(rows.values()):g}; clauses without any are not counted.",
        f"Polarity of the clauses: {spread}.",
    ]


def _wording(data: RunData) -> list[str]:
    """Questions that ask nothing, answers that copy, and pairs that differ in length."""
    unasked = sum(1 for row in data.rows if not row.question.rstrip().endswith(("?", "？", "؟")))
    source = {run for document in data.documents for run in runs(document.text)}
    answers = [*(row.answer for row in data.examples), *(row.chosen for row in data.pairs)]
    copied = sum(1 for answer in answers if runs(answer) & source)
    longer = sum(1 for pair in data.pairs if len(pair.chosen) > len(pair.rejected))
    return [
        f"{unasked} of {len(data.rows)} questions do not end in a question mark.",
        f"{copied} of {len(answers)} training answers repeat seven or more consecutive words "
        "of a document.",
        f"In {longer} of {len(data.pairs)} pairs the chosen answer is the longer one.",
        "Where the model misread a document, the answers are wrong too, and so are the "
        "references of the probes.",
    ]


def _measured(data: RunData, made: Mapping[str, Manifest | None]) -> list[str]:
    """What the run's own evaluation says, where it is of this data."""
    curate, evaluate = made["curate"], made["evaluate"]
    if not curate or not evaluate or evaluate.inputs["curate"] != content_key(curate.outputs):
        return ["No model trained on this data has been evaluated yet."]
    return [
        f"The judge `{judge['name']}` sorted {judge['right']} of {judge['n']} pairs of known "
        "winner made of this run's probes rightly"
        f"{'' if judge['admitted'] else ', too few to be used'}."
        for judge in read_summary(data.run)["judges"]
    ]
