"""Compare systems on held-out probes: metrics, examined judges, and what each clause shows."""

from collections.abc import Mapping, Sequence

from adhere.embedding import Embed
from adhere.engines.base import Engine
from adhere.errors import InputError
from adhere.evaluate.exam import ExamResult, exam_pairs, sit
from adhere.evaluate.judges import Comparison, Judge, Match, comparisons, judges_of
from adhere.evaluate.likelihood import reference_likelihoods
from adhere.evaluate.metrics import (
    LOWER_IS_BETTER,
    METRICS,
    ProbeScore,
    answer_values,
    likelihood_values,
)
from adhere.evaluate.retrieval import retrieve
from adhere.evaluate.summary import Evaluation
from adhere.evaluate.systems import System, answer_probes, matches
from adhere.grounding import Grounding
from adhere.progress import Progress
from adhere.prompts import Prompts
from adhere.records import Answer, Clause, Dropped, Passage, Probe, Verdict
from adhere.settings import EvaluateSettings

__all__ = [
    "LOWER_IS_BETTER",
    "METRICS",
    "Evaluation",
    "ExamResult",
    "ProbeScore",
    "System",
    "evaluate",
]


def evaluate(
    *,
    probes: Sequence[Probe],
    exam: Sequence[Probe],
    clauses: Sequence[Clause],
    passages: Sequence[Passage],
    training: Mapping[str, tuple[int, int]],
    systems: Sequence[System],
    teacher: Engine,
    judges: Sequence[Engine] = (),
    embed: Embed,
    prompts: Prompts,
    settings: EvaluateSettings,
    progress: Progress,
) -> Evaluation:
    """Let every system answer the probes, and measure.

    `probes`: curated and held out. `exam`: held-out probes before curation, for the
    judges' exam. `training`: clause id -> (examples, pairs) trained on. `systems`: the
    ladder, base first and the fully aligned model last. `judges`: the engines that
    judge; the teacher where none is given, and only then. A failed request becomes a
    Dropped; engines are left open, but for those of other judges. Raises InputError
    where there is nothing to compare, or where a probe's clause or passage is not among
    those given.
    """
    if not probes or not systems:
        raise InputError(
            "There are no held-out probes to evaluate on; raise generate.probes or loosen curate."
        )
    sources = _sources([*probes, *exam], clauses, passages)
    contexts = _contexts(probes, passages, embed, prompts, settings)
    answers, values, dropped = _ask(systems, probes, contexts, settings, progress)
    grounding = Grounding(teacher, progress)
    probe_of = {probe.id: probe for probe in probes}
    measured, unscored = answer_values(answers, probe_of, sources, embed, grounding)
    for answer, found in zip(answers, measured, strict=True):
        values[answer.system, answer.probe] |= found
    names = tuple(system.name for system in systems)
    statements = {clause.id: clause.statement for clause in clauses}
    pairs = exam_pairs(
        exam,
        sources,
        statements,
        prompts.render("judge_generic").splitlines(),
        count=settings.exam_pairs,
        seed=settings.seed,
    )
    found = comparisons(matches(names), answers, probes, sources, statements)
    exams: list[ExamResult] = []
    verdicts: list[Verdict] = []
    for engine in judges or [teacher]:
        own = engine is teacher
        panel = judges_of(
            engine,
            grounding if own else Grounding(engine, progress),
            prompts,
            progress,
            "" if own else engine.name,
        )
        for judge in panel:
            exams.append(sit(judge, pairs, settings.exam_floor))
            verdicts += _verdicts(judge, found) if exams[-1].admitted else []
        if not own:
            engine.close()
    return Evaluation(
        systems=names,
        probes=tuple(probes),
        clauses=tuple(clauses),
        training=training,
        settings=settings,
        answers=answers,
        scores=[
            ProbeScore(system=system, probe=probe, values=found)
            for (system, probe), found in values.items()
        ],
        verdicts=verdicts,
        judges=exams,
        dropped=dropped + unscored,
    )


def _sources(
    probes: Sequence[Probe], clauses: Sequence[Clause], passages: Sequence[Passage]
) -> dict[str, str]:
    """Clause id -> text of its passage, for the clauses that the probes name."""
    text = {passage.id: passage.text for passage in passages}
    passage = {clause.id: clause.passage for clause in clauses}
    for probe in probes:
        if passage.get(probe.clause) not in text:
            raise InputError(
                f"probe {probe.id}: its clause {probe.clause}, or that clause's passage, is not "
                "among those of this run; run the stages again from `clauses` on."
            )
    return {clause: text[place] for clause, place in passage.items() if place in text}


def _contexts(
    probes: Sequence[Probe],
    passages: Sequence[Passage],
    embed: Embed,
    prompts: Prompts,
    settings: EvaluateSettings,
) -> dict[str, str]:
    """Probe id -> what a retrieving system reads before the question."""
    found = retrieve([probe.question for probe in probes], passages, embed, settings.retrieved)
    contexts: dict[str, str] = {}
    for probe, nearest in zip(probes, found, strict=True):
        text = prompts.render("retrieved", passages=[passage.text for passage in nearest])
        contexts[probe.id] = text.rstrip() + "\n\n"
    return contexts


def _ask(
    systems: Sequence[System],
    probes: Sequence[Probe],
    contexts: Mapping[str, str],
    settings: EvaluateSettings,
    progress: Progress,
) -> tuple[list[Answer], dict[tuple[str, str], dict[str, float]], list[Dropped]]:
    """Ask the systems: answers, (system, probe) -> likelihood metrics, and what failed."""
    answers: list[Answer] = []
    values: dict[tuple[str, str], dict[str, float]] = {}
    dropped: list[Dropped] = []
    for system in systems:
        read = contexts if system.retrieve else {}
        said, unanswered = answer_probes(system, probes, read, settings, progress)
        likelihoods, unscored = reference_likelihoods(system, probes, read, progress)
        for probe_id, likelihood in likelihoods.items():
            values[system.name, probe_id] = likelihood_values(likelihood)
        answers += said
        dropped += unanswered + unscored
    return answers, values, dropped


def _verdicts(judge: Judge, found: Sequence[tuple[Match, Comparison]]) -> list[Verdict]:
    judgements = judge.compare([comparison for _, comparison in found])
    return [
        Verdict(
            probe=comparison.probe,
            a=a,
            b=b,
            judge=judge.name,
            winner=said.winner,
            margin=said.margin,
            flipped=said.flipped,
            unreadable=said.unreadable,
        )
        for ((a, b), comparison), said in zip(found, judgements, strict=True)
    ]
