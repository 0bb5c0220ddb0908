"""Bytes to text: UTF-8 where it is, and the right guess, said aloud, where it is not."""

import codecs
import re

from adhere.errors import InputError

_WESTERN = re.compile(r"[\x00-\x7f\xa0-\xbfÀ-ÿŒœŠšŽžŸ€–—‘’‚“”„†‡•…‰‹›™]*")
_WESTERN_ODD = re.compile(r"[\xa4\xa6\xa8\xac\xaf\xb2-\xb4\xb8\xb9\xbc-\xbe×÷ÞþðÝý]|\w[¿¡]\w")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_CONTROL_SHARE = 0.01
_ACCENTED_SHARE = 0.25
_READ_AS = {"ascii": "cp1252", "iso8859-1": "cp1252"}
"""What browsers read, by the encoding that a page declares (https://encoding.spec.whatwg.org)."""


def decode(data: bytes, name: str, *, html: bool = False) -> tuple[str, tuple[str, ...]]:
    """The text of a file, and a note where it was not UTF-8; line ends become `\\n`.

    Raises InputError for a file that holds no text (NUL bytes, control characters,
    bytes that are text in no encoding).
    """
    text, encoding = _decode(data, name, html)
    if len(_CONTROLS.findall(text)) > _CONTROL_SHARE * len(text):
        raise _binary(name)
    text = _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    said = encoding.replace("cp125", "windows-125")
    return text, (f"decoded as {said}, not UTF-8",) if encoding != "utf-8" else ()


def _decode(data: bytes, name: str, html: bool) -> tuple[str, str]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace"), "utf-16"
    if b"\0" in data or data.startswith((b"%PDF-", b"PK\x03\x04")):
        raise _binary(name)
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return _guess(data, name, _declared(data) if html else None)


def _declared(data: bytes) -> str | None:
    """The encoding to read an HTML page in, by its head, where it names one.

    A page that is not UTF-8 and whose declaration can be read byte by byte is in no other UTF.
    """
    match = re.search(rb"<meta[^>]+charset=[\"']?([\w-]+)", data[:4096], re.IGNORECASE)
    try:
        name = codecs.lookup(match[1].decode()).name if match else "utf-8"
        b" ".decode(name, errors="replace")  # some of Python's codecs are not of text
    except LookupError:
        return None
    return None if name.startswith("utf") else _READ_AS.get(name, name)


def _guess(data: bytes, name: str, declared: str | None) -> tuple[str, str]:
    from charset_normalizer import from_bytes

    if declared:
        return data.decode(declared, errors="replace"), declared
    # charset-normalizer is weak on short Western text, the likeliest case of all.
    western = data.decode("cp1252", errors="replace")
    if _is_western(western):
        return western, "cp1252"
    best = from_bytes(data).best()
    if best is None:
        raise _binary(name)
    return str(best), best.encoding


def _is_western(text: str) -> bool:
    """Whether text read as windows-1252 looks like a Western European language."""
    letters = [character for character in text if character.isalpha()]
    accented = sum(character > "\x7f" for character in letters)
    return (
        accented <= _ACCENTED_SHARE * len(letters)
        and _WESTERN.fullmatch(text) is not None
        and _WESTERN_ODD.search(text) is None
    )


def _binary(name: str) -> InputError:
    return InputError(
        f"{name}: holds binary data, not text. Name it by its true format (.pdf, .docx, .html), "
        "or save it as plain text in UTF-8."
    )
