"""Compare systems on held-out probes: metrics, examined judges, and what each clause shows."""

from collections.abc import Mapping, Sequence

from adhere.embedding import Embed
from adhere.engines.base import Engine
from adhere.errors import InputError
from adhere.evaluate.exam import ExamResult, exam_pairs, examine
from adhere.evaluate.judges import AskedJudge, Comparison, Judge, LikelihoodJudge
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
    embed: Embed,
    prompts: Prompts,
    settings: EvaluateSettings,
    progress: Progress,
) -> Evaluation:
    """Let every system answer the probes, and measure.

    `probes`: curated and held out. `exam`: held-out probes before curation, for the
    judges' exam. `training`: clause id -> (examples, pairs) trained on. `systems`: the
    ladder, base first and the fully aligned model last. A failed request becomes a
    Dropped; engines are left open. Raises InputError where there is nothing to
    compare, or where a probe's clause or passage is not among those given.
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
    judges: list[Judge] = [LikelihoodJudge(grounding), AskedJudge(teacher, prompts, progress)]
    pairs = exam_pairs(exam, sources, settings)
    exams = [examine(judge, pairs, settings.exam_floor) for judge in judges]
    names = tuple(system.name for system in systems)
    comparisons = _comparisons(matches(names), answers, probes, sources)
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
        verdicts=[
            verdict
            for judge, result in zip(judges, exams, strict=True)
            if result.admitted
            for verdict in _verdicts(judge, comparisons)
        ],
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


_Match = tuple[str, str]


def _comparisons(
    pairs: Sequence[_Match],
    answers: Sequence[Answer],
    probes: Sequence[Probe],
    sources: Mapping[str, str],
) -> list[tuple[_Match, Comparison]]:
    """Each pair of systems on each probe that both answered; those of one probe adjacent."""
    said = {(answer.system, answer.probe): answer.text for answer in answers}
    return [
        (
            (a, b),
            Comparison(
                probe=probe.id,
                passage=sources[probe.clause],
                question=probe.question,
                a=said[a, probe.id],
                b=said[b, probe.id],
            ),
        )
        for probe in probes
        for a, b in pairs
        if (a, probe.id) in said and (b, probe.id) in said
    ]


def _verdicts(judge: Judge, comparisons: Sequence[tuple[_Match, Comparison]]) -> list[Verdict]:
    judgements = judge.compare([comparison for _, comparison in comparisons])
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
        for ((a, b), comparison), said in zip(comparisons, judgements, strict=True)
    ]
