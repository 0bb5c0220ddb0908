"""A person corrects the data: rows out to look at, decisions in, and the decisions applied.

Decisions live in the run's folder, in `review/decisions.jsonl`, by the id of the row as the
pipeline made it. The stages `clauses` and `curate` apply them last, each time they run, so
a person's word outlives a change of settings. A decision about a row that is not there
(any more) waits in the file until the row is back.
"""

from adhere.review.decisions import (
    REVIEWED,
    Kind,
    Review,
    decided,
    decisions_key,
    require_reviewed,
)
from adhere.review.rows import STALE
from adhere.review.spreadsheet import export_review, import_review

__all__ = [
    "REVIEWED",
    "STALE",
    "Kind",
    "Review",
    "decided",
    "decisions_key",
    "export_review",
    "import_review",
    "require_reviewed",
]
