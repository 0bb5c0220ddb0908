"""generated rows -> the rows worth keeping; every drop is written down with its reason.

Cheap checks come first (what a row says about itself, then its twins among the others),
and the teacher's likelihood last. Held-out probes take precedence: a training row that
is a near twin of a probe goes, not the probe.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from datasketch import MinHash, MinHashLSH

from adhere.embedding import Embed, FloatArray
from adhere.faults import Known, fault, known
from adhere.grounding import Grounded, Grounding
from adhere.records import Clause, Document, Dropped, Example, Passage, PreferencePair, Probe
from adhere.settings import CurateSettings
from adhere.text import text_size
from adhere.twins import Shingles, jaccard, shingles

Row = Example | PreferencePair | Probe
R = TypeVar("R", Example, PreferencePair, Probe)

_PERMUTATIONS = 128
_STEEPEST = 0.9
"""The highest threshold that the index is set to; exact comparison sees to what lies above."""
_MISS_LITTLE = (0.02, 0.98)
"""Weights of what the index invents and of what it misses; it then finds 99 % at 0.7."""


@dataclass(frozen=True, slots=True)
class Curated:
    examples: list[Example] = field(default_factory=list[Example])
    pairs: list[PreferencePair] = field(default_factory=list[PreferencePair])
    probes: list[Probe] = field(default_factory=list[Probe])
    dropped: list[Dropped] = field(default_factory=list[Dropped])


def curate(
    examples: Sequence[Example],
    pairs: Sequence[PreferencePair],
    probes: Sequence[Probe],
    clauses: Sequence[Clause],
    documents: Sequence[Document],
    passages: Sequence[Passage],
    grounding: Grounding,
    embed: Embed,
    prompts: Iterable[str],
    settings: CurateSettings,
) -> Curated:
    """The kept rows, in their order.

    `grounding` scores answers by the teacher's likelihood, `embed` compares questions by
    their meaning. `prompts` are those that the rows were asked with, whose worked
    examples must not come back in them.
    """
    allowed = known((document.text for document in documents), prompts)
    dropped: list[Dropped] = []
    probes = _without_faults(probes, allowed, dropped)
    pairs = _without_faults(pairs, allowed, dropped)
    examples = _without_faults(examples, allowed, dropped)
    twins = _Twins(_meanings([*probes, *pairs, *examples], embed, settings), settings)
    probes = twins.first_of(probes, dropped)
    pairs = twins.first_of(pairs, dropped)
    examples = twins.first_of(examples, dropped)
    text_of = _passage_texts(clauses, passages)
    gains = _gains([*examples, *pairs, *probes], text_of, grounding)
    kept = Curated(dropped=dropped)
    for example in examples:
        if _grounded(example, gains[example.id][0], settings, dropped):
            kept.examples.append(example)
    for pair in pairs:
        chosen, rejected = gains[pair.id]
        if _grounded(pair, chosen, settings, dropped) and _apart(
            pair, chosen, rejected, settings, dropped
        ):
            kept.pairs.append(pair)
    for probe in probes:
        reference, contrast = gains[probe.id]
        if _grounded(probe, reference, settings, dropped):
            apart = probe.contrast is None or _apart(probe, reference, contrast, settings, dropped)
            kept.probes.append(probe if apart else replace(probe, contrast=None))
    return kept


def answers_of(row: Row) -> tuple[str, str | None]:
    """The faithful answer of a row, and its unfaithful one where it has one."""
    if isinstance(row, Example):
        return row.answer, None
    if isinstance(row, PreferencePair):
        return row.chosen, row.rejected
    return row.reference, row.contrast


def _without_faults(rows: Iterable[R], known: Known, dropped: list[Dropped]) -> list[R]:
    """Rows without a fault; a probe whose contrast has one goes on without the contrast."""
    kept: list[R] = []
    for row in rows:
        good, bad = answers_of(row)
        reason = fault(row.question, good, known)
        wrong = fault(row.question, bad, known) if bad and not reason else None
        if wrong and isinstance(row, Probe):
            dropped.append(_drop(row, f"contrast left out: {wrong}", f"{row.question} - {bad}"))
            kept.append(replace(row, contrast=None))
        elif reason or wrong:
            dropped.append(_drop(row, reason or wrong or ""))
        else:
            kept.append(row)
    return kept


class _Twins:
    """Near-duplicates: rows of one kind among themselves, and every kind with the probes.

    Twins in words are those of `_Questions`, twins in meaning those of `_Meanings`.
    """

    def __init__(self, vectors: Mapping[str, FloatArray], settings: CurateSettings) -> None:
        self._vectors = vectors
        self._settings = settings
        self._probes = self._none_yet()

    def first_of(self, rows: Iterable[R], dropped: list[Dropped]) -> list[R]:
        own = self._none_yet()
        kept: list[R] = []
        for row in rows:
            is_probe = isinstance(row, Probe)
            if not is_probe and _twin(row, self._probes, "twin of a probe", dropped):
                continue
            if _twin(row, own, "duplicate", dropped):
                continue
            for seen in (*own.values(), *(self._probes.values() if is_probe else ())):
                seen.add(row)
            kept.append(row)
        return kept

    def _none_yet(self) -> dict[str, "_Questions | _Meanings"]:
        return {
            "near": _Questions(self._settings.near_duplicate),
            "semantic": _Meanings(self._settings.semantic_duplicate, self._vectors),
        }


def _twin(
    row: Row, seen: Mapping[str, "_Questions | _Meanings"], of: str, dropped: list[Dropped]
) -> bool:
    """Whether the row's question was seen; it is then dropped, with the twin's id."""
    for sort, questions in seen.items():
        if twin := questions.twin(row):
            dropped.append(_drop(row, f"{sort} {of}", f"{twin}: {row.question}"))
            return True
    return False


class _Meanings:
    """Questions by the cosine of their sentence embeddings."""

    def __init__(self, threshold: float, vectors: Mapping[str, FloatArray]) -> None:
        self._threshold = threshold
        self._vectors = vectors
        self._ids: list[str] = []
        self._seen = np.empty((len(vectors), max(map(len, vectors.values()), default=0)))

    def twin(self, row: Row) -> str | None:
        """The id of the question nearest in meaning, at or over the threshold."""
        if not self._ids:
            return None
        similarity = self._seen[: len(self._ids)] @ self._vectors[row.id]
        nearest = int(similarity.argmax())
        return self._ids[nearest] if similarity[nearest] >= self._threshold else None

    def add(self, row: Row) -> None:
        if row.id in self._vectors:
            self._seen[len(self._ids)] = self._vectors[row.id]
            self._ids.append(row.id)


def _meanings(rows: Sequence[Row], embed: Embed, settings: CurateSettings) -> dict[str, FloatArray]:
    """Row id -> the embedding of its question; none when the settings ask for none."""
    if settings.semantic_duplicate >= 1 or not rows:
        return {}
    vectors = embed([row.question for row in rows])
    return {row.id: vector for row, vector in zip(rows, vectors, strict=True)}


class _Questions:
    """Questions by Jaccard similarity of character 5-grams.

    MinHash (Broder 1997; datasketch) only proposes: at its threshold it misses and
    invents about as much as it finds, so it is set to miss little, and what it finds
    is compared exactly.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._index = MinHashLSH(
            threshold=min(threshold, _STEEPEST), num_perm=_PERMUTATIONS, weights=_MISS_LITTLE
        )
        self._shingles: dict[str, Shingles] = {}

    def twin(self, row: Row) -> str | None:
        """The id of the most similar question at or over the threshold."""
        own = shingles(row.question)
        similar = [
            (jaccard(own, self._shingles[other]), other)
            for other in map(str, self._index.query(_signature(own)))
        ]
        similarity, other = max(similar, default=(0.0, ""))
        return other if similarity >= self._threshold else None

    def add(self, row: Row) -> None:
        own = shingles(row.question)
        self._index.insert(row.id, _signature(own))
        self._shingles[row.id] = own


