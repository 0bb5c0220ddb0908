"""passages -> clauses: what the document values, sentence by sentence, and the words that say it.

The unit is the sentence, so that every clause has an exact span. The teacher says what
each sentence comes to (the paper's check for value content, at a finer grain). A weak
teacher is not trusted to put it in other words: 14 of 98 rewritings of the embedded one
turned "may" into "must" or the like, so its statement is the sentence itself; another
teacher's wording must follow from the sentence. Where no sentence of a passage asks
anything, the teacher is asked what the passage shows that it values (docs/decisions.md).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import cast, get_args

from adhere.candidates import Sentence, candidates
from adhere.duty import plain_duty
from adhere.parts import Parts, parts, says_why
from adhere.records import (
    Clause,
    Completion,
    Document,
    Dropped,
    Origin,
    Passage,
    Polarity,
    Sampling,
    Stance,
    distinct,
    record_id,
)
from adhere.settings import ClausesSettings
from adhere.support import Claim, leanings
from adhere.teacher import Teacher
from adhere.text import text_size

NOTHING = "nothing"
_NOTHINGS = (NOTHING, "rien", "nada", "没有", "なし", "لا شيء")
"""The same in the languages that `implied.md` is there in."""
_PHRASES: dict[str, Polarity | None] = {
    "you must not": "forbidden",
    "you may not": "forbidden",
    "you must never": "forbidden",
    "you must": "required",
    "you may": "permitted",
    "we aim to": "aspired to",
    NOTHING: None,
}
_LEAST_STORY = 120
"""A passage shorter than this (as `text_size` counts) shows no value by itself."""


def extract_clauses(
    documents: Sequence[Document],
    passages: Sequence[Passage],
    teacher: Teacher,
    settings: ClausesSettings,
) -> tuple[list[Clause], list[Dropped]]:
    """The clauses of all passages in the order of the text, and what was passed over and why.

    A sentence that asks nothing is dropped as "no value content"; so is a passage
    that neither says nor shows what it values. A sentence put in words that do not
    follow from it is dropped as "not supported by its span"; raises NoLikelihoodError where
    there are such words and the teacher's engine cannot score.
    """
    language = {document.id: document.language for document in documents}
    sentences = candidates(passages, language)
    read, dropped = _stated(sentences, language, teacher)
    said, unsupported = supported(read, language, teacher, settings)
    shown, unshown = _implied(passages, said, language, teacher)
    place = {passage.id: number for number, passage in enumerate(passages)}
    found = sorted(distinct([*said, *shown]), key=lambda clause: place[clause.passage])
    capped, over = _cap(found, settings.max_per_passage)
    return capped, dropped + unsupported + unshown + over


def supported(
    read: Mapping[Clause, str],
    language: Mapping[str, str],
    teacher: Teacher,
    settings: ClausesSettings,
) -> tuple[list[Clause], list[Dropped]]:
    """The clauses that follow from the sentences that they were read from, and the others.

    A sentence's own words need no proof, and cost no request.
    """
    claims = {
        clause: Claim(clause.statement, text)
        for clause, text in read.items()
        if clause.statement != text
    }
    found = leanings(claims.values(), teacher, "clauses: what follows") if claims else {}
    dropped: dict[Clause, Dropped] = {}
    for clause, claim in claims.items():
        spoken = language[clause.document]
        if problem := _unsupported(clause, spoken, found[claim], settings.min_support):
            place = f"{clause.passage}:{clause.start}-{clause.end}"
            detail = f"{problem}: {clause.statement}"
            dropped[clause] = _dropped(place, "not supported by its span", detail)
    return [clause for clause in read if clause not in dropped], list(dropped.values())


def _unsupported(clause: Clause, language: str, leaning: float | None, least: float) -> str:
    """What speaks against the wording of a clause; empty for nothing."""
    duty = plain_duty(clause.statement, language)
    if duty not in (None, clause.polarity):
        return f"the sentence comes to {clause.polarity}, the statement to {duty}"
    if leaning is None:
        return "could not be scored"
    return f"leaning {leaning:.2f}, clauses.min_support {least:.2f}" if leaning < least else ""


def reread(clause: Clause, language: str) -> Clause:
    """A clause whose statement was edited, with the polarity and the parts of the new words.

    Without a plain word of duty it keeps its polarity. What a passage shows is an aim,
    whatever its words.
    """
    if clause.stance == "implicit":
        return clause
    polarity = plain_duty(clause.statement, language) or clause.polarity
    found = parts(clause.statement, language, polarity)
    return replace(clause, polarity=polarity, **asdict(found))


def read_value(reply: str) -> tuple[Polarity | None, str]:
    """A teacher's reply -> polarity (None: nothing is asked) and its own wording, if it gave one.

    Raises ValueError for a reply that begins with none of the phrases.
    """
    first, _, statement = reply.strip().partition("\n")[0].partition("|")
    label = first.strip(' "*.').lower()
    for phrase, polarity in _PHRASES.items():
        if re.match(rf"{phrase}(?![\w'’])", label):
            return polarity, statement.strip()
    if label in get_args(Polarity):
        return cast("Polarity", label), statement.strip()
    raise ValueError(f"no phrase that we know: {reply.strip()[:80]!r}")


def _stated(
    sentences: Sequence[Sentence],
    language: dict[str, str],
    teacher: Teacher,
) -> tuple[dict[Clause, str], list[Dropped]]:
    """The clauses with the sentences that they were read from."""
    sampling = Sampling(max_tokens=96 if teacher.prompts.style == "chat" else 6, stop=("\n",))
    requests = {
        sentence: teacher.prompts.request(
            "value", sampling, sentence=sentence.text, passage=sentence.passage.text
        )
        for sentence in sentences
    }
    replies = teacher.ask(requests, "clauses: sentences")
    read: dict[Clause, str] = {}
    dropped: list[Dropped] = []
    for sentence, following in zip(sentences, [*sentences[1:], None], strict=True):
        reply = replies[sentence]
        cut = reply.finish == "length"
        spoken = language[sentence.passage.document]
        duty = plain_duty(sentence.text, spoken)
        try:
            polarity, wording = read_value(reply.text)
        except ValueError as error:
            dropped.append(_drop(sentence, "unreadable reply", reply.error or str(error)))
            continue
        polarity = duty or polarity
        if polarity is None:
            dropped.append(_drop(sentence, "no value content", sentence.text))
            continue
        clause = _clause(
            sentence.passage,
            (sentence.start, sentence.end),
            (sentence.text if cut or not wording else wording, polarity, "explicit"),
            teacher.origin("value", requests[sentence], sentence.passage.id),
            _parts(sentence, following, spoken, polarity),
        )
        read[clause] = sentence.text
    return read, dropped


def _parts(
    sentence: Sentence, following: Sentence | None, language: str, polarity: Polarity
) -> Parts:
    """What a sentence says of its rule; the next one may say why, where it stands in its line."""
    found = parts(sentence.text, language, polarity)
    if found.rationale or following is None or following.passage is not sentence.passage:
        return found
    between = sentence.passage.text[
        sentence.end - sentence.passage.start : following.start - sentence.passage.start
    ]
    if between.strip(" ") or not says_why(following.text, language):
        return found
    return replace(found, rationale=following.text)


def _implied(
    passages: Sequence[Passage],
    said: Sequence[Clause],
    language: Mapping[str, str],
    teacher: Teacher,
) -> tuple[list[Clause], list[Dropped]]:
    """What passages show that they value: those that say nothing, or what else is in them."""
    stories = _stories(passages, said, teacher)
    sampling = Sampling(max_tokens=48, stop=("\n",))
    requests = {
        passage: teacher.prompts.request(
            "implied", sampling, language[passage.document], passage=text
        )
        for passage, text in stories.items()
        if text_size(text) >= _LEAST_STORY
    }
    replies = teacher.ask(requests, "clauses: what is shown")
    silent = {passage.id for passage in passages} - {clause.passage for clause in said}
    clauses: list[Clause] = []
    dropped: list[Dropped] = []
    for passage in stories:
        reply, spoken = replies.get(passage, Completion(id="")), language[passage.document]
        value = reply.text.strip().strip('".。')
        if reply.error:
            dropped.append(_dropped(passage.id, "unreadable reply", reply.error))
        elif not value or value.lower().startswith(_NOTHINGS):
            if passage.id in silent:
                detail = passage.text[:80]
                dropped.append(_dropped(passage.id, "passage without value content", detail))
        elif _shown_before(value, teacher.prompts.bare("implied", spoken)):
            dropped.append(_dropped(passage.id, "echo of a worked example", value))
        else:
            clauses.append(
                _clause(
                    passage,
                    (passage.start, passage.end),
                    (value, "aspired to", "implicit"),
                    teacher.origin("implied", requests[passage], passage.id, language=spoken),
                    Parts(),
                )
            )
    return clauses, dropped


def _stories(
    passages: Sequence[Passage], said: Sequence[Clause], teacher: Teacher
) -> dict[Passage, str]:
    """The text of each passage that may show a value beside what it says, on one line.

    Only a teacher that chats is asked about the rest of a passage that holds a rule: of what
    a story shows the embedded one mostly knows nothing (docs/decisions.md).
    """
    spans: dict[str, list[Clause]] = defaultdict(list)
    for clause in said:
        spans[clause.passage].append(clause)
    found: dict[Passage, str] = {}
    for passage in passages:
        if not (own := spans[passage.id]):
            found[passage] = passage.body
        elif teacher.prompts.style == "chat":
            found[passage] = _rest(passage, own)
    return found


def _rest(passage: Passage, said: Sequence[Clause]) -> str:
    """A passage's text without the spans of its clauses and without its headings."""
    text = passage.text
    for clause in sorted(said, key=lambda clause: -clause.start):
        text = text[: clause.start - passage.start] + text[clause.end - passage.start :]
    lines = [line.strip() for line in text.split("\n")]
    titles = passage.titles
    return " ".join(line for line in lines if line and line not in titles)


