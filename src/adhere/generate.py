"""clauses -> examples, preference pairs and probes.

Each clause is met in several situations, drawn by a seeded sampler. The kinds of
situation that become probes are set aside per clause before anything is generated,
so that no reworded twin of a probe is trained on. A question is sampled for each
situation; answers are greedy. The two answers of a pair come from one prompt, once
with the clause and once with the clause turned round (a counterfactual clause): they
differ in the value, and not in length or style.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from random import Random
from typing import Literal

from adhere.embedding import Embed
from adhere.records import (
    Clause,
    Completion,
    Dropped,
    Example,
    Passage,
    PreferencePair,
    Probe,
    Request,
    Sampling,
    record_id,
)
from adhere.settings import GenerateSettings
from adhere.teacher import Teacher
from adhere.text import detect_language, sentence_spans

Use = Literal["example", "pair", "probe"]

KINDS = {
    "permission": "Someone asks what they may do",
    "rule": "Someone asks what the rule is",
    "witness": "Someone has seen something",
    "reason": "Someone asks for the reason",
    "pressure": "Someone is under pressure",
    "temptation": "Someone is tempted",
    "advice": "Someone gives advice",
}
"""Kind of situation -> how the prompt introduces the person who asks."""
_RUN = 7
_TOKENS_A_SENTENCE = 24
"""What follows the last whole sentence within the limit is cut, so a long answer loses little."""


@dataclass(frozen=True, slots=True)
class Situation:
    """One question to be asked about one clause, and what it is for."""

    clause: Clause
    kind: str
    use: Use
    seed: int


@dataclass(frozen=True, slots=True)
class Question:
    situation: Situation
    text: str
    request: Request


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that ended, and the request that brought it."""

    text: str
    request: Request


@dataclass(frozen=True, slots=True)
class Generated:
    examples: list[Example] = field(default_factory=list[Example])
    pairs: list[PreferencePair] = field(default_factory=list[PreferencePair])
    probes: list[Probe] = field(default_factory=list[Probe])
    dropped: list[Dropped] = field(default_factory=list[Dropped])


def plan(clauses: Iterable[Clause], settings: GenerateSettings) -> list[Situation]:
    """Which situations each clause is met in; probes keep kinds of situation to themselves."""
    situations: list[Situation] = []
    for clause in clauses:
        random = Random(f"{settings.seed}:{clause.id}")
        kinds = random.sample(list(KINDS), len(KINDS))
        held_out, trained = kinds[: settings.probes], kinds[settings.probes :]
        others = cycle(trained)
        drawn: list[tuple[Use, str]] = []
        drawn.extend(("probe", kind) for kind in held_out)
        drawn.extend(("pair", next(others)) for _ in range(settings.pairs))
        drawn.extend(("example", next(others)) for _ in range(settings.examples))
        situations += [Situation(clause, kind, use, random.randrange(2**31)) for use, kind in drawn]
    return situations


def generate(
    passages: Sequence[Passage],
    clauses: Sequence[Clause],
    teacher: Teacher,
    embed: Embed,
    settings: GenerateSettings,
) -> Generated:
    """Questions, then opposites, then answers; every failure is a Dropped, never an exception."""
    passage_of = {passage.id: passage for passage in passages}
    questions, rejected = find_questions(
        plan(clauses, settings), passage_of, teacher, embed, settings
    )
    opposites, unturned = turn_round(clauses, teacher)
    rests_on = {question: faithful_text(question.situation, passage_of) for question in questions}
    contrary = {
        question: opposites[question.situation.clause.id]
        for question in questions
        if question.situation.use != "example" and question.situation.clause.id in opposites
    }
    faithful, unanswered = answer(rests_on, teacher, settings, "answers")
    unfaithful, uncontrasted = answer(contrary, teacher, settings, "answers turned round")
    rows = build_rows(questions, faithful, unfaithful, teacher)
    rows.dropped[:0] = [*rejected, *unturned, *unanswered, *uncontrasted]
    return rows


