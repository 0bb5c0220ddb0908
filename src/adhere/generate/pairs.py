"""questions -> the two answers of each, by strategy.

    counterfactual  both from one prompt: the clause, and the clause turned round
    instructed      the second by a teacher told to answer against the clause (Padhi et al. 2024)
    revised         the second is the student's own answer, the first what the teacher makes of
                    it after a critique (in the manner of Bai et al. 2022, arXiv 2212.08073)
    onpolicy        both are the student's own: of several samples, the one that the passage
                    grounds best and the one that it grounds least

Of the first two the answers begin with the two sides of a question that turned on its
clause, so they are told apart already; of the others `curate` has to tell.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from adhere.engines.base import Engine
from adhere.generate.answers import Basis, Reply, answer, most_tokens, whole_sentences
from adhere.generate.questions import Question, Source
from adhere.generate.replies import drop, failed, said, same
from adhere.generate.stance import opening
from adhere.grounding import Grounded, Grounding
from adhere.records import Dropped, Message, Origin, Request, Sampling, record_id
from adhere.settings import GenerateSettings, Strategy
from adhere.teacher import Teacher, ask

TOLD_APART: frozenset[Strategy] = frozenset({"counterfactual", "instructed"})
"""The strategies whose answers take sides by the word that they begin with."""


@dataclass(frozen=True, slots=True)
class Writers:
    """Who answers, and from what."""

    teacher: Teacher
    student: Engine
    source: Source
    settings: GenerateSettings


@dataclass(frozen=True, slots=True)
class Answers:
    """The faithful and the unfaithful answer of each question that has them."""

    faithful: dict[Question, Reply]
    unfaithful: dict[Question, Reply]
    dropped: list[Dropped]

    def __add__(self, other: "Answers") -> "Answers":
        return Answers(
            self.faithful | other.faithful,
            self.unfaithful | other.unfaithful,
            self.dropped + other.dropped,
        )


def two_answers(questions: Sequence[Question], writers: Writers) -> Answers:
    """Answer every question; those of pairs and probes a second time, unfaithfully."""
    by: dict[Strategy, list[Question]] = {"counterfactual": [], "revised": [], "onpolicy": []}
    for question in questions:
        strategy = question.situation.strategy
        by["counterfactual" if strategy in TOLD_APART else strategy].append(question)
    written = _written(by["counterfactual"], writers)
    return written + _revised(by["revised"], writers) + _ranked(by["onpolicy"], writers)


def _written(questions: Sequence[Question], writers: Writers) -> Answers:
    """The teacher's answers from the clause, and from its contrary."""
    source, teacher, settings = writers.source, writers.teacher, writers.settings
    faithful, unanswered = answer(
        {question: _faithful(question, source) for question in questions},
        teacher,
        settings,
        "answers",
    )
    contrary = {
        question: _contrary(question, text, source)
        for question in faithful
        if question.situation.use != "example" and (text := source.contrary(question.situation))
    }
    unfaithful, uncontrasted = answer(contrary, teacher, settings, "contrary answers")
    lost = [question for question in contrary if question not in unfaithful]
    dropped = [
        without_contrast(one) if question.situation.use == "probe" else one
        for question, one in zip(lost, uncontrasted, strict=True)
    ]
    return Answers(faithful, unfaithful, unanswered + dropped)


def without_contrast(dropped: Dropped) -> Dropped:
    """A probe goes on without its second answer, so its question is not lost."""
    return replace(dropped, reason=f"contrast left out: {dropped.reason}")


def _faithful(question: Question, source: Source) -> Basis:
    """What the faithful answer rests on.

    The whole passage for an example's open question, as in the paper. The clause alone
    for all else: the stance was found with it, and a counterfactual twin has no more.
    """
    clause, stance = question.situation.clause, question.stance
    language = source.language(clause)
    if question.situation.use == "example" and not stance:
        return Basis(source.body(clause), language)
    return Basis(clause.statement, language, opening(stance.word, language) if stance else "")


def _contrary(question: Question, text: str, source: Source) -> Basis:
    """What the unfaithful answer rests on: `text`, the clause's contrary."""
    clause, stance = question.situation.clause, question.stance
    language = source.language(clause)
    start = opening(stance.contrary, language) if stance else ""
    if question.situation.strategy == "instructed":
        return Basis(clause.statement, language, start, prompt="against")
    return Basis(text, language, start)