def _shown_before(value: str, examples: str) -> bool:
    """Whether a worked example ends in these words."""
    return bool(re.search(rf"[:：]\s?{re.escape(value)}$", examples, re.MULTILINE))


def _clause(
    passage: Passage,
    span: tuple[int, int],
    value: tuple[str, Polarity, Stance],
    origin: Origin,
    found: Parts,
) -> Clause:
    statement, polarity, stance = value
    return Clause(
        id=record_id("clause", statement),
        document=passage.document,
        passage=passage.id,
        statement=statement,
        polarity=polarity,
        stance=stance,
        start=span[0],
        end=span[1],
        origin=origin,
        rationale=found.rationale,
        exceptions=found.exceptions,
        binds=found.binds,
    )


def _cap(clauses: Iterable[Clause], most: int) -> tuple[list[Clause], list[Dropped]]:
    """At most `most` clauses a passage: rules before aims, then the order of the text."""
    kept: list[Clause] = []
    dropped: list[Dropped] = []
    for _, group in groupby(clauses, key=lambda clause: clause.passage):
        ranked = sorted(group, key=lambda clause: (clause.polarity == "aspired to", clause.start))
        kept += sorted(ranked[:most], key=lambda clause: clause.start)
        detail = "clauses.max_per_passage is reached: {}"
        dropped += [
            _dropped(clause.id, "over the cap", detail.format(clause.statement))
            for clause in ranked[most:]
        ]
    return kept, dropped


def _drop(sentence: Sentence, reason: str, detail: str) -> Dropped:
    place = f"{sentence.passage.id}:{sentence.start}-{sentence.end}"
    return _dropped(place, reason, detail)


def _dropped(record: str, reason: str, detail: str) -> Dropped:
    return Dropped(record_id=record, stage="clauses", reason=reason, detail=detail)
