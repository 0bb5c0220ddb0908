"""Small things about human language that several stages need: sentences, language, size."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal

import sentencex

MARKER = re.compile(r"(?:[-*•]|\(?(?:\d+(?:\.\d+)*|[A-Za-z]|[ivxlcIVXLC]+)[.)])\s+")
"""What an item of a list begins with, and the white space after it."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LANGUAGE_SAMPLE = 20_000
_WIDE_CHARACTER = 3
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # kana
    (0x3400, 0x4DBF),  # Chinese characters, extension A
    (0x4E00, 0x9FFF),  # Chinese characters
    (0xF900, 0xFAFF),  # compatibility forms
    (0x20000, 0x3FFFF),  # further extensions
)

YES_NO = {
    "ar": ("نعم", "لا"),
    "de": ("Ja", "Nein"),
    "en": ("Yes", "No"),
    "es": ("Sí", "No"),
    "fr": ("Oui", "Non"),
    "it": ("Sì", "No"),
    "ja": ("はい", "いいえ"),
    "pt": ("Sim", "Não"),
    "zh": ("是的", "不"),
}
"""Language -> yes and no; other languages are treated as English."""


def yes_no(language: str) -> tuple[str, str]:
    return YES_NO.get(language, YES_NO["en"])


def says_yes(answer: str, language: str) -> bool:
    """Whether the answer's first word is the language's yes."""
    return _says(yes_no(language)[0], answer)


def says_no(answer: str, language: str) -> bool:
    """Whether the answer's first word is the language's no, and not "No one may"."""
    return _says_no(yes_no(language)[1], answer)


def first_word(answer: str, language: str) -> tuple[str, str] | None:
    """The language's yes or no that the answer begins with, and the other; None if neither."""
    yes, no = yes_no(language)
    if says_yes(answer, language):
        return yes, no
    return (no, yes) if says_no(answer, language) else None


def side(answer: str) -> Literal["yes", "no"] | None:
    """Whether the answer's first word is yes or no in any language that we know; None if neither.

    What is yes in one of them is no in none.
    """
    if any(_says(yes, answer) for yes, _ in YES_NO.values()):
        return "yes"
    return "no" if any(_says_no(no, answer) for _, no in YES_NO.values()) else None


def _says(word: str, answer: str) -> bool:
    opening, word = _spoken(answer).casefold(), word.casefold()
    return opening.startswith(word) and not opening[len(word) : len(word) + 1].isalpha()


def _spoken(answer: str) -> str:
    """From its first word on: what is before it are quotes, marks of emphasis or a bullet."""
    return re.sub(r"\A[\W_]+", "", answer)


def _says_no(word: str, answer: str) -> bool:
    """As an answer: not where the word goes on, as in "No one may ..." or "No person"."""
    rest = _spoken(answer)[len(word) :]
    return _says(word, answer) and not re.match(r" \w", rest)


def sentence_spans(text: str, language: str = "en") -> list[tuple[int, int]]:
    """The sentences of `text` as (start, end) offsets, in order, without surrounding whitespace.

    Every line is taken as a unit of its own (normalised documents hold one paragraph,
    heading, list item or table row a line), so no sentence crosses a line break; a
    list marker stays with its sentence. Every non-space character lies in exactly one
    span. `language` is an ISO 639-1 code; unknown codes get sentencex's general rules.
    """
    spans: list[tuple[int, int]] = []
    offset = 0
    for line in text.splitlines(keepends=True):
        spans.extend(_strip(text, offset + a, offset + b) for a, b in _line_parts(line, language))
        offset += len(line)
    return [(start, end) for start, end in spans if start < end]


def _line_parts(line: str, language: str) -> Iterator[tuple[int, int]]:
    """Consecutive parts of a line, one a sentence, that together are the whole line."""
    indent = len(line) - len(line.lstrip())
    marker = MARKER.match(line, indent)
    body = marker.end() if marker else indent
    parts = sentencex.segment(language, line[body:])
    if "".join(parts) != line[body:]:
        parts = [line[body:]]
    start, end = 0, body
    for part in parts:
        end += len(part)
        yield start, end
        start = end
    if start < len(line):
        yield start, len(line)


def _strip(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def detect_language(text: str) -> str:
    """The ISO 639-1 code of the language that most of `text` is written in (py3langid)."""
    import py3langid

    language, _ = py3langid.classify(text[:_LANGUAGE_SAMPLE])
    return str(language)


def text_size(text: str) -> int:
    """The length of `text` in characters; wide (Chinese, Japanese, Korean) ones count three times.

    So one setting fits every script: the Universal Declaration of Human Rights has
    three times as many characters in English as in Chinese.
    """
    return len(text) + (_WIDE_CHARACTER - 1) * sum(map(is_wide, text))


def is_wide(character: str) -> bool:
    """Whether a character takes two columns, as Chinese, Japanese and Korean ones do."""
    return unicodedata.east_asian_width(character) in "WF"


def printable(text: str) -> str:
    """The text without control characters, which a terminal would obey; lines and tabs stay."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def words(text: str) -> list[str]:
    """Case-folded words in any script; single characters where a script has no spaces.

    On plain ASCII this equals the tokenizer of rouge-score, which drops all else.
    """
    return "".join(map(_apart, unicodedata.normalize("NFKC", text).casefold())).split()


def _apart(character: str) -> str:
    code = ord(character)
    if any(first <= code <= last for first, last in _UNSPACED):
        return f" {character} "
    # Letters, marks (vowel signs belong to their word) and numbers make words.
    return character if unicodedata.category(character)[0] in "LMN" else " "


def shortened(names: Sequence[str], most: int = 5) -> str:
    """The names after one another, and of many only the first and how many more there are."""
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])
