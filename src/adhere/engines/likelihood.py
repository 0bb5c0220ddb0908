"""Likelihoods in batches: what the engines that see every token's probability share.

Prefix, prompt and answer are tokenised apart, so that the answer's first token is
exactly where the answer begins and the prefix is the same tokens in every request.
Write the white space that joins two parts where the tokeniser wants it: at the
beginning of the later part (`"Answer:"` and `" Yes"`, not `"Answer: "` and `"Yes"`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
from numpy.typing import NDArray

from adhere.records import Score, ScoreRequest

GROUP = 256
"""Requests with one prefix that are tokenised and sorted by length together."""

Tokens = list[int]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """What scoring needs to know of a model's tokeniser."""

    encode: Callable[[str, bool], Tokens]
    """Text -> tokens; the flag asks for what the model wants before a plain text (BOS)."""
    turn: Callable[[], tuple[str, str]]
    """What the chat template writes before and after the user's words."""
    start: int
    """Stands before an answer that nothing precedes."""
    context: int
    """Most tokens of prefix, prompt and answer together."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer to score: `context` (at least one token) follows the group's shared tokens."""

    id: str
    context: Tokens
    answer: Tokens

    def __len__(self) -> int:
        return len(self.context) + len(self.answer) - 1

    @property
    def read(self) -> Tokens:
        """What the model reads: the answer's last token is only predicted."""
        return (self.context + self.answer)[:-1]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that follow the same `shared` tokens, and the requests that cannot be scored."""

    shared: Tokens
    rows: list[Row]
    refused: list[Score]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right.

    `ids` is texts x longest; `lengths` the real tokens of each text. Rows that read the
    same ("Yes" and "No" after one question) are one text. `places` are indices into the
    flattened `ids` whose next token is one of an answer, row after row, and `labels` are
    those answers' tokens.
    """

    rows: list[Row]
    ids: Integers
    lengths: Integers
    places: Integers
    labels: Integers


def groups(requests: Iterable[ScoreRequest], codec: Codec) -> Iterator[Group]:
    """Tokenise adjacent requests of one prefix together, lazily, at most GROUP at a time."""
    for (prefix, chat), same in groupby(
        requests, key=lambda request: (request.prefix, request.chat)
    ):
        before, after = codec.turn() if chat else ("", "")
        head = codec.encode(before + prefix, not chat)
        while some := list(islice(same, GROUP)):
            yield _group(some, head, after, codec)


def _group(requests: Sequence[ScoreRequest], head: Tokens, after: str, codec: Codec) -> Group:
    shared, last = head[:-1], head[-1:]
    rows: list[Row] = []
    refused: list[Score] = []
    for request in requests:
        context = last + codec.encode(request.prompt + after, False)
        row = Row(request.id, context or [codec.start], codec.encode(request.answer, False))
        if problem := _problem(row, len(shared), codec.context):
            refused.append(Score(id=request.id, error=problem, refused=True))
        else:
            rows.append(row)
    if len(rows) == 1:
        rows, shared = [Row(rows[0].id, shared + rows[0].context, rows[0].answer)], []
    return Group(shared, rows, refused)


def _problem(row: Row, shared: int, context: int) -> str | None:
    if not row.answer:
        return "the answer is empty"
    if (total := shared + len(row)) >= context:
        return f"{total} tokens do not fit the model's context of {context}"
    return None


def batches(rows: Iterable[Row], tokens: int) -> Iterator[Batch]:
    """Batches of similar length, at most `tokens` each with their padding (or one text)."""
    batch: list[list[Row]] = []
    ordered = sorted(rows, key=lambda row: (len(row), row.read))
    for read, same in groupby(ordered, key=lambda row: row.read):
        if batch and (len(batch) + 1) * len(read) > tokens:
            yield _padded(batch)
            batch = []
        batch.append(list(same))
    if batch:
        yield _padded(batch)


def _padded(texts: list[list[Row]]) -> Batch:
    width = max(len(same[0]) for same in texts)
    ids = np.zeros((len(texts), width), np.int64)
    places: list[Integers] = []
    for number, same in enumerate(texts):
        ids[number, : len(same[0])] = same[0].read
        for row in same:
            first = number * width + len(row.context) - 1
            places.append(np.arange(first, first + len(row.answer)))
    rows = [row for same in texts for row in same]
    return Batch(
        rows=rows,
        ids=ids,
        lengths=np.array([len(same[0]) for same in texts]),
        places=np.concatenate(places),
        labels=np.array([token for row in rows for token in row.answer]),
    )


def scores(batch: Batch, logprobs: NDArray[np.float32]) -> Iterator[Score]:
    """Sum the log-probabilities at `places` row by row."""
    ends = np.cumsum([len(row.answer) for row in batch.rows])
    for row, values in zip(batch.rows, np.split(logprobs, ends[:-1]), strict=True):
        yield Score(id=row.id, logprob=float(values.sum()), tokens=len(row.answer))
