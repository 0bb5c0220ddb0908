"""The table of stages: what each reads from a run's folder, calls, and writes.

The stage modules are plain functions from records to records; here, and only here,
they are bound to files. The order of the table is the way of the data.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from adhere.bench import Bench
from adhere.data_stages import (
    ROW_PROMPTS,
    Outcome,
    clauses_stage,
    curate_stage,
    generate_stage,
    ingest_stage,
    outcome,
    rewrite_stage,
)
from adhere.prompts import Prompts
from adhere.review import REVIEWED, Kind
from adhere.run_files import (
    ANSWERS,
    CLAUSES,
    DOCUMENTS,
    EXAMPLES,
    GENERATED_PROBES,
    PAIRS,
    PASSAGES,
    PROBES,
    SET_ASIDE,
    VERDICTS,
    dropped_of,
)
from adhere.settings import RunSettings
from adhere.store import (
    Manifest,
    read_manifest,
    read_object,
    read_records,
    read_summary,
    write_json,
)
from adhere.training_stages import (
    document_lm_stage,
    dpo_alone_stage,
    dpo_stage,
    midtrain_stage,
    sft_stage,
)


def _evaluate(bench: Bench, folder: Path) -> Outcome:
    from adhere.assess import assess
    from adhere.people import judged_before

    found = assess(bench, folder)
    bench.engine.close()
    made = _made(bench, "evaluate")
    summary = found.summary | {"counts": {name: one.counts for name, one in made.items()}}
    summary, counts = judged_before(bench.run, folder, summary, bench.settings, bench.progress)
    write_json(folder / "summary.json", summary)
    return outcome(folder, found.counts | counts, found.dropped)


def _made(bench: Bench, before: str) -> dict[str, Manifest]:
    """What the stages before this one left, but for those that are switched off now."""
    names = takewhile(lambda name: name != before, STAGES)
    found = {name: read_manifest(bench.run / name) for name in names if is_on(name, bench.settings)}
    return {name: manifest for name, manifest in found.items() if manifest}


def _report(bench: Bench, folder: Path) -> Outcome:
    from adhere.previous import changes
    from adhere.report import ReportData, write_report

    made = _made(bench, "report")
    trainings = [name for name in parents("report", bench.settings) if STAGES[name].resumes]
    write_report(
        ReportData(
            settings=bench.settings,
            documents=bench.read(DOCUMENTS),
            passages=bench.read(PASSAGES),
            clauses=bench.read(CLAUSES),
            aside=SET_ASIDE.read_if_there(bench.run),  # a run of an earlier version has none
            examples=bench.read(EXAMPLES),
            pairs=bench.read(PAIRS),
            probes=bench.read(PROBES),
            written=bench.read(GENERATED_PROBES),
            dropped=[drop for name in made for drop in dropped_of(name).read_if_there(bench.run)],
            answers=bench.read(ANSWERS),
            verdicts=bench.read(VERDICTS),
            summary=read_summary(bench.run),
            official=read_object(bench.run / "evaluate/official.json"),
            changes=changes(bench.run, bench.settings.gate),
            manifests=list(made.values()),
            curves={
                name: read_records(bench.run / name / "curve.jsonl", dict[str, float])
                for name in trainings
            },
        ),
        folder,
    )
    return Outcome({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One arrow of the pipeline."""

    does: str
    after: tuple[str, ...]
    """The stages whose folders it reads."""
    settings: tuple[str, ...]
    """Which of the run's settings it depends on; `models.teacher` is one of `models`."""
    work: Callable[[Bench, Path], Outcome]
    prompts: tuple[str, ...] = ()
    """The prompts that it uses, in whichever style."""
    files: tuple[str, ...] = ()
    """The settings that name files of the user's that it reads."""
    switches: tuple[str, ...] = ()
    """The settings that it is off without, where it is not always on."""
    reviewed: tuple[Kind, ...] = ()
    """The kinds of its rows that a person's decisions are applied to, last."""
    resumes: bool = False
    """Whether it goes on from what an interrupted attempt left in its partial folder."""


_TEACHER = ("models.teacher", "models.style")
_DATA = ("ingest", "clauses", "generate", "curate")
_TRAINED = ("sft", "dpo", "dpo-alone", "document-lm")