def find_questions(
    situations: Sequence[Situation],
    passage_of: Mapping[str, Passage],
    teacher: Teacher,
    embed: Embed,
    settings: GenerateSettings,
) -> tuple[list[Question], list[Dropped]]:
    """A question for each situation, sampled again with another seed while it is no good."""
    found: list[Question] = []
    rejected: list[Dropped] = []
    open_situations = list(situations)
    for attempt in range(settings.attempts):
        tries = {
            replace(situation, seed=situation.seed + attempt): situation
            for situation in open_situations
        }
        asked, unasked = ask_questions(list(tries), passage_of, teacher, settings)
        good, off = relevant(asked, embed, settings.min_relevance)
        found += good
        rejected += [*unasked, *off]
        settled = {tries[question.situation] for question in good}
        open_situations = [one for one in open_situations if one not in settled]
    return found, rejected


def ask_questions(
    situations: Sequence[Situation],
    passage_of: Mapping[str, Passage],
    teacher: Teacher,
    settings: GenerateSettings,
) -> tuple[list[Question], list[Dropped]]:
    """One sampled question for each situation."""
    requests = {
        situation: teacher.prompts.request(
            "question",
            Sampling(
                max_tokens=64,
                temperature=settings.temperature,
                top_p=0.95,
                seed=situation.seed,
                stop=("\n",),
            ),
            statement=situation.clause.statement,
            place=_place(passage_of[situation.clause.passage]),
            opening=KINDS[situation.kind],
        )
        for situation in situations
    }
    replies = teacher.ask(requests, "questions")
    examples = runs(teacher.prompts.bare("question"))
    questions: list[Question] = []
    dropped: list[Dropped] = []
    for situation, request in requests.items():
        text = _text(replies[situation])
        if not text:
            dropped.append(_failed(situation.clause, "no question", replies[situation]))
        elif replies[situation].finish == "length":
            dropped.append(_drop(situation.clause, "unfinished question", text))
        elif runs(text) & examples - runs(situation.clause.statement):
            dropped.append(_drop(situation.clause, "echo of a worked example", text))
        else:
            questions.append(Question(situation, text, request))
    return questions, dropped


def runs(text: str) -> set[tuple[str, ...]]:
    """All runs of seven consecutive words: long enough that only a copy shares one."""
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[place : place + _RUN]) for place in range(len(words) - _RUN + 1)}


def relevant(
    questions: Sequence[Question], embed: Embed, floor: float
) -> tuple[list[Question], list[Dropped]]:
    """Drop questions whose embedding is less than `floor` (cosine) from their clause's."""
    if not questions:
        return [], []
    clauses = embed([question.situation.clause.statement for question in questions])
    similarity = (embed([question.text for question in questions]) * clauses).sum(axis=1)
    near = [value >= floor for value in similarity]
    dropped = [
        _drop(question.situation.clause, "question off the clause", f"{value:.2f}: {question.text}")
        for question, value, keep in zip(questions, similarity, near, strict=True)
        if not keep
    ]
    return [question for question, keep in zip(questions, near, strict=True) if keep], dropped


def turn_round(clauses: Sequence[Clause], teacher: Teacher) -> tuple[dict[str, str], list[Dropped]]:
    """Clause id -> the clause turned round; a clause that comes back unchanged has none."""
    sampling = Sampling(max_tokens=96, stop=("\n",))
    requests = {
        clause.id: teacher.prompts.request("opposite", sampling, statement=clause.statement)
        for clause in clauses
    }
    replies = teacher.ask(requests, "clauses turned round")
    opposites: dict[str, str] = {}
    dropped: list[Dropped] = []
    for clause in clauses:
        text = _text(replies[clause.id])
        if not text:
            dropped.append(_failed(clause, "no opposite", replies[clause.id]))
        elif _same(text, clause.statement) or replies[clause.id].finish == "length":
            dropped.append(_drop(clause, "opposite does not differ", text))
        else:
            opposites[clause.id] = text
    return opposites, dropped


def faithful_text(situation: Situation, passage_of: Mapping[str, Passage]) -> str:
    """What the faithful answer rests on.

    An example's is the whole passage, as in the paper; a pair's and a probe's is the
    clause alone, because its counterfactual twin rests on the turned clause alone.
    """
    if situation.use == "example":
        return " ".join(passage_of[situation.clause.passage].text.split())
    return situation.clause.statement


