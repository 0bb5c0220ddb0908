"""Whether a run's model may go on: the rules of `[gate]`, and an older run to be no worse than.

"Cannot tell" is never a silent pass: it is said, and closes the gate where
`gate.cannot_tell` is "fail".
"""

from adhere.gate.against import changes_between, compare
from adhere.gate.rules import Check, judge, opens, read_evidence
from adhere.gate.written import write_junit, write_markdown

__all__ = [
    "Check",
    "changes_between",
    "compare",
    "judge",
    "opens",
    "read_evidence",
    "write_junit",
    "write_markdown",
]
