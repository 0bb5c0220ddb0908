"""What the systems said to the probes, and how likely they found the references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adhere.embedding import Embed
from adhere.errors import NoLikelihoodError
from adhere.evaluate.likelihood import reference_likelihoods
from adhere.evaluate.metrics import answer_values, grounding_values, likelihood_values
from adhere.evaluate.systems import System, answers
from adhere.grounding import Grounding
from adhere.progress import Progress
from adhere.records import Answer, Dropped, Probe, ProbeScore
from adhere.settings import EvaluateSettings


@dataclass(slots=True)
class Transcript:
    """Answers and their metrics, system by system, and what failed."""

    answers: list[Answer] = field(default_factory=list[Answer])
    values: dict[tuple[str, str], dict[str, float]] = field(
        default_factory=dict[tuple[str, str], dict[str, float]]
    )
    """(system, probe) -> metric -> value."""
    dropped: list[Dropped] = field(default_factory=list[Dropped])
    notes: dict[str, str] = field(default_factory=dict[str, str])
    """System -> what must be known to take its numbers rightly."""

    def ask(
        self,
        system: System,
        probes: Sequence[Probe],
        languages: Mapping[str, str],
        settings: EvaluateSettings,
        progress: Progress,
    ) -> None:
        """Let the system answer, and score the references where its engine can.

        `languages` as in `reference_likelihoods`.
        """
        questions = {probe.id: probe.question for probe in probes}
        readings = system.read(questions)
        said, unanswered = answers(system, questions, readings, settings, progress)
        self.answers += said
        self.dropped += unanswered
        notes = [system.note]
        try:
            likelihoods, unscored = reference_likelihoods(
                system, probes, readings, languages, progress
            )
        except NoLikelihoodError as error:
            notes.append(f"No likelihoods: {error}")
        else:
            for probe, likelihood in likelihoods.items():
                self._add(system.name, probe, likelihood_values(likelihood))
            self.dropped += unscored
        self.notes[system.name] = " ".join(filter(None, notes))

    def measure(self, probes: Sequence[Probe], embed: Embed) -> None:
        """Measure the answers."""
        self._add_all(answer_values(self.answers, {probe.id: probe for probe in probes}, embed))

    def ground(
        self, probes: Sequence[Probe], sources: Mapping[str, str], grounding: Grounding
    ) -> None:
        """Let the teacher score the answers; `sources`: clause id -> text of its passage."""
        probe_of = {probe.id: probe for probe in probes}
        measured, unscored = grounding_values(self.answers, probe_of, sources, grounding)
        self._add_all(measured)
        self.dropped += unscored

    def scores(self) -> list[ProbeScore]:
        return [
            ProbeScore(system=system, probe=probe, values=values)
            for (system, probe), values in self.values.items()
        ]

    def _add_all(self, measured: Sequence[Mapping[str, float]]) -> None:
        for answer, values in zip(self.answers, measured, strict=True):
            self._add(answer.system, answer.probe, values)

    def _add(self, system: str, probe: str, values: Mapping[str, float]) -> None:
        self.values.setdefault((system, probe), {}).update(values)
