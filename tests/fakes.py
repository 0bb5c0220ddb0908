"""Stand-ins that tests share."""

import re
from collections.abc import Callable
from pathlib import Path

from adhere.progress import NoProgress
from adhere.records import Clause, Completion, Origin, Passage, Probe, Request, Score, ScoreRequest
from adhere.store import Manifest, content_key, read_manifest, write_manifest

ORIGIN = Origin(parents=(), prompt="test@0", model="test")


class Notes(NoProgress):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def finish(run: Path, stage: str, made: str, *after: str, **facts: object) -> None:
    """Write the manifest of a stage that made `made` of what the stages `after` left."""
    (run / stage).mkdir(parents=True, exist_ok=True)
    inputs = {name: _key(run / name) for name in after}
    manifest = Manifest(
        stage=stage,
        key="",
        settings={},
        inputs=inputs,
        outputs={"rows.jsonl": made},
        counts={},
        dropped={},
        versions={},
        seconds=1.0,
        facts=dict(facts),
    )
    write_manifest(run / stage, manifest)


def _key(folder: Path) -> str:
    manifest = read_manifest(folder)
    assert manifest is not None
    return content_key(manifest.outputs)


def text_of(request: Request) -> str:
    prompt = request.prompt
    return prompt if isinstance(prompt, str) else prompt[-1].content


class FakeEngine:
    """Replies by a function (None fails); finds words likelier that its context holds.

    Answers in reverse order, so that only a join by id comes out right.
    """

    def __init__(self, name: str, reply: Callable[[str], str | None] = lambda text: "") -> None:
        self.name = name
        self.reply = reply
        self.asked: list[Request] = []
        self.scored: list[ScoreRequest] = []
        self.favourites: set[str] = set()
        self.unscorable = "unscorable"

    def check(self) -> None:
        pass

    def complete(self, requests):
        requests = list(requests)
        self.asked += requests
        for request in reversed(requests):
            reply = self.reply(text_of(request))
            error = "out of paper" if reply is None else None
            yield Completion(id=request.id, text=reply or "", error=error)

    def score(self, requests):
        requests = list(requests)
        self.scored += requests
        for request in reversed(requests):
            known = set(_words(request.prefix + request.prompt)) | self.favourites
            words = _words(request.answer)
            if self.unscorable in words:
                yield Score(id=request.id, error="no logits")
            else:
                logprob = sum(-0.5 if word in known else -3.0 for word in words)
                yield Score(id=request.id, logprob=logprob, tokens=len(words))

    def close(self) -> None:
        pass


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def passage(name: str, text: str) -> Passage:
    return Passage(id=name, document="doc", text=text, start=0, end=len(text))


def clause(name: str, of: str) -> Clause:
    return Clause(
        id=name,
        document="doc",
        passage=of,
        statement=f"{name} is valued",
        polarity="required",
        stance="explicit",
        start=0,
        end=5,
        origin=ORIGIN,
    )


def probe(name: str, of: str, question: str, reference: str, contrast: str | None = None) -> Probe:
    return Probe(
        id=name,
        clause=of,
        kind="situation",
        question=question,
        reference=reference,
        contrast=contrast,
        origin=ORIGIN,
    )
