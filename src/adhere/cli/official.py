"""`adhere official`: any models on answers marked by people, without a run."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from adhere.cli.common import Quiet, app, errors_in_words
from adhere.cli.evaluate import named, show_official
from adhere.errors import InputError


@app.command
def official(
    pairs: Path,
    *,
    system: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    out: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Any models on situations with good and bad answers marked by people, without a run.

    By likelihood alone. The model named sft+dpo, or else sft, or else dpo, or else the last one,
    is compared with each of the others.

    Parameters
    ----------
    pairs
        The situations (JSONL; docs/evaluation.md).
    system
        A model, as NAME=ADDRESS; may be given again.
    out
        Write the tables there too, as JSON.
    quiet
        Say nothing but errors and the table.
    """
    with errors_in_words():
        from adhere.engines import open_engine
        from adhere.evaluate import System
        from adhere.evaluate.official import Official, read_situations
        from adhere.progress import ConsoleProgress, NoProgress
        from adhere.settings import EvaluateSettings
        from adhere.store import write_json

        if not system:
            raise InputError("no model to score; give one with --system NAME=ADDRESS.")
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
        progress = NoProgress() if quiet else ConsoleProgress()
        found = Official(
            read_situations(pairs),
            [
                System(name=name, engine=open_engine(address, progress))
                for name, address in named(system).items()
            ],
            EvaluateSettings(),
        )
        for one in found.systems:
            one.engine.check()
        found.score(progress)
        show_official(found.report())
        if out:
            write_json(out, found.report())
