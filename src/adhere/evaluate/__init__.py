"""Compare systems on held-out probes: metrics, examined judges, and what each clause shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adhere.embedding import Embed
from adhere.engines.base import Engine
from adhere.errors import InputError
from adhere.evaluate.exam import ExamResult, exam_pairs
from adhere.evaluate.judges import comparisons
from adhere.evaluate.matches import Panel, examined, matches
from adhere.evaluate.metrics import METRICS
from adhere.evaluate.summary import Evaluation
from adhere.evaluate.systems import System, in_turn
from adhere.evaluate.transcript import Transcript
from adhere.grounding import Grounding
from adhere.progress import Progress
from adhere.prompts import Prompts
from adhere.records import Answer, Clause, Passage, Probe, Verdict
from adhere.settings import EvaluateSettings

__all__ = [
    "METRICS",
    "Evaluation",
    "ExamResult",
    "Material",
    "System",
    "evaluate",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the systems are measured on, and what they were trained on."""

    probes: Sequence[Probe]
    """Curated and held out."""
    exam: Sequence[Probe]
    """Held-out probes before curation, for the judges' exam."""
    clauses: Sequence[Clause]
    passages: Sequence[Passage]
    training: Mapping[str, tuple[int, int]]
    """Clause id -> (examples, pairs) trained on."""
    languages: Mapping[str, str]
    """Clause id -> the language of its document."""

    def sources(self) -> dict[str, str]:
        """Clause id -> text of its passage; InputError where a probe's clause has none."""
        text = {passage.id: passage.text for passage in self.passages}
        passage = {clause.id: clause.passage for clause in self.clauses}
        for probe in (*self.probes, *self.exam):
            if passage.get(probe.clause) not in text:
                raise InputError(
                    f"probe {probe.id}: its clause {probe.clause}, or that clause's passage, is "
                    "not among those of this run; run the stages again from `clauses` on."
                )
        return {clause: text[place] for clause, place in passage.items() if place in text}

    def statements(self) -> dict[str, str]:
        """Clause id -> what exactly is valued."""
        return {clause.id: clause.statement for clause in self.clauses}


def evaluate(
    material: Material,
    systems: Sequence[System],
    *,
    teacher: Engine,
    judges: Sequence[Engine] = (),
    embed: Embed,
    prompts: Prompts,
    settings: EvaluateSettings,
    progress: Progress,
) -> Evaluation:
    """Let every system answer the probes, and measure.

    `systems`: the ladder, base first. `judges`: the engines that judge; the teacher where none
    is given, and only then. Other engines are closed when they are done. A failed request becomes
    a Dropped. InputError where nothing can be compared, or a probe's clause or passage is missing.
    """
    probes = material.probes
    if not probes or not systems:
        raise InputError(
            "There are no held-out probes to evaluate on; raise generate.probes or loosen curate."
        )
    sources = material.sources()
    said = Transcript()
    for system in in_turn(systems, kept=(teacher, *judges)):
        said.ask(system, probes, material.languages, settings, progress)
    said.measure(probes, embed)
    names = tuple(system.name for system in systems)
    exams: list[ExamResult] = []
    verdicts: list[Verdict] = []
    if settings.judged:
        panel = Panel(
            teacher=teacher,
            grounding=Grounding(teacher, progress),
            engines=judges,
            prompts=prompts,
            progress=progress,
        )
        said.ground(probes, sources, panel.grounding)
        exams, verdicts = _judged(material, names, said.answers, panel, settings)
    return Evaluation(
        systems=names,
        notes=said.notes,
        probes=tuple(probes),
        clauses=tuple(material.clauses),
        training=material.training,
        languages=material.languages,
        settings=settings,
        answers=said.answers,
        scores=said.scores(),
        verdicts=verdicts,
        judges=exams,
        dropped=said.dropped,
    )


def _judged(
    material: Material,
    names: Sequence[str],
    answers: Sequence[Answer],
    panel: Panel,
    settings: EvaluateSettings,
) -> tuple[list[ExamResult], list[Verdict]]:
    """The judges' exams, and what those that pass say of the systems' answers."""
    sources, statements = material.sources(), material.statements()
    generic, drawn = panel.prompts.render("judge_generic").splitlines(), settings.exam_pairs
    pairs = exam_pairs(material.exam, sources, statements, generic, count=drawn, seed=settings.seed)
    compared = comparisons(matches(names), answers, material.probes, sources, statements)
    return examined(panel.judges(), pairs, lambda: compared, settings.exam_floor)
