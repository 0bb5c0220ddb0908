"""What must be read beside the gains: wrong answers of no and of yes, and ability lost.

An answer without a word has neither denied nor affirmed; such are left out, and counted under
`empty` for each system that gave some.
"""

import math
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from adhere.evaluate.refusal import LANGUAGE, refuses
from adhere.evaluate.summary import Evaluation
from adhere.evaluate.systems import System, in_turn, replies
from adhere.evaluate.tables import Row, Table, Values
from adhere.grounding import score_all, score_request
from adhere.progress import Progress
from adhere.records import Answer, Dropped, Instruction, Polarity, record_id
from adhere.settings import EvaluateSettings
from adhere.text import detect_language, says_no, says_yes, side

_ENOUGH = 48
"""Tokens in which an answer that declines has said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A request to answer (safe) or to decline (unsafe), in the layout of XSTest."""

    prompt: str
    label: Literal["safe", "unsafe"]
    type: str = ""
    """Prompts of one type are alike; the error is taken over types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One table, ready for JSON, and what failed."""

    row: Row
    dropped: tuple[Dropped, ...] = ()


_Found = list[tuple[str, str, dict[str, float]]]


def denied(evaluation: Evaluation) -> dict[str, Cost]:
    """`refused`: the share of answers that decline or deny where the reference says yes.

    For every system, and apart for what the documents permit (`permitted`), what is permitted
    beside a prohibition (`twins`), and what is right beside a duty or an aim (`duties`): who
    has learned to forbid denies those too. `left_out`: probes in other languages than English.
    """
    return {name: _denied(evaluation, polarities) for name, polarities in _ANSWERED.items()}


def wrong_yes(evaluation: Evaluation) -> Cost:
    """`wrong_yes`: the share of answers that begin with yes where the reference says no.

    Who has learned to say yes denies nothing, and does this. A yes counts in every language
    that we know: a student may answer in another one than the documents'.
    """
    clause_of = {
        probe.id: probe.clause
        for probe in evaluation.probes
        if says_no(probe.reference, evaluation.languages[probe.clause])
    }
    if not clause_of:
        return _absent("no probe has a reference that says no.")
    answers = [answer for answer in evaluation.answers if answer.probe in clause_of]
    values: _Found = [
        (one.system, one.probe, {"wrong_yes": float(side(one.text) == "yes")})
        for one in answers
        if one.text.strip()
    ]
    row = _compared(values, evaluation.systems, "wrong_yes", clause_of)
    return Cost(row=row | _empty(answers))


_ANSWERED: Mapping[str, Container[Polarity]] = {
    "permitted": {"permitted"},
    "twins": {"forbidden"},
    "duties": {"required", "aspired to"},
}


def _denied(evaluation: Evaluation, polarities: Container[Polarity]) -> Cost:
    clauses = {one.id for one in evaluation.clauses if one.polarity in polarities}
    language = evaluation.languages
    affirmed = [
        probe
        for probe in evaluation.probes
        if probe.clause in clauses and says_yes(probe.reference, language[probe.clause])
    ]
    if not affirmed:
        return _absent("no probe of these clauses has a reference that says yes.")
    probes = {probe.id: probe for probe in affirmed if language[probe.clause] == LANGUAGE}
    if not probes:
        return _absent(_FOREIGN)
    answers = [answer for answer in evaluation.answers if answer.probe in probes]
    values: _Found = [
        (answer.system, answer.probe, _refused(answer.text))
        for answer in answers
        if answer.text.strip()
    ]
    clause_of = {name: probe.clause for name, probe in probes.items()}
    row = _compared(values, evaluation.systems, "refused", clause_of) | _empty(answers)
    if foreign := len(affirmed) - len(probes):
        row["left_out"] = foreign
    return Cost(row=row)


def refusals(
    systems: Sequence[System],
    prompts: Sequence[Prompt],
    settings: EvaluateSettings,
    progress: Progress,
) -> Cost:
    """`refused`: the share of safe and of unsafe prompts that each system declines or denies."""
    if not prompts:
        return _absent("give prompts with --refusals FILE (columns prompt, label and type).")
    if not _readable([prompt.prompt for prompt in prompts]):
        return Cost(row={**_absent(_FOREIGN).row, "given": True})
    named = {f"{place}": prompt for place, prompt in enumerate(prompts)}
    questions = {name: prompt.prompt for name, prompt in named.items()}
    values: _Found = []
    dropped: list[Dropped] = []
    for system in in_turn(systems):
        found = replies(system, questions, {}, settings, progress, "prompts", most=_ENOUGH)
        for name, reply in found.items():
            if reply.error is None:
                values.append((system.name, name, _refused(reply.text)))
            else:
                dropped.append(_drop(questions[name], f"{system.name}: {reply.error}"))
    parts: Row = {}
    for label in ("safe", "unsafe"):
        own = {name: prompt for name, prompt in named.items() if prompt.label == label}
        part = [value for value in values if value[1] in own]
        types = {name: prompt.type or name for name, prompt in own.items()}
        names = [system.name for system in systems]
        parts[label] = _compared(part, names, "refused", types)
    return Cost(row=parts, dropped=tuple(dropped))


def general(
    systems: Sequence[System], instructions: Sequence[Instruction], progress: Progress
) -> Cost:
    """`nll`: of good answers to general instructions, nats a token; and `perplexity`, e to that."""
    named = {f"{place}": row for place, row in enumerate(instructions)}
    requests = {
        name: score_request("", row.question, row.answer, chat=True) for name, row in named.items()
    }
    values: _Found = []
    dropped: list[Dropped] = []
    for system in in_turn(systems):
        what = f"{system.name}: general instructions"
        scores = score_all(system.engine, list(requests.values()), what, progress)
        for name, request in requests.items():
            score = scores[request.id]
            if score.error is None:
                values.append((system.name, name, {"nll": -score.mean}))
            else:
                dropped.append(_drop(named[name].question, f"{system.name}: {score.error}"))
    names = [system.name for system in systems]
    row = _compared(values, names, "nll", {name: name for name in named})
    for metrics in row["systems"].values():
        if "nll" in metrics:
            metrics["perplexity"] = _exponential(metrics["nll"])
    return Cost(row=row, dropped=tuple(dropped))


_FOREIGN = "the phrases that tell a refusal are English, and these texts are not."


def _absent(why: str) -> Cost:
    return Cost(row={"absent": f"Not measured: {why}"})


def _readable(texts: Sequence[str]) -> bool:
    return detect_language("\n".join(texts)) == LANGUAGE


def _empty(answers: Sequence[Answer]) -> Row:
    counts = Counter(answer.system for answer in answers if not answer.text.strip())
    return {"empty": dict(counts)} if counts else {}


def _refused(answer: str) -> dict[str, float]:
    return {"refused": float(refuses(answer))}


def _exponential(row: Row) -> Row:
    bounds = {key: None if row[key] is None else math.exp(row[key]) for key in ("low", "high")}
    return {"value": math.exp(row["value"]), **bounds, "n": row["n"]}


def _compared(
    values: Values, systems: Sequence[str], metric: str, cluster_of: Mapping[str, str]
) -> Row:
    table = Table.of(
        values,
        systems=systems,
        metrics=(metric,),
        rates=frozenset({"refused", "wrong_yes"}),
        cluster_of=cluster_of,
    )
    return {"systems": table.estimates(), "differences": table.differences()}


def _drop(text: str, detail: str) -> Dropped:
    return Dropped(
        record_id=record_id(text), stage="evaluate", reason="cost not measured", detail=detail
    )
