"""passages -> the same told again from other angles, for `midtrain` to read beside the text.

A model that reads a fact once, in one wording, learns the wording; told in many ways it
learns what they share (Yang et al. 2024, "Synthetic continued pretraining", arXiv 2409.07431).
What a rewriting says must follow from its passage, by the check that clauses pass too.
"""

from collections.abc import Mapping, Sequence

from adhere.generate.answers import whole_sentences
from adhere.generate.replies import runs, said
from adhere.records import Dropped, Passage, Request, Rewriting, Sampling, record_id
from adhere.support import Claim, leanings
from adhere.teacher import Teacher
from adhere.text import detect_language

ANGLES = ("plain", "day", "reason", "misunderstanding")
"""Ways to tell a text again; `rewrite.md` has each in words."""
_SAMPLING = Sampling(max_tokens=128, stop=("\n",))
_SENTENCES = 4
"""Longest rewriting; what a small teacher writes after that runs on."""
_COPIED = 0.5
"""Share of a rewriting's runs of words that may stand in the passage; above it, it teaches no
other wording. The bound is ours."""


def rewritings(
    passages: Sequence[Passage],
    language_of: Mapping[str, str],
    teacher: Teacher,
    angles: Sequence[str],
    min_support: float,
) -> tuple[list[Rewriting], list[Dropped]]:
    """Each passage told again from each angle, greedily; passages in the order of the text.

    `language_of`: document id -> its language. `min_support` is the least leaning of the
    teacher, in nats, to a rewriting following from its passage.

    Raises NoLikelihoodError for a teacher whose engine cannot score.
    """
    requests = {
        (passage, angle): teacher.prompts.request(
            "rewrite", _SAMPLING, language_of[passage.document], text=passage.body, angle=angle
        )
        for angle in angles
        for passage in passages
    }
    replies = teacher.ask(requests, "rewritings")
    told: list[Rewriting] = []
    dropped: list[Dropped] = []
    for (passage, angle), request in requests.items():
        reply, language = replies[passage, angle], language_of[passage.document]
        text = whole_sentences(reply, _SENTENCES)
        if problem := reply.error or _problem(text, passage, teacher, language):
            reason = "no reply" if reply.error else problem
            detail = reply.error or f"{angle}: {text or said(reply)}"
            dropped.append(_dropped(passage.id, reason, detail))
        else:
            told.append(_rewriting(passage, angle, text, request, teacher, language))
    kept, unsupported = _supported(told, passages, teacher, min_support)
    return kept, dropped + unsupported


def _problem(text: str, passage: Passage, teacher: Teacher, language: str) -> str:
    """What is wrong with a rewriting to the eye; empty for nothing."""
    found, own = runs(text), runs(passage.body)
    if not text:
        return "unfinished rewriting"
    if found & runs(teacher.prompts.bare("rewrite", language)) - own:
        return "echo of a worked example"
    if len(found & own) > _COPIED * len(found):
        return "copy of the passage"
    return "in another language" if detect_language(text) != language else ""


def _supported(
    told: Sequence[Rewriting], passages: Sequence[Passage], teacher: Teacher, least: float
) -> tuple[list[Rewriting], list[Dropped]]:
    body = {passage.id: passage.body for passage in passages}
    claims = {one: Claim(one.text, body[one.passage]) for one in told}
    found = leanings(claims.values(), teacher, "rewritings: what follows") if claims else {}
    kept: list[Rewriting] = []
    dropped: list[Dropped] = []
    for one, claim in claims.items():
        leaning = found[claim]
        if leaning is not None and leaning >= least:
            kept.append(one)
        else:
            weight = "could not be scored" if leaning is None else f"leaning {leaning:.2f}"
            detail = f"{one.angle}: {weight}: {one.text}"
            dropped.append(_dropped(one.passage, "not supported by its passage", detail))
    return kept, dropped


def _rewriting(
    passage: Passage, angle: str, text: str, request: Request, teacher: Teacher, language: str
) -> Rewriting:
    return Rewriting(
        id=record_id("rewriting", passage.id, angle, text),
        passage=passage.id,
        angle=angle,
        text=text,
        origin=teacher.origin("rewrite", request, passage.id, language=language),
    )


def _dropped(passage: str, reason: str, detail: str) -> Dropped:
    return Dropped(record_id=passage, stage="rewrite", reason=reason, detail=detail)
