"""What likelihoods say: of references under each system, of answers under the teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adhere.engines.base import Engine
from adhere.evaluate.systems import System
from adhere.progress import Progress
from adhere.records import Dropped, Probe, Score, ScoreRequest, record_id


def score_all(
    engine: Engine, requests: Sequence[ScoreRequest], what: str, progress: Progress
) -> dict[str, Score]:
    """Scores by request id; a request that occurs twice is sent once.

    Requests of one prefix go adjacent, so that the engine computes it once.
    """
    unique = sorted({request.id: request for request in requests}.values(), key=_by_prefix)
    scores = progress.track(engine.score(unique), what, len(unique))
    return {score.id: score for score in scores}


def _by_prefix(request: ScoreRequest) -> str:
    return request.prefix


def _request(prefix: str, prompt: str, answer: str, *, chat: bool) -> ScoreRequest:
    identity = record_id(prefix, prompt, answer, chat)
    return ScoreRequest(id=identity, prefix=prefix, prompt=prompt, answer=answer, chat=chat)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceLikelihood:
    """Mean log-likelihoods a token, in nats; None where there is no contrast or no score."""

    reference: float | None
    contrast: float | None


def reference_likelihoods(
    system: System, probes: Sequence[Probe], contexts: Mapping[str, str], progress: Progress
) -> tuple[dict[str, ReferenceLikelihood], list[Dropped]]:
    """How likely each probe's reference and contrast are in the system's own chat template.

    `contexts` as in `answer_probes`. Returns probe id -> likelihoods.
    """
    wanted: dict[tuple[str, str], ScoreRequest] = {}
    for probe in probes:
        for seat, text in (("reference", probe.reference), ("contrast", probe.contrast)):
            if text is not None:
                context = contexts.get(probe.id, "")
                wanted[probe.id, seat] = _request(context, probe.question, text, chat=True)
    scores = score_all(system.engine, list(wanted.values()), f"{system.name}: references", progress)
    means: dict[tuple[str, str], float] = {}
    dropped: list[Dropped] = []
    for (probe_id, seat), request in wanted.items():
        score = scores[request.id]
        if score.error is None:
            means[probe_id, seat] = score.mean
        else:
            detail = f"{system.name}, {seat}: {score.error}"
            dropped.append(
                Dropped(record_id=probe_id, stage="evaluate", reason="no score", detail=detail)
            )
    likelihoods = {
        probe.id: ReferenceLikelihood(
            reference=means.get((probe.id, "reference")),
            contrast=means.get((probe.id, "contrast")),
        )
        for probe in probes
    }
    return likelihoods, dropped


@dataclass(frozen=True, slots=True)
class Grounded:
    """An answer together with the passage that it should rest on."""

    passage: str
    question: str
    answer: str


class Grounding:
    """Grounding gain: how much the passage raises the teacher's likelihood of an answer.

    gain = mean log P(answer | passage, question) - mean log P(answer | question), in
    nats a token. It carried the signal where asking a small teacher did not
    (docs/method.md). It also rewards copying the passage: read it beside the others.
    """

    def __init__(self, teacher: Engine, progress: Progress) -> None:
        self._teacher = teacher
        self._progress = progress
        self._known: dict[Grounded, float | None] = {}

    def gains(self, items: Sequence[Grounded], what: str) -> list[float | None]:
        """The gain of each item, in order: 0 for an empty answer, None where scoring failed.

        What was scored once is not scored again.
        """
        new = [item for item in dict.fromkeys(items) if item not in self._known]
        self._known.update({item: 0.0 for item in new if not item.answer.strip()})
        self._score([item for item in new if item.answer.strip()], what)
        return [self._known[item] for item in items]

    def _score(self, items: Sequence[Grounded], what: str) -> None:
        both = {item: _with_and_without(item) for item in items}
        requests = [request for pair in both.values() for request in pair]
        scores = score_all(self._teacher, requests, what, self._progress)
        for item, (grounded, alone) in both.items():
            with_passage, without = scores[grounded.id], scores[alone.id]
            failed = with_passage.error is not None or without.error is not None
            self._known[item] = None if failed else with_passage.mean - without.mean


def _with_and_without(item: Grounded) -> tuple[ScoreRequest, ScoreRequest]:
    prompt, answer = f"Question: {item.question}\nAnswer:", f" {item.answer}"
    grounded = _request(f"{item.passage}\n\n", prompt, answer, chat=False)
    return grounded, _request("", prompt, answer, chat=False)
