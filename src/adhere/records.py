"""What exists: the typed records that travel from one stage to the next.

Records are frozen, checked when they are built, and joined by id. An id is a
short hash of the record's content, so the same input gives the same id on every
machine. An impossible record cannot be built: `__post_init__` raises ValueError.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Literal, TypeVar

Polarity = Literal["required", "forbidden", "permitted", "aspired to"]
Stance = Literal["explicit", "implicit"]
Role = Literal["system", "user", "assistant"]
Winner = Literal["a", "b", "tie"]
RelationKind = Literal["contradiction", "duplicate", "refinement"]


def record_id(*parts: object) -> str:
    """The first 12 hex digits of a SHA-256 over `parts`, in their order."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = str(part).encode()
        digest.update(f"{len(encoded)}:".encode() + encoded)
    return digest.hexdigest()[:12]


def _refuse(condition: bool, message: str) -> None:
    if condition:
        raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a generated row comes from: enough to make it again."""

    parents: tuple[str, ...]
    """Ids of the records that it was made from (clause, passage, question)."""
    prompt: str
    """Name and hash of the prompt, `NAME@HASH`."""
    model: str
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One source file after reading: `text` is the normalised text that offsets refer to."""

    id: str
    name: str
    format: str
    sha256: str
    """Of the file's bytes."""
    text: str
    language: str = "en"
    notes: tuple[str, ...] = ()
    """What the reader had to do to read it, in words (recovered encoding, skipped parts)."""