def _signature(of: Shingles) -> MinHash:
    signature = MinHash(num_perm=_PERMUTATIONS)
    signature.update_batch(list(of))
    return signature


def _passage_texts(clauses: Iterable[Clause], passages: Iterable[Passage]) -> dict[str, str]:
    text = {passage.id: passage.text for passage in passages}
    return {clause.id: text[clause.passage] for clause in clauses}


def _gains(
    rows: Sequence[Row], text_of: Mapping[str, str], grounding: Grounding
) -> dict[str, tuple[float | None, float | None]]:
    """Row id -> grounding gain of the faithful answer, and of the other where that decides."""
    wanted = [
        (row.id, Grounded(text_of[row.clause], row.question, text))
        for row in rows
        for text in answers_of(row)[: 1 if _turned(row) else 2]
        if text is not None
    ]
    found = grounding.gains([item for _, item in wanted], "grounding of answers")
    gains: dict[str, list[float | None]] = {row.id: [] for row in rows}
    for (row_id, _), gain in zip(wanted, found, strict=True):
        gains[row_id].append(gain)
    return {row_id: (both[0], both[1] if len(both) > 1 else None) for row_id, both in gains.items()}


def _grounded(
    row: Row, gain: float | None, settings: CurateSettings, dropped: list[Dropped]
) -> bool:
    if gain is None:
        dropped.append(_drop(row, "could not be scored"))
        return False
    if gain <= settings.min_grounding:
        detail = f"gain {gain:.2f}: {row.question} {answers_of(row)[0]}"
        dropped.append(_drop(row, "answer not grounded", detail))
        return False
    return True


def _turned(row: Row) -> bool:
    """Whether generation has shown that the clause decides between the two answers."""
    return not isinstance(row, Example) and row.turn is not None


def _apart(
    row: PreferencePair | Probe,
    good: float | None,
    bad: float | None,
    settings: CurateSettings,
    dropped: list[Dropped],
) -> bool:
    """Whether the two answers differ in the value, and not by length alone.

    A question that turns on its clause has shown it already (`adhere.generate.stance`): of 36
    such rows that the margin would have dropped, some 26 were good when read.
    """
    faithful, unfaithful = answers_of(row)
    reason = None if _turned(row) else _indistinct(good, bad, settings)
    if reason is None and _length_ratio(faithful, unfaithful or "") > settings.max_length_ratio:
        reason = "answers of unlike length"
    if reason is None:
        return True
    if isinstance(row, Probe):
        reason = f"contrast left out: {reason}"
    dropped.append(_drop(row, reason, f"{row.question} + {faithful} - {unfaithful}"))
    return False


def _indistinct(good: float | None, bad: float | None, settings: CurateSettings) -> str | None:
    if good is None or bad is None:
        return "could not be scored"
    return "answers not told apart" if good - bad < settings.min_margin else None


def _length_ratio(one: str, other: str) -> float:
    sizes = sorted((text_size(one), text_size(other)))
    return sizes[1] / max(sizes[0], 1)


def _drop(row: Row, reason: str, detail: str | None = None) -> Dropped:
    text = detail if detail is not None else f"{row.question} {answers_of(row)[0]}"
    return Dropped(record_id=row.id, stage="curate", reason=reason, detail=text)
