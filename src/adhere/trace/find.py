"""An id of a run by its beginning, and the nearest ones where there is none."""

import difflib

from adhere.errors import InputError
from adhere.trace.run import RunRecords


def find(records: RunRecords, wanted: str) -> str:
    """The id that `wanted` is, or is the unambiguous beginning of.

    Raises InputError naming the candidates, or the nearest ids where there are none.
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
    near = difflib.get_close_matches(wanted, kinds, n=3, cutoff=0)
    shown = [f"{key} ({kinds[key]})" for key in near]
    raise InputError(f"'{wanted}' is no id of this run; the nearest are {', '.join(shown)}.")
