"""How likely each system finds the references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adhere.evaluate.reading import NOTHING, Reading
from adhere.evaluate.systems import System
from adhere.grounding import score_all, score_request
from adhere.progress import Progress
from adhere.records import Dropped, Probe, Score, ScoreRequest
from adhere.text import first_word

_SEATS = ("reference", "contrast", "its first word", "the other word")
"""What is scored of a probe: its texts, and the yes or no that its reference begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceLikelihood:
    """Mean log-likelihoods a token, in nats; None where there is no contrast or no score."""

    reference: float | None
    contrast: float | None
    yes_no_margin: float | None = None
    """By how many nats the yes or no that the reference begins with is likelier than the other."""


def reference_likelihoods(
    system: System,
    probes: Sequence[Probe],
    readings: Mapping[str, Reading],
    languages: Mapping[str, str],
    progress: Progress,
) -> tuple[dict[str, ReferenceLikelihood], list[Dropped]]:
    """How likely each probe's reference and contrast are in the system's own chat template.

    And, where the reference begins with yes or no, that word and the other one.
    `readings` as in `replies`, `languages`: clause id -> the language of its yes and no.
    Returns probe id -> likelihoods.
    """
    wanted: dict[tuple[str, str], ScoreRequest] = {}
    for probe in probes:
        words = first_word(probe.reference, languages[probe.clause]) or (None, None)
        texts = (probe.reference, probe.contrast, *words)
        for seat, text in zip(_SEATS, texts, strict=True):
            if text is not None:
                context = readings.get(probe.id, NOTHING).text
                wanted[probe.id, seat] = score_request(context, probe.question, text, chat=True)
    scores = score_all(system.engine, list(wanted.values()), f"{system.name}: references", progress)
    found: dict[tuple[str, str], Score] = {}
    dropped: list[Dropped] = []
    for (probe_id, seat), request in wanted.items():
        score = scores[request.id]
        if score.error is None:
            found[probe_id, seat] = score
        else:
            detail = f"{system.name}, {seat}: {score.error}"
            dropped.append(
                Dropped(record_id=probe_id, stage="evaluate", reason="no score", detail=detail)
            )
    likelihoods = {
        probe.id: _likelihood(*(found.get((probe.id, seat)) for seat in _SEATS)) for probe in probes
    }
    return likelihoods, dropped


def _likelihood(
    reference: Score | None, contrast: Score | None, own: Score | None, other: Score | None
) -> ReferenceLikelihood:
    # The words are wholes, of unlike numbers of tokens in some languages: no mean a token.
    return ReferenceLikelihood(
        reference=reference.mean if reference else None,
        contrast=contrast.mean if contrast else None,
        yes_no_margin=own.logprob - other.logprob if own and other else None,
    )
