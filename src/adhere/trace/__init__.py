"""From any id of a run to its whole chain: the sentence, the clause, the rows, the verdicts.

Nothing is computed here that the stages did not write down; records are joined by id.
"""

from adhere.trace.find import find
from adhere.trace.run import Kind, RunRecords, SituationTrail, read_run
from adhere.trace.trails import ClauseTrail, Place, RowTrail, Trail, clause_trail, trace

__all__ = [
    "ClauseTrail",
    "Kind",
    "Place",
    "RowTrail",
    "RunRecords",
    "SituationTrail",
    "Trail",
    "clause_trail",
    "find",
    "read_run",
    "trace",
]
