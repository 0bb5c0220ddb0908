"""What the teacher's likelihoods tell: scoring, not asking.

A small teacher cannot say which answer follows a text, or whether it does, but its
likelihood can (docs/method.md). The data are selected by it, and judges are made of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adhere.engines.base import Engine
from adhere.progress import Progress
from adhere.records import Score, ScoreRequest, record_id

K = TypeVar("K")


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


def score_request(prefix: str, prompt: str, answer: str, *, chat: bool) -> ScoreRequest:
    identity = record_id(prefix, prompt, answer, chat)
    return ScoreRequest(id=identity, prefix=prefix, prompt=prompt, answer=answer, chat=chat)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A prompt (`prefix` is what it shares with others) that is answered by `yes` or by `no`."""

    prefix: str
    prompt: str
    yes: str
    no: str
    chat: bool


def log_odds(
    engine: Engine, asked: Mapping[K, Closed], what: str, progress: Progress
) -> dict[K, float | None]:
    """log P(yes) - log P(no), in nats, under each one's key; None where scoring failed."""
    requests = {
        key: [
            score_request(one.prefix, one.prompt, word, chat=one.chat) for word in (one.yes, one.no)
        ]
        for key, one in asked.items()
    }
    both = [request for pair in requests.values() for request in pair]
    scores = score_all(engine, both, what, progress)
    found: dict[K, float | None] = {}
    for key, pair in requests.items():
        yes, no = (scores[request.id] for request in pair)
        failed = yes.error is not None or no.error is not None
        found[key] = None if failed else yes.logprob - no.logprob
    return found


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
    grounded = score_request(f"{item.passage}\n\n", prompt, answer, chat=False)
    return grounded, score_request("", prompt, answer, chat=False)
