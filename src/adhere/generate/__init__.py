"""clauses -> examples, preference pairs and probes.

Each clause is met in several situations, drawn by a seeded sampler (`plan`). A question
is sampled for each, until one turns on the clause (`questions`, `stance`), and answered
once, or twice for a pair and a probe (`answers`, `pairs`), which makes a row (`rows`). By
default both answers come from one prompt, once with the clause and once with the clause
turned round (`opposites`): they differ in the value, and not in length or style.
"""

from collections.abc import Sequence

from adhere.embedding import Embed
from adhere.engines.base import Engine
from adhere.generate.opposites import turn_round
from adhere.generate.pairs import Writers, two_answers
from adhere.generate.plan import KINDS, plan
from adhere.generate.questions import Source, find_questions
from adhere.generate.rewritings import ANGLES, rewritings
from adhere.generate.rows import Generated, build_rows
from adhere.records import Clause, Document, Passage
from adhere.settings import GenerateSettings
from adhere.teacher import Teacher

__all__ = ["ANGLES", "KINDS", "Generated", "generate", "rewritings"]


def generate(
    documents: Sequence[Document],
    passages: Sequence[Passage],
    clauses: Sequence[Clause],
    teacher: Teacher,
    student: Engine,
    embed: Embed,
    settings: GenerateSettings,
) -> Generated:
    """Opposites, then questions, then answers; every failure is a Dropped, never an exception.

    A clause without an opposite is asked open questions only, so it makes no pairs.
    `student` answers only where the strategy of pairs asks for its own answers.
    """
    language_of = {document.id: document.language for document in documents}
    opposites, unturned = turn_round(clauses, language_of, teacher)
    source = Source.of(passages, language_of, opposites)
    situations = plan(clauses, settings, {drop.record_id for drop in unturned})
    questions, rejected = find_questions(situations, source, teacher, embed, settings)
    answers = two_answers(questions, Writers(teacher, student, source, settings))
    rows = build_rows(questions, answers)
    rows.dropped[:0] = [*unturned, *rejected, *answers.dropped]
    return rows
