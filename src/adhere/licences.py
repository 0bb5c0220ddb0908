"""The licences of a run's documents, as the user states them; adhere looks none up."""

from collections.abc import Sequence

from adhere.errors import InputError
from adhere.records import Document


def read_licences(given: Sequence[str], documents: Sequence[Document]) -> dict[str, str]:
    """Document name -> licence, empty where none is stated.

    Each of `given` is the licence of one document (NAME=LICENCE), or that of all which have
    none of their own. Raises InputError for a name that no document has, and for a second
    licence of the same.
    """
    names = [document.name for document in documents]
    found: dict[str, str] = {}
    for text in given:
        name = max((one for one in names if text.startswith(f"{one}=")), key=len, default="")
        if "=" in text and not name:
            raise InputError(
                f"--licence {text}: no document of that name; the run's are {', '.join(names)}."
            )
        if name in found:
            raise InputError(f"--licence {text}: {name or 'all documents'} had one already.")
        found[name] = text.removeprefix(f"{name}=")
    return {name: found.get(name, found.get("", "")) for name in names}
