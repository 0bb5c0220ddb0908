"""The stages that train: what each reads from a run's folder, calls, and writes."""

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TypeVar

from adhere.bench import Bench
from adhere.data_stages import Outcome, outcome
from adhere.processes import from_first
from adhere.records import Instruction
from adhere.run_files import DOCUMENTS, EXAMPLES, PAIRS, PROBES, REWRITINGS
from adhere.settings import TrainSettings
from adhere.store import read_manifest
from adhere.train import (
    Budget,
    Task,
    TrainingResult,
    own_answers,
    read_general,
    train_dpo,
    train_sft,
    train_text,
)

S = TypeVar("S", bound=TrainSettings)


def midtrain_stage(bench: Bench, folder: Path) -> Outcome:
    """The student after the documents' text, and after what was told again of it."""
    task = _task(bench, folder, "midtrain", bench.settings.midtrain)
    texts = [*_texts(bench), *_rewritten(bench)]
    return _trained(folder, train_text(texts, task))


def _rewritten(bench: Bench) -> list[str]:
    """All that was told again from one angle, as one text; a text for each angle."""
    if not bench.settings.midtrain.rewritings:
        return []
    told: dict[str, list[str]] = defaultdict(list)
    for one in bench.read(REWRITINGS):
        told[one.angle].append(one.text)
    return ["\n\n".join(texts) for texts in told.values()]


def document_lm_stage(bench: Bench, folder: Path) -> Outcome:
    """Plain training on the text, for as many steps and about as many tokens as `sft+dpo` took."""
    made = [read_manifest(bench.run / name) for name in bench.up_to("dpo")]
    trained = [manifest for manifest in made if manifest]
    budget = Budget(
        steps=sum(manifest.counts["steps"] for manifest in trained),
        tokens=sum(manifest.facts["tokens"] for manifest in trained),
    )
    task = _task(bench, folder, "document-lm", bench.settings.sft)
    return _trained(folder, train_text(_texts(bench), task, budget))


def _texts(bench: Bench) -> list[str]:
    return [document.text for document in bench.read(DOCUMENTS)]


def sft_stage(bench: Bench, folder: Path) -> Outcome:
    """The student after the examples, and after general instructions where they are wanted."""
    result = train_sft(
        bench.read(EXAMPLES),
        bench.read(PROBES),
        _task(bench, folder, "sft", bench.settings.sft),
        _general(bench),
    )
    return _trained(folder, result)


def _general(bench: Bench) -> list[Instruction]:
    chosen = bench.settings.sft
    if not chosen.general_share:
        return []
    if chosen.general:
        return from_first(partial(read_general, Path(chosen.general)))
    return from_first(partial(_own_answers, bench))


def _own_answers(bench: Bench) -> list[Instruction]:
    student = bench.student_engine(None)
    answers = own_answers(student, bench.progress)
    student.close()
    return answers


def dpo_stage(bench: Bench, folder: Path) -> Outcome:
    """What SFT left after the pairs: the aligned model."""
    return _preferences(bench, folder, "dpo")


def dpo_alone_stage(bench: Bench, folder: Path) -> Outcome:
    """The bare student after the pairs."""
    return _preferences(bench, folder, "dpo-alone")


def _preferences(bench: Bench, folder: Path, stage: str) -> Outcome:
    result = train_dpo(
        bench.read(PAIRS),
        bench.read(PROBES),
        _task(bench, folder, stage, bench.settings.dpo),
    )
    return _trained(folder, result)


def _task(bench: Bench, folder: Path, stage: str, settings: S) -> Task[S]:
    model, adapter = bench.trained(bench.before(stage))
    return Task(
        stage=stage,
        model=model,
        adapter=adapter,
        settings=settings,
        folder=folder,
        progress=bench.progress,
        report_to=bench.settings.tracking.report_to,
    )


def _trained(folder: Path, result: TrainingResult) -> Outcome:
    facts = {
        "tokens": result.tokens,
        "passes": result.passes,
        "alarms": result.alarms,
        "plan": result.plan.facts,
    }
    counts = {
        "rows": result.rows,
        "steps": result.steps,
        "trained parameters": result.trained_parameters,
    }
    return outcome(folder, counts, result.dropped, facts)
