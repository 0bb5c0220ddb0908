"""What every command shares: the app, its flags, a run's settings, errors in one sentence.

Nothing heavy is imported before a command starts to work.
"""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from cyclopts import App, CycloptsError, Group, Parameter
from pydantic import ValidationError, create_model

from adhere.errors import AdhereError, InputError, in_words
from adhere.files import RUN_FILE
from adhere.processes import from_first, is_first, place
from adhere.settings import Choices, RunSettings, Settings, explain

_INTERRUPTED = 130
_UNREAD = 141
"""As a shell has it of a program that ended since nobody read on (128 + SIGPIPE)."""

app = App(
    name="adhere",
    help="Align a language model to the values in your documents, and measure, clause by clause, "
    "how far it follows them.",
    help_format="markdown",
)

Command = TypeVar("Command", bound=Callable[..., None])
Flag = Annotated[bool, Parameter(negative=())]
Quiet = Annotated[bool, Parameter(name=("--quiet", "-q"), negative=())]


def with_flags(*sections: str) -> Callable[[Command], Command]:
    """Make a command's `settings` flags for these sections of the run file.

    In `--help` each section has a panel of its own.
    """
    fields: dict[str, Any] = {}
    for order, name in enumerate(sections):
        default = Choices.model_fields[name].default
        about = f"{name}: {type(default).__doc__}".rstrip(".")
        group = Group(about, sort_key=order)
        fields[name] = (Annotated[type(default), Parameter(group=group)], default)
    chosen = create_model("Chosen", __base__=Settings, **fields)

    def told(command: Command) -> Command:
        shown = Parameter(name="*") if sections else Parameter(parse=False)
        command.__annotations__["settings"] = Annotated[chosen | None, shown]
        return command

    return told


def main() -> None:
    """The entry point of the `adhere` command."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with _output_may_close():
        try:
            app(sys.argv[1:], print_error=False, exit_on_error=False, result_action="return_none")
        except CycloptsError as error:
            cause = error.__cause__
            said = explain(cause, "flags") if isinstance(cause, ValidationError) else str(error)
            command = " ".join(("adhere", *(error.command_chain or ())))
            fail(f"{said} `{command} --help` lists what there is.", 2)


@contextmanager
def _output_may_close() -> Generator[None]:
    """A reader that has had enough, as `head`, ends the command without a word."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
        sys.exit(_UNREAD)


@contextmanager
def errors_in_words() -> Generator[None]:
    """One sentence instead of a traceback for what the user can put right."""
    try:
        yield
    except AdhereError as error:
        fail(str(error), error.exit_code)
    except BrokenPipeError:
        raise  # main ends without a word
    except OSError as error:
        fail(in_words(error), 2)
    except KeyboardInterrupt:
        if not is_first():
            sys.exit(_INTERRUPTED)
        fail("Interrupted. Everything finished is kept; the same command goes on.", _INTERRUPTED)


def fail(message: str, code: int) -> NoReturn:
    print(f"adhere: {place()}{message}", file=sys.stderr)
    sys.exit(code)


def saved(run: Path) -> RunSettings:
    if not (run / RUN_FILE).exists():
        raise InputError(
            f"{run}: no run here (no {RUN_FILE}); start one with "
            f"`adhere run DOCUMENTS --out {run}`."
        )
    return RunSettings.read(run / RUN_FILE)


def keep(run: Path, settings: RunSettings) -> None:
    """Write the run's settings where they are others, unless another adhere works there."""
    from adhere.store import alone_in

    path = run / RUN_FILE
    if from_first(lambda: not path.exists() or RunSettings.read(path) != settings):
        with alone_in(run):
            from_first(lambda: settings.write(path))


def merged(saved: RunSettings, flags: Settings | None) -> RunSettings:
    given: dict[str, Any] = flags.model_dump(exclude_unset=True) if flags else {}
    return saved.merge(given, "flags")
