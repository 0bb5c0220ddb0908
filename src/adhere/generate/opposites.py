"""clauses -> the same clauses turned round: what a place with the contrary values would ask."""

from collections.abc import Mapping, Sequence

from adhere.generate.replies import drop, failed, said, same
from adhere.records import Clause, Completion, Dropped, Sampling
from adhere.teacher import Teacher

_TRIES = 4
"""The first is greedy; a clause that comes back unchanged is sampled anew. Our choice."""
_FEWEST_TOKENS = 96


def turn_round(
    clauses: Sequence[Clause], language_of: Mapping[str, str], teacher: Teacher
) -> tuple[dict[str, str], list[Dropped]]:
    """Clause id -> the clause turned round; one that comes back unchanged each time has none.

    `language_of`: document id -> its language, for prompts in that language.
    """
    opposites: dict[str, str] = {}
    dropped: dict[str, Dropped] = {}
    for attempt in range(_TRIES):
        requests = {
            clause: teacher.prompts.request(
                "opposite",
                _sampling(clause, attempt),
                language_of[clause.document],
                statement=clause.statement,
            )
            for clause in clauses
            if clause.id not in opposites
        }
        if not requests:
            break
        for clause, reply in teacher.ask(requests, "clauses turned round").items():
            if problem := _problem(clause, reply):
                dropped[clause.id] = problem
            else:
                opposites[clause.id] = said(reply)
    return opposites, [one for name, one in dropped.items() if name not in opposites]


def _sampling(clause: Clause, attempt: int) -> Sampling:
    """As many tokens as a text of twice the clause's length has, at some four characters each."""
    return Sampling(
        max_tokens=max(_FEWEST_TOKENS, len(clause.statement) // 2),
        temperature=0.7 if attempt else 0.0,
        seed=attempt,
        stop=("\n",),
    )


def _problem(clause: Clause, reply: Completion) -> Dropped | None:
    text = said(reply)
    if not text:
        return failed(clause, "no opposite", reply)
    if same(text, clause.statement) or reply.finish == "length":
        return drop(clause, "opposite does not differ", text)
    return None
