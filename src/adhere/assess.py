"""The evaluation of a run: what it reads from the run's folder, and what it writes."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from adhere.bench import ADAPTERS, Bench
from adhere.evaluate import Evaluation, Material, evaluate
from adhere.evaluate.costs import denied, general, refusals, wrong_yes
from adhere.evaluate.extras import Extras, read_extras
from adhere.evaluate.harness import harness
from adhere.evaluate.matches import Panel, aligned
from adhere.evaluate.metrics import provenance
from adhere.evaluate.official import SITUATIONS, Official, without_leaks
from adhere.evaluate.refusal import exam
from adhere.evaluate.tables import Row
from adhere.grounding import Grounding
from adhere.ladder import Ladder, ladder
from adhere.records import (
    Dropped,
)
from adhere.review import decided
from adhere.run_files import (
    ANSWERS,
    CLAUSES,
    DOCUMENTS,
    EXAMPLES,
    GENERATED_PROBES,
    OFFICIAL_ANSWERS,
    OFFICIAL_SCORES,
    OFFICIAL_VERDICTS,
    PAIRS,
    PASSAGES,
    PROBES,
    SCORES,
    VERDICTS,
)
from adhere.store import write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the evaluation has to say."""

    summary: Row
    """For `summary.json`: see `Evaluation.summary`; and metrics, retrieval and costs."""
    counts: dict[str, int]
    dropped: list[Dropped]


def assess(bench: Bench, folder: Path) -> Assessment:
    """Evaluate the run at the bench into `folder`.

    Writes answers.jsonl, scores.jsonl, verdicts.jsonl, and the same with official.json
    where the user gave situations with answers marked by people.
    """
    extras, measured = read_extras(bench.settings.evaluate), material(bench)
    compared = ladder(bench, measured)
    evaluation = evaluate(
        measured,
        compared.systems,
        teacher=bench.engine,
        judges=bench.judges,
        embed=bench.embed,
        prompts=bench.prompts,
        settings=bench.settings.evaluate,
        progress=bench.progress,
    )
    ANSWERS.write(folder, evaluation.answers)
    SCORES.write(folder, evaluation.scores)
    VERDICTS.write(folder, evaluation.verdicts)
    costs, dropped = _costs(bench, evaluation, compared, extras)
    counts = {"answers": len(evaluation.answers), "verdicts": len(evaluation.verdicts)}
    if extras.situations:
        official = _official(bench, compared, extras)
        write_official(folder, official)
        counts["situations"] = len(official.situations)
        dropped += official.dropped
    models = bench.settings.models
    summary = evaluation.summary() | {
        "metrics": provenance(models.embedder, models.teacher),
        "retrieval": compared.retrieval(),
        "costs": costs,
    }
    return Assessment(summary=summary, counts=counts, dropped=evaluation.dropped + dropped)


def write_official(folder: Path, official: Official) -> None:
    """The tables, and the records that they come from: a situation stands where a probe does."""
    write_json(folder / "official.json", official.report())
    SITUATIONS.write(folder, official.situations)
    OFFICIAL_ANSWERS.write(folder, official.answers)
    OFFICIAL_SCORES.write(folder, official.scores())
    OFFICIAL_VERDICTS.write(folder, official.verdicts)


def material(bench: Bench) -> Material:
    """What the run's systems are measured on, read from its folder."""
    examples = bench.read(EXAMPLES)
    pairs = bench.read(PAIRS)
    clauses = bench.read(CLAUSES)
    documents = bench.read(DOCUMENTS)
    language = {document.id: document.language for document in documents}
    taught, preferred = (Counter(row.clause for row in rows) for rows in (examples, pairs))
    return Material(
        probes=bench.read(PROBES),
        exam=decided(bench.run, "probes", bench.read(GENERATED_PROBES)),
        clauses=clauses,
        passages=bench.read(PASSAGES),
        training={clause.id: (taught[clause.id], preferred[clause.id]) for clause in clauses},
        languages={clause.id: language[clause.document] for clause in clauses},
    )


def _costs(
    bench: Bench, evaluation: Evaluation, compared: Ladder, extras: Extras
) -> tuple[Row, list[Dropped]]:
    """`costs` of `summary.json`, by the student as it came and as it is now."""
    settings, progress = bench.settings.evaluate, bench.progress
    pair = {evaluation.systems[0], aligned(evaluation.systems)}
    systems = [system for system in compared.systems if system.name in pair]
    found = {
        **denied(evaluation),
        "wrong_yes": wrong_yes(evaluation),
        "refusals": refusals(systems, extras.prompts, settings, progress),
        "general": general(systems, extras.instructions, progress),
    }
    rows = {name: cost.row for name, cost in found.items()}
    if extras.tasks:
        students = {system.name: bench.trained(ADAPTERS.get(system.name)) for system in systems}
        rows["harness"] = harness(students, extras.tasks, progress)
    return rows | {"detector": asdict(exam())}, [
        drop for cost in found.values() for drop in cost.dropped
    ]


def _official(bench: Bench, compared: Ladder, extras: Extras) -> Official:
    """What the systems make of the user's situations."""
    rows = [
        *bench.read(EXAMPLES),
        *bench.read(PAIRS),
    ]
    situations, leaked = without_leaks(
        extras.situations, rows, bench.settings.curate.near_duplicate
    )
    systems = [system for system in compared.systems if not system.probes_only]
    official = Official(situations, systems, bench.settings.evaluate, dropped=leaked)
    official.score(bench.progress)
    if not bench.settings.evaluate.judged:
        return official
    panel = Panel(
        teacher=bench.engine,
        grounding=Grounding(bench.engine, bench.progress),
        engines=bench.judges,
        prompts=bench.prompts,
        progress=bench.progress,
    )
    questions = {situation.id: situation.question for situation in situations}
    found = compared.retrieved.passages(questions)
    passages = {name: "\n\n".join(one.text for one in own) for name, own in found.items()}
    official.judge(panel.judges(), passages, bench.progress)
    return official
