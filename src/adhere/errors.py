"""The errors that adhere raises on purpose.

Every message names the place and the remedy; the CLI prints it as one sentence
and leaves with `exit_code`, without a traceback.
"""


class AdhereError(Exception):
    """Something that the user can put right. The message says what and how."""

    exit_code = 2


class InputError(AdhereError):
    """A document, a run folder or another file of the user's cannot be used."""


class SettingsError(AdhereError):
    """A setting or a model name is unknown, or its value is out of range."""


class EngineError(AdhereError):
    """A model cannot be reached, loaded, or cannot do what is asked of it."""


class UnreachableError(EngineError):
    """A model's server is not there, or no longer."""


class NoLikelihoodError(EngineError):
    """An engine answers, but cannot say how likely a given text is."""


class MissingExtraError(AdhereError):
    """An optional package is not installed; the message holds the `pip install` line."""


def in_words(error: OSError) -> str:
    """`code.md: Permission denied.`"""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}."
