"""What the report shows of an evaluation before this one, of other documents."""

from collections.abc import Mapping
from dataclasses import dataclass

from adhere.report.data import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseChange:
    """A clause that is not what, or where, it was, or has another result."""

    kind: str
    """`added`, `removed`, `reworded`, `moved` or `judged`."""
    id: str
    """As it is now; of one that was removed, as it was."""
    pieces: tuple[tuple[str, str], ...]
    """Its words in their order, each piece `same`, `old` or `new`."""
    place: str
    was: str
    """Its result then and now; empty where it did not exist."""
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the model does on the probes of one clause that were asked both times."""

    clause: str
    statement: str
    probes: int
    gain: Estimate
    """Nats a token by which the references are likelier than to the model before."""
    outcome: str
    """Whether it is shown to be no worse: `pass`, `fail` or `cannot tell`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """From the evaluation before to this one."""

    before: tuple[str, ...]
    """Names of the documents then."""
    settings: tuple[tuple[str, str, str], ...]
    """Settings that are not what they were: name, value then, value now, both as JSON."""
    margin: float
    """Nats a token by which a clause may be worse and still pass."""
    unchanged: int
    counts: Mapping[str, int]
    """Kind of change -> how many clauses."""
    clauses: tuple[ClauseChange, ...]
    overall: tuple[tuple[str, str], ...]
    """Outcome and reason of each comparison over all clauses."""
    behaviour: tuple[Behaviour, ...]
    """Clause by clause, the greatest loss first."""
