"""An id of a run by its beginning, and the nearest ones where there is none."""

import difflib
from collections.abc import Mapping

from adhere.errors import InputError
from adhere.trace.run import Kind, RunRecords


def find(records: RunRecords, wanted: str) -> str:
    """The id that `wanted` is, or is the unambiguous beginning of.

    Raises InputError naming the candidates, what keeps a probe without this answer, or the
    nearest ids where there is nothing of the kind.
    """
    kinds = records.kinds()
    if wanted in kinds:
        return wanted
    # A sentence that was passed over is PASSAGE:START-END; its passage is meant without the colon.
    begun = sorted(
        key
        for key in kinds
        if wanted and key.startswith(wanted) and (":" in key) <= (":" in wanted)
    )
    if len(begun) == 1:
        return begun[0]
    shown = [f"{key} ({kinds[key]})" for key in begun[:5]]
    if begun:
        more = f" and {len(begun) - 5} more" if len(begun) > 5 else ""
        raise InputError(f"'{wanted}' begins several ids: {', '.join(shown)}{more}.")
    if why := _unanswered(records, kinds, wanted):
        raise InputError(why)
    near = difflib.get_close_matches(wanted, kinds, n=3, cutoff=0)
    shown = [f"{key} ({kinds[key]})" for key in near]
    raise InputError(f"'{wanted}' is no id of this run; the nearest are {', '.join(shown)}.")


def _unanswered(records: RunRecords, kinds: Mapping[str, Kind], wanted: str) -> str:
    """Why there is no answer `SYSTEM:PROBE`; empty where `wanted` is not of that form."""
    system, _, probe = wanted.rpartition(":")
    kind = kinds.get(probe)
    if not system or kind not in ("probe", "situation"):
        return ""
    if kind == "probe" and probe not in records.kept:
        return f"'{wanted}': the probe was dropped, so no system is asked it; trace {probe}."
    systems = list(dict.fromkeys(answer.system for answer in records.answered().values()))
    if not systems:
        return f"'{wanted}': the {kind} is not evaluated yet; `adhere evaluate RUN` first."
    if system not in systems:
        return f"'{wanted}': '{system}' is not evaluated; those that are: {', '.join(systems)}."
    return f"'{wanted}': '{system}' has no answer to this {kind}; trace {probe} says why."
