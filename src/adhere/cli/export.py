"""`adhere export`: a finished run's model, for others to load."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from adhere.cli.common import Quiet, app, errors_in_words, saved


@app.command
def export(
    run: Path,
    *,
    out: Path | None = None,
    system: str = "sft+dpo",
    licence: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    quiet: Quiet = False,
) -> None:
    """A finished run's model as safetensors, GGUF and Ollama Modelfile, with a model card.

    The exported files must answer a dozen of the run's probes as the trained model does.

    Parameters
    ----------
    run
        The run's folder.
    out
        Where to put it [default: `export` in the run's folder].
    system
        Which model: sft+dpo, or another that `adhere evaluate` compares (sft, dpo, document-lm).
    licence
        Of the documents, for the card: as the hub spells it (cc-by-4.0) or in words; NAME=LICENCE
        for one of several documents, by its name in the run; may be given again.
    quiet
        Say nothing but errors and the result.
    """
    with errors_in_words():
        settings = saved(run)

        from adhere.export import DEFAULT, export_run
        from adhere.progress import ConsoleProgress, NoProgress

        progress = NoProgress() if quiet else ConsoleProgress()
        exported = export_run(run, settings, out or run / DEFAULT, system, licence, progress)
        for parity in exported.parities:
            same = f"{parity.same} of {parity.prompts} answers as the trained model's"
            rest = parity.prompts - parity.same
            print(f"{parity.file}: {same}" + (f", {rest} part at a near tie" if rest else ""))
        for remark in exported.remarks:
            print(remark)
        print(f"Model: {exported.folder}")
