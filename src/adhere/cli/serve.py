"""`adhere serve`: try a run's models with any client that speaks to OpenAI."""

from pathlib import Path

from cyclopts.types import Port

from adhere.cli.common import app, errors_in_words, saved


@app.command
def serve(run: Path, *, port: Port = 8000, host: str = "127.0.0.1") -> None:
    """Serve the base and the aligned models by OpenAI's HTTP interface, until Ctrl-C.

    Parameters
    ----------
    run
        The run's folder, with a training done.
    port
        Where to listen; 0 takes any port that is free.
    host
        The address to listen on. There is no password: beyond this machine, anyone can ask.
    """
    with errors_in_words():
        from adhere.serve import serve as serve_run

        serve_run(run, saved(run), host, port)
