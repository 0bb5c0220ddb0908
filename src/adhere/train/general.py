"""General instructions mixed into SFT, so that the student stays what it was elsewhere.

Without a file of the user's, the student answers prompts of our own writing before it
is trained: rows in its own voice pull it back to itself and teach it nothing new.
"""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from adhere.engines.base import Engine
from adhere.files import read_lines
from adhere.progress import Progress
from adhere.records import Instruction, Message, Request, Sampling, record_id
from adhere.settings import SFTSettings
from adhere.train.rows import Row, answer_row

_SAMPLING = Sampling(max_tokens=160)


def read_general(path: Path) -> list[Instruction]:
    """One {"question", "answer"} a line; raises InputError as `read_lines` does."""
    return read_lines(path, Instruction)


def own_answers(student: Engine, progress: Progress) -> list[Instruction]:
    """The student's greedy answers to our prompts; those that it did not finish are left out."""
    text = files("adhere.train").joinpath("general.txt").read_text(encoding="utf-8")
    prompts = {record_id(line): line for line in text.splitlines()}
    requests = [
        Request(id=key, prompt=(Message(role="user", content=line),), sampling=_SAMPLING)
        for key, line in prompts.items()
    ]
    replies = progress.track(student.complete(requests), "sft: its own answers", len(requests))
    whole = {
        reply.id: reply.text.strip()
        for reply in replies
        if reply.error is None and reply.finish == "stop" and reply.text.strip()
    }
    return [
        Instruction(question=line, answer=whole[key])
        for key, line in prompts.items()
        if key in whole
    ]


def general_wanted(examples: int, settings: SFTSettings) -> int:
    """How many rows make up the wanted share beside the examples."""
    return round(examples * settings.general_share / (1 - settings.general_share))


def general_rows(
    general: Sequence[Instruction], examples: int, settings: SFTSettings
) -> list[tuple[str, Row]]:
    """As many as make up the wanted share beside the examples, or all there are; drawn by seed."""
    drawn = sorted(general, key=lambda one: record_id(settings.seed, one.question))
    return [
        (record_id("general", one.question), answer_row(one.question, completion=one.answer))
        for one in drawn[: general_wanted(examples, settings)]
    ]
