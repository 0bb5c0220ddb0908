"""The ladder: the systems that are compared, and their answers to the probes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adhere.engines.base import Engine
from adhere.progress import Progress
from adhere.records import Answer, Dropped, Message, Probe, Request, Sampling
from adhere.settings import EvaluateSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One rung: an engine, and whether it reads retrieved passages before the question."""

    name: str
    engine: Engine
    retrieve: bool = False


def matches(names: Sequence[str]) -> list[tuple[str, str]]:
    """Which systems are compared: the last of the ladder with every other, and sft with base."""
    *others, last = names
    pairs = [(last, other) for other in others]
    if "sft" in others and "base" in others:
        pairs.append(("sft", "base"))
    return pairs


def answer_probes(
    system: System,
    probes: Sequence[Probe],
    contexts: Mapping[str, str],
    settings: EvaluateSettings,
    progress: Progress,
) -> tuple[list[Answer], list[Dropped]]:
    """The system's greedy answer to each probe, in the order of the probes.

    `contexts`: probe id -> text put before the question (none where it is missing).
    A request that failed becomes a Dropped instead of an Answer.
    """
    sampling = Sampling(max_tokens=settings.max_tokens, seed=settings.seed)
    requests = [
        Request(
            id=probe.id,
            prompt=(Message(role="user", content=contexts.get(probe.id, "") + probe.question),),
            sampling=sampling,
        )
        for probe in probes
    ]
    replies = progress.track(
        system.engine.complete(requests), f"{system.name}: answers", len(requests)
    )
    completions = {completion.id: completion for completion in replies}
    answers: list[Answer] = []
    dropped: list[Dropped] = []
    for probe in probes:
        reply = completions[probe.id]
        if reply.error is None:
            text = reply.text.strip()
            answers.append(
                Answer(system=system.name, probe=probe.id, text=text, finish=reply.finish)
            )
        else:
            detail = f"{system.name}: {reply.error}"
            dropped.append(
                Dropped(record_id=probe.id, stage="evaluate", reason="no answer", detail=detail)
            )
    return answers, dropped