def _revised(questions: Sequence[Question], writers: Writers) -> Answers:
    """The student's answer, criticised, and written again by the teacher."""
    own, unanswered = _own_answers(questions, writers, samples=1, temperature=0)
    drafts = {question: replies[0] for question, replies in own.items()}
    faults, faultless = _faults(drafts, writers)
    revisions = {
        question: replace(
            _faithful(question, writers.source),
            prompt="revise",
            draft=drafts[question].text,
            fault=fault,
        )
        for question, fault in faults.items()
    }
    faithful, unrevised = answer(revisions, writers.teacher, writers.settings, "revisions")
    return Answers(
        faithful,
        {question: drafts[question] for question in faithful},
        [*unanswered, *faultless, *unrevised],
    )


def _faults(
    drafts: Mapping[Question, Reply], writers: Writers
) -> tuple[dict[Question, str], list[Dropped]]:
    """What the clause holds against each answer; one without a fault makes no pair."""
    requests = {
        question: writers.teacher.prompts.request(
            "critique",
            Sampling(max_tokens=48, stop=("\n",)),
            writers.source.language(question.situation.clause),
            text=question.situation.clause.statement,
            question=question.text,
            draft=draft.text,
        )
        for question, draft in drafts.items()
    }
    replies = writers.teacher.ask(requests, "critiques")
    faults: dict[Question, str] = {}
    dropped: list[Dropped] = []
    for question, reply in replies.items():
        clause, text = question.situation.clause, said(reply)
        if not text:
            dropped.append(failed(clause, "no critique", reply))
        elif same(text, "nothing"):
            detail = f"{question.text} {drafts[question].text}"
            dropped.append(drop(clause, "the student's answer has no fault", detail))
        else:
            faults[question] = text
    return faults, dropped


def _ranked(questions: Sequence[Question], writers: Writers) -> Answers:
    """The best and the worst grounded of the student's samples."""
    own, dropped = _own_answers(
        questions, writers, samples=writers.settings.samples, temperature=1.0
    )
    items = [
        (question, reply, Grounded(_passage(question, writers.source), question.text, reply.text))
        for question, replies in own.items()
        for reply in replies
    ]
    grounding = Grounding(writers.teacher.engine, writers.teacher.progress)
    gains = grounding.gains([item for _, _, item in items], "grounding of samples")
    ranked: dict[Question, list[tuple[float, Reply]]] = {question: [] for question in own}
    for (question, reply, _), gain in zip(items, gains, strict=True):
        if gain is not None:
            ranked[question].append((gain, reply))
    found = Answers({}, {}, dropped)
    for question, replies in ranked.items():
        replies.sort(key=_gain)
        if len(replies) < 2:
            detail = f"{question.text} ({len(replies)} different answers)"
            dropped.append(drop(question.situation.clause, "too few samples", detail))
        else:
            found.unfaithful[question], found.faithful[question] = replies[0][1], replies[-1][1]
    return found


def _gain(ranked: tuple[float, Reply]) -> float:
    return ranked[0]


def _passage(question: Question, source: Source) -> str:
    return source.passage_of[question.situation.clause.passage].text


def _own_answers(
    questions: Iterable[Question], writers: Writers, *, samples: int, temperature: float
) -> tuple[dict[Question, list[Reply]], list[Dropped]]:
    """What the student answers now, without the document: different answers, whole sentences."""
    settings = writers.settings
    requests = {
        (question, number): _chat(
            question.text,
            Sampling(
                max_tokens=most_tokens(settings),
                temperature=temperature,
                seed=question.situation.seed + number,
            ),
        )
        for question in questions
        for number in range(samples)
    }
    replies = ask(writers.student, requests, "the student's answers", writers.teacher.progress)
    found: dict[Question, list[Reply]] = {}
    dropped: list[Dropped] = []
    for (question, number), request in requests.items():
        clause, reply = question.situation.clause, replies[question, number]
        text = " ".join(whole_sentences(reply, settings.max_sentences).split())
        if not text:
            dropped.append(failed(clause, "no answer of the student's", reply))
        elif text not in [known.text for known in found.setdefault(question, [])]:
            origin = Origin(
                parents=(clause.id, question.request.id),
                prompt="the question alone",
                model=writers.student.name,
                temperature=temperature,
                seed=request.sampling.seed,
            )
            found[question].append(Reply(text, origin))
    return found, dropped


def _chat(question: str, sampling: Sampling) -> Request:
    prompt = (Message(role="user", content=question),)
    return Request(id=record_id(question, sampling), prompt=prompt, sampling=sampling)
