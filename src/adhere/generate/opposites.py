"""clauses -> the same clauses turned round: what a place with the contrary values would ask."""

from collections.abc import Mapping, Sequence

from adhere.generate.replies import drop, failed, said, same
from adhere.records import Clause, Dropped, Sampling
from adhere.teacher import Teacher


def turn_round(
    clauses: Sequence[Clause], language_of: Mapping[str, str], teacher: Teacher
) -> tuple[dict[str, str], list[Dropped]]:
    """Clause id -> the clause turned round; a clause that comes back unchanged has none.

    `language_of`: document id -> its language, for prompts in that language.
    """
    sampling = Sampling(max_tokens=96, stop=("\n",))
    requests = {
        clause.id: teacher.prompts.request(
            "opposite", sampling, language_of[clause.document], statement=clause.statement
        )
        for clause in clauses
    }
    replies = teacher.ask(requests, "clauses turned round")
    opposites: dict[str, str] = {}
    dropped: list[Dropped] = []
    for clause in clauses:
        text = said(replies[clause.id])
        if not text:
            dropped.append(failed(clause, "no opposite", replies[clause.id]))
        elif same(text, clause.statement) or replies[clause.id].finish == "length":
            dropped.append(drop(clause, "opposite does not differ", text))
        else:
            opposites[clause.id] = text
    return opposites, dropped
