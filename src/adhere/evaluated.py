"""Whether a run's evaluation is of the run as it is now."""

from pathlib import Path
from typing import Any

from adhere.errors import InputError
from adhere.review import require_reviewed
from adhere.store import read_summary, require_current


def require_evaluated(run: Path) -> dict[str, Any]:
    """The summary of the run's evaluation.

    Raises InputError where there is none, or it is not of the model, clauses and rows that are
    there; with the aligned model's own trainings, since it may lie over a checkpoint that changed.
    So it does where a person's decisions about clauses or rows are others now.
    """
    summary = read_summary(run)
    if not summary:
        raise InputError(f"{run}: not evaluated yet; run `adhere evaluate {run}` first.")
    require_current(run, ("sft", "dpo", "evaluate"))
    require_reviewed(run)
    return summary


def outdated(run: Path) -> str:
    """Why the results of a run are not of what is there now; empty where they are, or are none."""
    if not read_summary(run):
        return ""
    try:
        require_evaluated(run)
    except InputError as error:
        return str(error)
    return ""
