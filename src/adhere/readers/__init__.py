"""Readers: one function a format, from a file's bytes to normalised text."""

from collections.abc import Callable
from pathlib import Path

from adhere.errors import InputError
from adhere.readers.blocks import Heading, Reading
from adhere.readers.html import read_docx, read_html, read_markdown
from adhere.readers.pdf import read_pdf
from adhere.readers.plain import read_text

__all__ = ["FORMATS", "Heading", "Reading", "read_file"]

Reader = Callable[[bytes, str], Reading]

FORMATS: dict[str, tuple[str, Reader]] = {
    ".md": ("markdown", read_markdown),
    ".markdown": ("markdown", read_markdown),
    ".txt": ("text", read_text),
    ".text": ("text", read_text),
    ".html": ("html", read_html),
    ".htm": ("html", read_html),
    ".pdf": ("pdf", read_pdf),
    ".docx": ("docx", read_docx),
}
"""File suffix -> (name of the format, its reader)."""


def read_file(path: Path, data: bytes) -> Reading:
    """Read `data`, the content of `path`, by the file's suffix.

    Raises InputError, naming the file and the remedy, for a format that is not
    known, a file that is damaged, encrypted, scanned or binary, and one without text.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"{path}: files of the kind '{path.suffix}' cannot be read; "
            f"known are {', '.join(FORMATS)}. Convert the file to one of them."
        )
    if not data.strip():
        raise InputError(f"{path}: the file is empty. Put text into it, or leave it out.")
    _, reader = FORMATS[path.suffix.lower()]
    reading = reader(data, str(path))
    if not reading.text.strip():
        raise InputError(f"{path}: holds no text to read. Put text into it, or leave it out.")
    return reading
