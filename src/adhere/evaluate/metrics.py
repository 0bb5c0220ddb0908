"""What is measured of each system on each probe."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from adhere.embedding import Embed
from adhere.evaluate.likelihood import ReferenceLikelihood
from adhere.grounding import Grounded, Grounding
from adhere.records import Answer, Dropped, Probe
from adhere.text import words

METRICS = (
    "reference_nll",
    "preference_accuracy",
    "preference_margin",
    "yes_no_accuracy",
    "rouge_l",
    "embedding_similarity",
    "grounding_gain",
    "length",
)
RATES = frozenset({"preference_accuracy", "yes_no_accuracy"})
"""Metrics whose values lie in [0, 1] and are counts of successes."""


def provenance(embedder: str, teacher: str) -> dict[str, dict[str, str]]:
    """Metric -> the library that computes it, its version, and the model where there is one.

    Of the probes, and of the costs and the judges' agreement after them.
    """
    own = {"library": "adhere", "version": version("adhere")}
    likelihood = own | {"model": "each system's own"}
    embeddings = "sentence-transformers"
    return {
        "reference_nll": likelihood,
        "preference_accuracy": likelihood,
        "preference_margin": likelihood,
        "yes_no_accuracy": likelihood,
        "rouge_l": {"library": "rouge-score", "version": version("rouge-score")},
        "embedding_similarity": {
            "library": embeddings,
            "version": version(embeddings),
            "model": embedder,
        },
        "grounding_gain": own | {"model": teacher},
        "length": own,
        "refused": own,
        "wrong_yes": own,
        "nll": likelihood,
        "perplexity": likelihood,
        "alpha": {"library": "nltk", "version": version("nltk")},
        "bertscore": {"absent": "no library computes it rightly with today's transformers"},
    }


class _Words:
    """`words` in the shape that rouge-score asks of a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


def rouge_l(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """ROUGE-L F1 of each (answer, reference); 0 for an empty answer."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer: Any = RougeScorer(["rougeL"], tokenizer=_Words())
    return [
        float(scorer.score(reference, answer)["rougeL"].fmeasure) for answer, reference in pairs
    ]


def embedding_similarity(pairs: Sequence[tuple[str, str]], embed: Embed) -> list[float]:
    """Cosine of each (answer, reference); 0 for an empty answer. Each text is embedded once."""
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    if not texts:
        return []
    place = {text: row for row, text in enumerate(texts)}
    vectors = embed(texts)
    return [
        float(vectors[place[answer]] @ vectors[place[reference]]) if answer.strip() else 0.0
        for answer, reference in pairs
    ]


def likelihood_values(likelihood: ReferenceLikelihood) -> dict[str, float]:
    """`reference_nll`, the preference and the first word, as far as they are known."""
    values: dict[str, float] = {}
    if likelihood.reference is not None:
        values["reference_nll"] = -likelihood.reference
        if likelihood.contrast is not None:
            margin = likelihood.reference - likelihood.contrast
            values["preference_accuracy"] = _won(margin)
            values["preference_margin"] = margin
    if likelihood.yes_no_margin is not None:
        values["yes_no_accuracy"] = _won(likelihood.yes_no_margin)
        values["yes_no_margin"] = likelihood.yes_no_margin
    return values


def _won(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)


def answer_values(
    answers: Sequence[Answer], probes: Mapping[str, Probe], embed: Embed
) -> list[dict[str, float]]:
    """What is measured of the answers themselves, in their order. `probes`: id -> probe."""
    texts = [(answer.text, probes[answer.probe].reference) for answer in answers]
    return [
        {
            "rouge_l": rouge,
            "embedding_similarity": similarity,
            "length": float(len(words(answer.text))),
        }
        for answer, rouge, similarity in zip(
            answers, rouge_l(texts), embedding_similarity(texts, embed), strict=True
        )
    ]


def grounding_values(
    answers: Sequence[Answer],
    probes: Mapping[str, Probe],
    sources: Mapping[str, str],
    grounding: Grounding,
) -> tuple[list[dict[str, float]], list[Dropped]]:
    """How far the passage makes each answer likelier to the teacher, in their order.

    An answer without a word has no gain, and is nobody's failure.

    `probes`: id -> probe. `sources`: clause id -> text of the clause's passage.
    """
    asked = [probes[answer.probe] for answer in answers]
    gains = grounding.gains(
        [
            Grounded(sources[probe.clause], probe.question, answer.text)
            for answer, probe in zip(answers, asked, strict=True)
        ],
        "teacher: grounding of the answers",
    )
    values: list[dict[str, float]] = []
    dropped: list[Dropped] = []
    for answer, gain in zip(answers, gains, strict=True):
        mute = not answer.text.strip()
        values.append({} if gain is None or mute else {"grounding_gain": gain})
        if gain is None:
            detail = f"{answer.system}: the teacher could not score the answer"
            dropped.append(
                Dropped(record_id=answer.probe, stage="evaluate", reason="no score", detail=detail)
            )
    return values, dropped
