"""The evaluation before this one, of other documents: kept in the run, and compared with it.

`RUN/previous` is a run's folder with little in it, so whatever reads a run reads it too.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adhere.diff import Change, Unit, clauses_of, compare
from adhere.gate import Check, changes_between, read_evidence
from adhere.gate import compare as against
from adhere.gate.rules import Evidence
from adhere.records import Document
from adhere.report.changes import Behaviour, Changes, ClauseChange
from adhere.report.data import Estimate
from adhere.run_files import ANSWERS, CLAUSES, DOCUMENTS, PASSAGES, PROBES, SCORES
from adhere.settings import GateSettings
from adhere.store import (
    MANIFEST,
    content_key,
    fresh_folder,
    read_manifest,
    read_object,
    write_json,
)
from adhere.text import shortened

PREVIOUS = "previous"
_SETTINGS = "settings.json"
"""What the stages of that run were made with, `STAGE.SETTING` -> value."""
_KEPT = (
    *(file.name for file in (DOCUMENTS, PASSAGES, CLAUSES, PROBES, ANSWERS, SCORES)),
    "evaluate/summary.json",
)


def keep_previous(run: Path, documents: Sequence[Document]) -> None:
    """Keep the run's last finished evaluation where these documents say something else.

    To be called before what the documents made is replaced. An evaluation of still older
    documents, after which the run went no further, has been kept already.
    """
    if not replaces(run, documents):
        return
    with fresh_folder(run / PREVIOUS) as folder:
        for name in _KEPT:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(run / name, folder / name)
        write_json(folder / _SETTINGS, _made_with(run))


def replaces(run: Path, documents: Sequence[Document]) -> str:
    """What there is to say where the run was evaluated with documents that say something else.

    Empty where it was not.
    """
    if not _evaluated(run):
        return ""
    before = DOCUMENTS.read(run)
    if [one.text for one in before] == [one.text for one in documents]:
        return ""
    return (
        f"{run} holds a run of other documents ({shortened([one.name for one in before])}): its "
        f"models are replaced, and its evaluation is kept in {run / PREVIOUS}."
    )


def _evaluated(run: Path) -> bool:
    """Whether the run's evaluation is of the documents, clauses and probes that are there."""
    evaluated = read_manifest(run / "evaluate")
    if evaluated is None:
        return False
    made = {name: read_manifest(run / name) for name in ("ingest", "clauses", "curate")}
    return all(
        manifest and evaluated.inputs.get(name) == content_key(manifest.outputs)
        for name, manifest in made.items()
    )


def _made_with(run: Path) -> dict[str, Any]:
    """Every setting of the run's finished stages but the documents; the report makes nothing."""
    found: dict[str, Any] = {}
    for path in sorted(run.glob(f"*/{MANIFEST}")):
        manifest = read_manifest(path.parent) if path.parent.name != "report" else None
        for name, value in (manifest.settings if manifest else {}).items():
            parts = value if isinstance(value, Mapping) else {"": value}
            found |= {f"{name}.{part}".rstrip("."): one for part, one in parts.items()}
    found.pop("documents", None)
    return found


def _other_settings(run: Path) -> tuple[tuple[str, str, str], ...]:
    """Those that had another value then: name, then and now; what had none yet is not told."""
    before = read_object(run / PREVIOUS / _SETTINGS)
    now = _made_with(run)
    return tuple(
        (name, json.dumps(value), json.dumps(now[name]))
        for name, value in before.items()
        if name in now and now[name] != value
    )


def changes(run: Path, settings: GateSettings) -> Changes | None:
    """What changed since the evaluation that was kept; None where none was."""
    folder = run / PREVIOUS
    if not folder.exists():
        return None
    old, new = read_evidence(folder), read_evidence(run)
    found = compare(clauses_of(folder), clauses_of(run))
    documents = DOCUMENTS.read(folder)
    return Changes(
        before=tuple(one.name for one in documents),
        settings=_other_settings(run),
        margin=settings.margin,
        unchanged=found.unchanged,
        counts={str(kind): count for kind, count in found.counts().items()},
        clauses=tuple(map(_clause, found.changes)),
        overall=tuple(
            (check.outcome, check.reason)
            for check in against(old, new, settings)
            if _is_overall(check)
        ),
        behaviour=_behaviour(old, new, settings.margin),
    )


def _is_overall(check: Check) -> bool:
    """The others speak of single clauses, which have a table of their own."""
    return not check.rule.startswith("against: clause")


def _clause(change: Change) -> ClauseChange:
    shown = change.new or change.old
    assert shown is not None  # a change has at least one side
    return ClauseChange(
        kind=change.kind,
        id=shown.id,
        pieces=change.edits or (("same", shown.text),),
        place=" › ".join((shown.document, *shown.headings)),
        was=_result(change.old),
        now=_result(change.new),
    )


def _result(unit: Unit | None) -> str:
    return (unit.result or "") if unit else ""


def _behaviour(old: Evidence, new: Evidence, margin: float) -> tuple[Behaviour, ...]:
    statements = {row["id"]: row["statement"] for row in new.summary["clauses"]}
    found = sorted(changes_between(old, new, margin), key=lambda one: one.gain)
    return tuple(
        Behaviour(
            clause=one.clause,
            statement=statements.get(one.clause, one.clause),
            probes=one.probes,
            gain=Estimate(one.gain, one.low, one.high, one.probes),
            outcome=one.outcome,
        )
        for one in found
    )