def shared_path(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings that all of the paths begin with."""
    levels = takewhile(lambda titles: len(set(titles)) == 1, zip(*paths, strict=False))
    return tuple(titles[0] for titles in levels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stretch of one document: `document.text[start:end] == text`."""

    id: str
    document: str
    text: str
    start: int
    end: int
    headings: tuple[str, ...] = ()
    """That all of it stands under."""
    page: int | None = None
    sections: tuple[tuple[int, tuple[str, ...]], ...] = ()
    """Where it holds several: the start of each, in the passage, and all headings over it."""

    def __post_init__(self) -> None:
        _refuse(self.end - self.start != len(self.text), "passage: offsets and text disagree")
        _refuse(not self.text.strip(), "passage: no text")

    def path(self, start: int, end: int) -> tuple[str, ...]:
        """The headings over all of the document's `start:end`, which lies in the passage."""
        begun = sum(self.start + begin <= start for begin, _ in self.sections)
        touched = [path for begin, path in self.sections if self.start + begin < end]
        return shared_path(touched[max(begun - 1, 0) :]) if touched else self.headings

    @property
    def titles(self) -> set[str]:
        """All headings over any part of it."""
        return {title for _, path in self.sections for title in path} | set(self.headings)

    @property
    def body(self) -> str:
        """The text on one line and without its headings, as prompts want it."""
        lines, titles = self.text.split("\n"), self.titles
        return " ".join(line for line in lines if line.strip() and line not in titles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriting:
    """A passage told again from another angle; `midtrain` reads it beside the text."""

    id: str
    passage: str
    angle: str
    """One of `adhere.generate.ANGLES`."""
    text: str
    origin: Origin

    def __post_init__(self) -> None:
        _refuse(not self.text.strip(), "rewriting: no text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One thing that the document values; `start:end` is the span of the document that says it."""

    id: str
    document: str
    passage: str
    statement: str
    polarity: Polarity
    stance: Stance
    start: int
    end: int
    origin: Origin
    rationale: str = ""
    """The document's own words for why; these three are as `adhere.parts` found them."""
    exceptions: tuple[str, ...] = ()
    binds: str = ""
    """Whom it binds, or of a permission or an aim, whose it is."""

    def __post_init__(self) -> None:
        _refuse(not self.statement.strip(), "clause: empty statement")
        _refuse(self.end <= self.start, "clause: empty span")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """How two clauses stand to each other; of a refinement the second is the narrower."""

    id: str
    kind: RelationKind
    first: str
    second: str
    score: float
    """Cosine of the embeddings of the two acts (`adhere.duty.act`)."""
    winner: str | None = None
    """The one that stands where the other was set aside; None where both or neither stand."""

    def __post_init__(self) -> None:
        _refuse(self.first == self.second, "relation: a clause and itself")

    def other(self, clause: str) -> str | None:
        """The other side, or None for a clause that is neither."""
        return {self.first: self.second, self.second: self.first}.get(clause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A question and its grounded answer; trains SFT."""

    id: str
    clause: str
    kind: str
    """The kind of question: a name from `adhere.generate.KINDS`."""
    question: str
    answer: str
    origin: Origin

    def __post_init__(self) -> None:
        _refuse(not self.question.strip() or not self.answer.strip(), "example: empty text")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePair:
    """Two answers to one question that differ in the value; trains DPO."""

    id: str
    clause: str
    kind: str
    question: str
    chosen: str
    rejected: str
    origin: Origin
    strategy: str = "counterfactual"
    """How the two answers were come by (`adhere.generate.pairs`)."""
    turn: float | None = None
    """By how many nats turning the clause round turned the teacher's leaning between yes and no
    (`adhere.generate.stance`); None where that was not asked."""

    def __post_init__(self) -> None:
        _refuse(not self.question.strip(), "pair: empty question")
        _refuse(not self.chosen.strip() or not self.rejected.strip(), "pair: empty answer")
        _refuse(self.chosen.strip() == self.rejected.strip(), "pair: both answers are the same")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A held-out question with its reference answer; never trained on.

    `contrast` is the unfaithful answer to the same question, where there is one:
    reference and contrast together are a held-out preference pair.
    """

    id: str
    clause: str
    kind: str
    question: str
    reference: str
    origin: Origin
    contrast: str | None = None
    turn: float | None = None
    """As in `PreferencePair`."""

    def __post_init__(self) -> None:
        _refuse(not self.question.strip() or not self.reference.strip(), "probe: empty text")
        _refuse(self.contrast == self.reference, "probe: contrast and reference are the same")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """A general question, which has nothing to do with the documents, and a good answer."""

    question: str
    answer: str


ALIGNED = ("sft+dpo", "sft", "dpo")
"""Names of the systems that are an aligned student, the furthest trained first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one system answered to one probe."""

    system: str
    probe: str
    text: str
    finish: Literal["stop", "length"] = "stop"
    passages: tuple[str, ...] = ()
    """Ids of the passages that it read before the question, where some were chosen for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeScore:
    """What was measured of one system on one probe."""

    system: str
    probe: str
    values: dict[str, float]
    """Metric -> value; a metric that does not apply or could not be measured is missing.

    `reference_nll`: mean negative log-likelihood a token of the reference, nats.
    `preference_accuracy`: 1 if the reference is likelier a token than the contrast,
    0.5 for a tie, 0 if not; only of probes with a contrast.
    `preference_margin`: by how many nats a token the reference is likelier than the
    contrast; only of probes with a contrast.
    `yes_no_accuracy`: 1 if the word that the reference begins with is likelier than the
    other as the beginning of an answer, 0.5 for a tie, 0 if not; only where it is yes or no.
    `yes_no_margin`: by how many nats it is likelier; in no table of `summary.json`.
    `rouge_l`: ROUGE-L F1 of the answer against the reference (Lin 2004).
    `embedding_similarity`: cosine of answer and reference.
    `grounding_gain`: see `Grounding`, nats a token.
    `length`: words of the answer.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one judge said of two systems' answers to one probe. `margin` is a minus b."""

    probe: str
    a: str
    b: str
    judge: str
    winner: Winner
    margin: float = 0.0
    flipped: bool = False
    """The judge changed its mind when the order was swapped (counted as a tie)."""
    unreadable: bool = False
    """The judge gave no verdict that could be read: `winner` says nothing and is in no rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A record that did not go on, and why. Nothing disappears without one."""

    record_id: str
    stage: str
    reason: str
    """A short name to count by."""
    detail: str = ""
    """The text concerned, or what exactly was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    max_tokens: int = 256
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    """The completion ends before the first of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion asked of an engine: `prompt` is plain text to continue, or a chat."""

    id: str
    prompt: str | tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """The engine's answer to the request of the same id; a failure is a value in `error`."""

    id: str
    text: str = ""
    finish: Literal["stop", "length"] = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str | None = None
    refused: bool = False
    """The failure lies in the request, which would fail again: it is too long, for instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """How likely is `answer` after `prefix + prompt`?

    `prefix` is the part that many requests share (examples, a passage); engines
    compute it once for all adjacent requests that have the same one. With `chat`
    true, `prefix + prompt` is the user's turn and is wrapped in the model's chat
    template; else it is plain text and `answer` follows it directly.
    """

    id: str
    prompt: str
    answer: str
    prefix: str = ""
    chat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Natural-log likelihood of the answer, summed over its tokens."""

    id: str
    logprob: float = 0.0
    tokens: int = 0
    error: str | None = None
    refused: bool = False
    """As a completion's."""

    @property
    def mean(self) -> float:
        """Mean log-likelihood a token, in nats."""
        return self.logprob / max(self.tokens, 1)


Placed = TypeVar("Placed", Passage, Clause)


def distinct(records: Iterable[Placed]) -> list[Placed]:
    """Records of equal content told apart: the second of one id gets another, and so on.

    Ids hold what a record says and not where it stands, so that a sentence added
    above leaves those below as they were. The same words may stand twice.
    """
    found: list[Placed] = []
    seen: Counter[str] = Counter()
    for record in records:
        times = seen[record.id]
        seen[record.id] += 1
        found.append(replace(record, id=record_id(record.id, times)) if times else record)
    return found
