"""Rows as TRL reads them, and which of them can be learned whole."""

from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from adhere.errors import InputError
from adhere.processes import from_first
from adhere.records import Dropped
from adhere.store import content_key, fresh_folder

Row = dict[str, Any]
"""A conversation: `prompt`, and `completion` or `chosen` and `rejected`, lists of messages."""

_ANSWERS = ("completion", "chosen", "rejected")


def answer_row(question: str, **answers: str) -> Row:
    replies = {name: [{"role": "assistant", "content": text}] for name, text in answers.items()}
    return {"prompt": [{"role": "user", "content": question}], **replies}


def dataset(rows: list[Row], folder: Path) -> Any:
    """The rows as a `datasets.Dataset` in a folder of all processes; None when there are none.

    Beside its files TRL keeps the reference's log-likelihoods; for rows in memory, each
    process would look for them in a place of its own. A resumed training finds them there.
    """
    from datasets import load_from_disk

    if not rows:
        return None
    from_first(partial(_write, rows, folder))
    return load_from_disk(folder)


def _write(rows: list[Row], folder: Path) -> None:
    from datasets import Dataset

    if not folder.exists():
        with fresh_folder(folder) as fresh:
            Dataset.from_list(rows).save_to_disk(fresh)


def fit(
    stage: str, rows: list[tuple[str, Row]], tokenizer: Any, max_length: int
) -> tuple[list[Row], list[Dropped]]:
    """The rows that can be learned whole, shortest first, each with its `length` in tokens.

    TRL would cut a row that is too long, the end of its answer first, without a word.
    """
    kept: list[Row] = []
    dropped: list[Dropped] = []
    for record, row in rows:
        length, learned = _lengths(tokenizer, row)
        if length > max_length:
            reason, detail = "too long", f"{length} tokens, and max_length is {max_length}"
        elif not learned:
            reason, detail = "empty answer mask", "the chat template leaves nothing to learn"
        else:
            kept.append({**row, "length": length})
            continue
        dropped.append(Dropped(record_id=record, stage=stage, reason=reason, detail=detail))
    return sorted(kept, key=lambda row: row["length"]), dropped


def longest_of(*parts: list[Row]) -> int:
    """Tokens of the longest row."""
    return max(row["length"] for rows in parts for row in rows)


def hold_back(rows: list[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """The rows but for a tenth (at least one), and that tenth; drawn by seed, orders kept.

    Raises InputError where there are too few.
    """
    if len(rows) < 2:
        raise InputError("early_stopping holds back a tenth of the rows, and there is only one.")
    count = max(1, len(rows) // 10)
    back = set(sorted(content_key(seed, row) for row in rows)[:count])
    parts: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        parts[content_key(seed, row) in back].append(row)
    return parts


def answer_length(tokenizer: Any, pairs: list[Row]) -> float:
    """Tokens of a chosen answer, on average."""
    lengths: list[int] = []
    for row in pairs:
        prompt = _tokens(tokenizer, row["prompt"], add_generation_prompt=True)
        whole = _tokens(tokenizer, row["prompt"] + row["chosen"])
        lengths.append(len(whole) - _shared(prompt, whole))
    return sum(lengths) / len(lengths)


def _lengths(tokenizer: Any, row: Row) -> tuple[int, int]:
    """Tokens of the prompt with its longest answer, and those learned of the shortest one."""
    prompt = _tokens(tokenizer, row["prompt"], add_generation_prompt=True)
    wholes = [_tokens(tokenizer, row["prompt"] + row[name]) for name in _ANSWERS if name in row]
    learned = [len(whole) - _shared(prompt, whole) for whole in wholes]
    return max(len(whole) for whole in wholes), min(learned)


def _tokens(tokenizer: Any, messages: list[dict[str, str]], **options: bool) -> list[int]:
    return tokenizer.apply_chat_template(messages, return_dict=True, **options)["input_ids"]


def _shared(prompt: list[int], whole: list[int]) -> int:
    """How far the two go together; as in TRL, the answer begins where they part."""
    pairs = zip(prompt, whole, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