def answer(
    contexts: Mapping[Question, str], teacher: Teacher, settings: GenerateSettings, what: str
) -> tuple[dict[Question, Reply], list[Dropped]]:
    """The greedy answer to each question from its context, cut after whole sentences."""
    sampling = Sampling(max_tokens=_TOKENS_A_SENTENCE * settings.max_sentences, stop=("\n",))
    requests = {
        question: teacher.prompts.request("answer", sampling, text=text, question=question.text)
        for question, text in contexts.items()
    }
    replies = teacher.ask(requests, what)
    examples = runs(teacher.prompts.bare("answer"))
    found: dict[Question, Reply] = {}
    dropped: list[Dropped] = []
    for question, request in requests.items():
        clause, reply = question.situation.clause, replies[question]
        text = whole_sentences(reply, settings.max_sentences)
        if runs(text) & examples - runs(contexts[question]):
            dropped.append(_drop(clause, "echo of a worked example", text))
        elif text:
            found[question] = Reply(text, request)
        elif _text(reply):
            dropped.append(_drop(clause, "unfinished answer", reply.text.strip()))
        else:
            dropped.append(_failed(clause, "no answer", reply))
    return found, dropped


def whole_sentences(reply: Completion, most: int) -> str:
    """The first `most` sentences of a reply, up to one that repeats another or was cut off."""
    text = _text(reply)
    spans = sentence_spans(text, detect_language(text)) if text else []
    if reply.finish == "length":
        spans = spans[:-1]
    said: dict[str, int] = {}
    for start, end in spans[:most]:
        if text[start:end] in said:
            break
        said[text[start:end]] = end
    return text[: max(said.values())] if said else ""


def build_rows(
    questions: Sequence[Question],
    faithful: Mapping[Question, Reply],
    unfaithful: Mapping[Question, Reply],
    teacher: Teacher,
) -> Generated:
    """Join questions and answers; a pair without two different answers is dropped aloud."""
    rows = Generated()
    for question in questions:
        good, bad = faithful.get(question), unfaithful.get(question)
        if good is None:
            continue
        clause, kind, text = question.situation.clause, question.situation.kind, question.text
        identity = record_id(question.situation.use, clause.id, kind, text, good.text)
        origin = teacher.origin("answer", good.request, clause.id, question.request.id)
        if bad is not None and _same(good.text, bad.text):
            rows.dropped.append(_drop(clause, "both answers are the same", f"{text} {good.text}"))
            bad = None
        if question.situation.use == "example":
            rows.examples.append(
                Example(
                    id=identity,
                    clause=clause.id,
                    kind=kind,
                    question=text,
                    answer=good.text,
                    origin=origin,
                )
            )
        elif question.situation.use == "probe":
            rows.probes.append(
                Probe(
                    id=identity,
                    clause=clause.id,
                    kind=kind,
                    question=text,
                    reference=good.text,
                    contrast=bad.text if bad else None,
                    origin=origin,
                )
            )
        elif bad is not None:
            rows.pairs.append(
                PreferencePair(
                    id=identity,
                    clause=clause.id,
                    kind=kind,
                    question=text,
                    chosen=good.text,
                    rejected=bad.text,
                    origin=origin,
                )
            )
    return rows


def _place(passage: Passage) -> str:
    """Where the clause stands, for a question that must make sense without the text."""
    ends = dict.fromkeys((*passage.headings[:1], *passage.headings[-1:]))
    return ", ".join(ends) or "the document"


def _text(reply: Completion) -> str:
    return "" if reply.error else reply.text.strip()


def _same(one: str, other: str) -> bool:
    return one.strip(" .;").casefold() == other.strip(" .;").casefold()


def _failed(clause: Clause, reason: str, reply: Completion) -> Dropped:
    return _drop(clause, reason, reply.error or "the reply was empty")


def _drop(clause: Clause, reason: str, detail: str) -> Dropped:
    return Dropped(record_id=clause.id, stage="generate", reason=reason, detail=detail)
