"""Does a sentence in a teacher's own words follow from the sentence?

The teacher is not asked but weighed: its likelihood of "Yes" against "No" after worked
examples, which are plain text to continue whatever the teacher's style, since that is what
`benchmarks/support.py` measures. It does not tell what a story shows (docs/decisions.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from adhere.grounding import score_all, score_request
from adhere.records import ScoreRequest
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
    requests = {claim: _requests(claim, teacher) for claim in claims}
    both = [request for pair in requests.values() for request in pair]
    scores = score_all(teacher.engine, both, what, teacher.progress)
    found: dict[Claim, float | None] = {}
    for claim, (yes, no) in requests.items():
        said, denied = scores[yes.id], scores[no.id]
        failed = said.error is not None or denied.error is not None
        found[claim] = None if failed else said.logprob - denied.logprob
    return found


def _requests(claim: Claim, teacher: Teacher) -> tuple[ScoreRequest, ScoreRequest]:
    prompt = teacher.prompts.render("support", text=claim.text, statement=claim.statement)
    examples = prompt.rpartition("\n\n")[0]
    rest = prompt.removeprefix(examples)
    yes, no = (score_request(examples, rest, word, chat=False) for word in (" Yes", " No"))
    return yes, no
