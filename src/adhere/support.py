"""Does a sentence in a teacher's own words follow from the sentence?

The teacher is not asked but weighed: its likelihood of "Yes" against "No" after worked
examples, which are plain text to continue whatever the teacher's style, since that is what
`benchmarks/support.py` measures. It does not tell what a story shows (docs/decisions.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from adhere.grounding import Closed, log_odds
from adhere.teacher import Teacher


@dataclass(frozen=True, slots=True)
class Claim:
    statement: str
    text: str
    """What it is said to follow from, on one line."""


def leanings(claims: Iterable[Claim], teacher: Teacher, what: str) -> dict[Claim, float | None]:
    """log P("Yes") - log P("No"), in nats, to whether each follows; None where scoring failed.

    `what` names the work in the progress. Raises NoLikelihoodError for an engine that cannot score.
    """
    asked = {claim: _asked(claim, teacher) for claim in claims}
    return log_odds(teacher.engine, asked, what, teacher.progress)


def _asked(claim: Claim, teacher: Teacher) -> Closed:
    prompt = teacher.prompts.render("support", text=claim.text, statement=claim.statement)
    examples = prompt.rpartition("\n\n")[0]
    rest = prompt.removeprefix(examples)
    return Closed(prefix=examples, prompt=rest, yes=" Yes", no=" No", chat=False)
