"""How likely each system finds the references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adhere.evaluate.systems import System
from adhere.grounding import score_all, score_request
from adhere.progress import Progress
from adhere.records import Dropped, Probe, ScoreRequest
from adhere.text import first_word


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceLikelihood:
    """Mean log-likelihoods a token, in nats; None where there is no contrast or no score."""

    reference: float | None
    contrast: float | None
    first_word: float | None = None
    """By how many nats the yes or no that the reference begins with is likelier than the other."""


def reference_likelihoods(
    system: System,
    probes: Sequence[Probe],
    contexts: Mapping[str, str],
    languages: Mapping[str, str],
    progress: Progress,
) -> tuple[dict[str, ReferenceLikelihood], list[Dropped]]:
    """How likely each probe's reference and contrast are in the system's own chat template.

    And, where the reference begins with yes or no, that word and the other one.
    `contexts` as in `answer_probes`, `languages`: clause id -> the language of its yes and no.
    Returns probe id -> likelihoods.
    """
    wanted: dict[tuple[str, str], ScoreRequest] = {}
    for probe in probes:
        said, other = first_word(probe.reference, languages[probe.clause]) or (None, None)
        texts = {
            "reference": probe.reference,
            "contrast": probe.contrast,
            "its first word": said,
            "the other word": other,
        }
        for seat, text in texts.items():
            if text is not None:
                context = contexts.get(probe.id, "")
                wanted[probe.id, seat] = score_request(context, probe.question, text, chat=True)
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
            first_word=_less(
                means.get((probe.id, "its first word")), means.get((probe.id, "the other word"))
            ),
        )
        for probe in probes
    }
    return likelihoods, dropped


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
