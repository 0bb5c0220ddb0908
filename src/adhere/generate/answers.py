"""questions -> answers, greedy, from the text that they rest on, cut after whole sentences."""

from collections.abc import Mapping
from dataclasses import dataclass

from adhere.errors import SettingsError
from adhere.generate.questions import Question
from adhere.generate.replies import drop, failed, runs, said
from adhere.records import Completion, Dropped, Request, Sampling
from adhere.settings import GenerateSettings
from adhere.teacher import Teacher
from adhere.text import detect_language, sentence_spans

_TOKENS_A_SENTENCE = 24
"""What follows the last whole sentence within the limit is cut, so a long answer loses little."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer is written from, and the word that it begins with (none where empty)."""

    text: str
    start: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that ended, and the request that brought it."""

    text: str
    request: Request


def answer(
    bases: Mapping[Question, Basis], teacher: Teacher, settings: GenerateSettings, what: str
) -> tuple[dict[Question, Reply], list[Dropped]]:
    """The answer to each question on its basis."""
    sampling = Sampling(max_tokens=_TOKENS_A_SENTENCE * settings.max_sentences, stop=("\n",))
    requests = {
        question: teacher.prompts.request(
            "answer", sampling, text=basis.text, question=question.text, start=_opening(basis)
        )
        for question, basis in bases.items()
    }
    _check_openings(requests, bases)
    replies = teacher.ask(requests, what)
    examples = runs(teacher.prompts.bare("answer"))
    found: dict[Question, Reply] = {}
    dropped: list[Dropped] = []
    for question, request in requests.items():
        clause, reply = question.situation.clause, replies[question]
        begun = bases[question].start if teacher.prompts.style == "continue" else ""
        text = whole_sentences(reply, settings.max_sentences, begun)
        if runs(text) & examples - runs(bases[question].text):
            dropped.append(drop(clause, "echo of a worked example", text))
        elif text:
            found[question] = Reply(text, request)
        elif said(reply):
            dropped.append(drop(clause, "unfinished answer", reply.text.strip()))
        else:
            dropped.append(failed(clause, "no answer", reply))
    return found, dropped


def _check_openings(requests: Mapping[Question, Request], bases: Mapping[Question, Basis]) -> None:
    """A user's own prompt may have forgotten the word that the answer is to begin with."""
    for question, request in requests.items():
        opening = _opening(bases[question])
        if isinstance(request.prompt, str) and not request.prompt.endswith(opening):
            raise SettingsError(
                'answer.md: the prompt must end with {{ " " + start if start }}, the word that the '
                f"answer is to begin with ({opening!r} here)."
            )


def _opening(basis: Basis) -> str:
    return f"{basis.start}," if basis.start else ""


def whole_sentences(reply: Completion, most: int, begun: str = "") -> str:
    """The first `most` sentences of a reply, up to one that repeats another or was cut off.

    `begun` is the word that the prompt ended with, which the reply goes on from.
    """
    if not said(reply):
        return ""
    text = f"{begun}, {said(reply).lstrip(', ')}" if begun else said(reply)
    spans = sentence_spans(text, detect_language(text))
    if reply.finish == "length":
        spans = spans[:-1]
    told: dict[str, int] = {}
    for start, end in spans[:most]:
        if text[start:end] in told:
            break
        told[text[start:end]] = end
    return text[: max(told.values())] if told else ""
