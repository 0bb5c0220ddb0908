"""`adhere export-inspect`: a run's evaluation, for Inspect's viewer."""

from pathlib import Path

from adhere.cli.common import app, errors_in_words, saved


@app.command
def export_inspect(run: Path, *, out: Path | None = None) -> None:
    """A run's evaluation as logs that Inspect's viewer opens, one for each system.

    Parameters
    ----------
    run
        The run's folder, with `evaluate` done.
    out
        The folder to write [default: `inspect` in the run's folder].
    """
    with errors_in_words():
        from adhere.inspect_logs import DEFAULT, export_logs

        settings, folder = saved(run), out or run / DEFAULT
        logs = export_logs(run, settings, folder)
        print(*logs, sep="\n")
        print(f"To look at them: inspect view --log-dir {folder}")
