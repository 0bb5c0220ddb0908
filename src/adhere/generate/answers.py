"""questions -> answers, greedy, from the text that they rest on, cut after whole sentences."""

from collections.abc import Mapping
from dataclasses import dataclass

from adhere.errors import SettingsError
from adhere.generate.questions import Question
from adhere.generate.replies import drop, failed, runs, said
from adhere.generate.stance import opening
from adhere.records import Completion, Dropped, Origin, Request, Sampling
from adhere.settings import GenerateSettings
from adhere.teacher import Teacher
from adhere.text import detect_language, sentence_spans, words, yes_no

_TOKENS_A_SENTENCE = 24
"""What follows the last whole sentence within the limit is cut, so a long answer loses little."""
_LEAST_NEW = 0.25
"""Share of its words that the first sentence of an open question's answer must not have from
the question. Read by eye on 59 answers, docs/data-quality.md."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer is written from, and how."""

    text: str
    language: str
    start: str = ""
    """What it begins with (`No,`); nothing where empty."""
    prompt: str = "answer"
    draft: str = ""
    """An answer that is to be written again,"""
    fault: str = ""
    """and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that ended, and where it comes from."""

    text: str
    origin: Origin


def answer(
    bases: Mapping[Question, Basis], teacher: Teacher, settings: GenerateSettings, what: str
) -> tuple[dict[Question, Reply], list[Dropped]]:
    """The answer to each question on its basis."""
    requests = {
        question: teacher.prompts.request(
            basis.prompt,
            Sampling(max_tokens=most_tokens(settings), stop=("\n",)),
            basis.language,
            text=basis.text,
            question=question.text,
            start=basis.start,
            draft=basis.draft,
            fault=basis.fault,
        )
        for question, basis in bases.items()
    }
    _check_openings(requests, bases)
    replies = teacher.ask(requests, what)
    examples = {
        (prompt, language): runs(teacher.prompts.bare(prompt, language))
        for prompt, language in {(basis.prompt, basis.language) for basis in bases.values()}
    }
    found: dict[Question, Reply] = {}
    dropped: list[Dropped] = []
    for question, basis in bases.items():
        clause, reply = question.situation.clause, replies[question]
        begun = basis.start if teacher.prompts.style == "continue" else ""
        text = whole_sentences(reply, settings.max_sentences, begun)
        if runs(text) & examples[basis.prompt, basis.language] - runs(basis.text):
            dropped.append(drop(clause, "echo of a worked example", text))
        elif text and (problem := _open_fault(question, text, basis.language)):
            dropped.append(drop(clause, problem, f"{question.text} {text}"))
        elif text:
            origin = teacher.origin(
                basis.prompt,
                requests[question],
                clause.id,
                question.request.id,
                language=basis.language,
            )
            found[question] = Reply(text, origin)
        elif said(reply):
            dropped.append(drop(clause, "unfinished answer", reply.text.strip()))
        else:
            dropped.append(failed(clause, "no answer", reply))
    return found, dropped


def _open_fault(question: Question, text: str, language: str) -> str:
    """What is wrong with the answer to an open question; empty for nothing.

    Answered by yes or no it was a closed one, and nothing has told which of the two the clause
    says ("Can my neighbour be subjected to torture?" - "Yes, they deserved it.").
    """
    if question.situation.closed:
        return ""
    if any(text.startswith(opening(word, language)) for word in yes_no(language)):
        return "yes or no to an open question"
    return "answer in a circle" if in_a_circle(question.text, text) else ""


def most_tokens(settings: GenerateSettings) -> int:
    """Enough for the longest answer that is kept."""
    return _TOKENS_A_SENTENCE * settings.max_sentences


def in_a_circle(question: str, text: str) -> bool:
    """Whether an answer only gives the question back ("Why must we X?" - "Because we must X").

    Its first sentence is looked at: what a small teacher adds after a circle is beside the point.
    """
    start, end = sentence_spans(text, detect_language(text))[0]
    first = set(words(text[start:end]))
    return len(first - set(words(question))) < _LEAST_NEW * len(first) or "?" in text[start:end]


def _check_openings(requests: Mapping[Question, Request], bases: Mapping[Question, Basis]) -> None:
    """A user's own prompt may have forgotten the word that the answer is to begin with."""
    for question, request in requests.items():
        opening = bases[question].start
        if isinstance(request.prompt, str) and not request.prompt.endswith(opening):
            raise SettingsError(
                f"{bases[question].prompt}.md: the prompt must end with "
                '{{ " " + start if start }}, the word that the '
                f"answer is to begin with ({opening!r} here)."
            )


def _joined(begun: str, rest: str) -> str:
    """With a space between, but after a comma that has its own (Chinese, Japanese)."""
    space = "" if begun.endswith(("，", "、")) else " "
    return begun + space + rest.lstrip(",،，、 ")


def whole_sentences(reply: Completion, most: int, begun: str = "") -> str:
    """The first `most` sentences of a reply, up to one that repeats another or was cut off.

    `begun` is what the prompt ended with, which the reply goes on from.
    """
    if not said(reply):
        return ""
    text = _joined(begun, said(reply)) if begun else said(reply)
    spans = sentence_spans(text, detect_language(text))
    if reply.finish == "length":
        spans = spans[:-1]
    told: dict[str, int] = {}
    for start, end in spans[:most]:
        if text[start:end] in told:
            break
        told[text[start:end]] = end
    return text[: max(told.values())] if told else ""