STAGES: Mapping[str, Stage] = {
    "ingest": Stage(
        does="documents -> passages",
        after=(),
        settings=("documents", "ingest"),
        work=ingest_stage,
        files=("documents",),
    ),
    "clauses": Stage(
        does="passages -> clauses",
        after=("ingest",),
        settings=(*_TEACHER, "models.embedder", "clauses"),
        work=clauses_stage,
        prompts=("value", "implied", "support"),
        reviewed=REVIEWED["clauses"],
    ),
    "generate": Stage(
        does="clauses -> examples, pairs and probes",
        after=("ingest", "clauses"),
        settings=("models", "generate"),
        work=generate_stage,
        prompts=("situation", *ROW_PROMPTS),
    ),
    "curate": Stage(
        does="rows -> the rows worth keeping",
        after=("ingest", "clauses", "generate"),
        settings=(*_TEACHER, "models.embedder", "curate"),
        work=curate_stage,
        prompts=ROW_PROMPTS,
        reviewed=REVIEWED["curate"],
    ),
    "rewrite": Stage(
        does="passages with a clause -> the same told again from other angles",
        after=("ingest", "clauses"),
        settings=(*_TEACHER, "midtrain.rewritings", "clauses.min_support"),
        work=rewrite_stage,
        prompts=("rewrite", "support"),
        switches=("midtrain.enabled", "midtrain.rewritings"),
    ),
    "midtrain": Stage(
        does="document text -> adapter that SFT goes on from",
        after=("ingest", "rewrite"),
        settings=("models.student", "midtrain"),
        work=midtrain_stage,
        switches=("midtrain.enabled",),
        resumes=True,
    ),
    "sft": Stage(
        does="examples -> SFT adapter",
        after=("curate", "midtrain"),
        files=("sft.general",),
        settings=("models.student", "sft"),
        work=sft_stage,
        resumes=True,
    ),
    "dpo": Stage(
        does="pairs -> DPO on top of the SFT adapter",
        after=("curate", "sft"),
        settings=("models.student", "dpo"),
        work=dpo_stage,
        resumes=True,
    ),
    "dpo-alone": Stage(
        does="pairs -> DPO on the bare student, for comparison",
        after=("curate",),
        settings=("models.student", "dpo"),
        work=dpo_alone_stage,
        resumes=True,
    ),
    "document-lm": Stage(
        does="document text -> as much plain training as sft+dpo had, for comparison",
        after=("ingest", "midtrain", "sft", "dpo"),
        settings=("models.student", "sft"),
        work=document_lm_stage,
        resumes=True,
    ),
    "evaluate": Stage(
        does="systems -> answers, metrics, verdicts",
        after=(*_DATA, *_TRAINED),
        settings=("models", "evaluate"),
        work=_evaluate,
        prompts=("judge_pairwise", "judge_pointwise", "judge_generic", "retrieved"),
        files=(
            "evaluate.pairs",
            "evaluate.refusals",
            "evaluate.instructions",
            "evaluate.harness",
        ),
    ),
    "report": Stage(
        does="everything -> one page",
        after=(*_DATA, "midtrain", *_TRAINED, "evaluate"),
        settings=tuple(name for name in RunSettings.model_fields if name != "tracking"),
        work=_report,
    ),
}


def is_on(name: str, settings: RunSettings) -> bool:
    """Whether a stage has work to do in this run at all."""
    return not switched_off(name, settings)


def switched_off(name: str, settings: RunSettings) -> str:
    """What a stage is off by, in words; empty where it is on."""
    values = {switch: _setting(settings, switch) for switch in STAGES[name].switches}
    off = (f"{switch} is {json.dumps(value)}" for switch, value in values.items() if not value)
    return next(off, "")


def needs_models(name: str) -> bool:
    """Whether a stage asks or trains a model."""
    return bool(STAGES[name].prompts) or STAGES[name].resumes


_SCORED = frozenset({"generate", "curate", "rewrite"})


def needs_likelihoods(name: str, settings: RunSettings) -> bool:
    """Whether a stage has the teacher say how likely given texts are."""
    if name == "clauses":
        return settings.models.style == "chat"
    if name == "evaluate":
        return settings.evaluate.judged
    return name in _SCORED and is_on(name, settings)


def parents(name: str, settings: RunSettings) -> list[str]:
    """The stages that a stage reads from; those that are switched off are left out."""
    return [other for other in STAGES[name].after if is_on(other, settings)]


def settings_of(stage: Stage, settings: RunSettings) -> dict[str, Any]:
    """The part of the settings that a stage depends on, JSON-able."""
    return {name: _setting(settings, name) for name in stage.settings}


def files_of(stage: Stage, settings: RunSettings) -> list[Path]:
    """The user's files and folders that a stage reads, as the settings name them."""
    found: list[Path] = []
    for value in (_setting(settings, name) for name in stage.files):
        found += [Path(value)] if isinstance(value, str) else [Path(one) for one in value or ()]
    return found


def _setting(settings: RunSettings, name: str) -> Any:
    value: Any = settings.model_dump(mode="json")
    for part in name.split("."):
        value = value[part]
    return value


def prompts_of(stage: Stage, prompts: Prompts) -> dict[str, str]:
    """Name and tag of the prompts that a stage uses."""
    return {
        name: tag
        for name, tag in prompts.tags().items()
        if name.rpartition("/")[2].split(".")[0] in stage.prompts
    }
