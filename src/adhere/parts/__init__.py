"""The parts of a rule: its reason, its exceptions, and the people it speaks of.

Found by the plain words that begin them ("because", "unless", "Members must"), by language,
beside `adhere.duty`. Precision goes before recall: an empty part is honest, a wrong one is not.
So a word that may belong to the act itself is passed over: nobody is dismissed "because they
reported" gives no reason, and what "children must be protected" binds is not the children.
The lists are our own, from each language's grammar (docs/data-quality.md has what was measured).

Chinese and Japanese say where a part ends too ("除…外", "…ため、"), so there the whole part is
the pattern; in the others it goes on to the end of the sentence, or to where the rule goes on.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from adhere.duty import MARKS
from adhere.parts.words import CONTACT, SPACED, UNSPACED
from adhere.records import Polarity

Kind = Literal["rationale", "exception"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Exact substrings of a sentence, each with the word that begins it; empty where not said."""

    rationale: str = ""
    exceptions: tuple[str, ...] = ()
    binds: str = ""


_COMMON = ("reason", "purpose", "cause")
_COUNTED: Mapping[str, tuple[Polarity, ...]] = {
    "purpose": ("required", "permitted", "aspired to"),
    "cause": ("required", "aspired to"),
    "leave": ("forbidden",),
}
"""Where a word that may belong to the act is taken as the rule's; the others are everywhere."""
_BREAK = re.compile(r"[;:](?=\s|$)|[；：؛()（）—]|\s(?:---?|–)\s|[,،]\s")
_END = " .,;:。，；、؛،"
_CONTACT = re.compile("|".join(f"(?:{words})" for words in CONTACT.values()), re.I | re.X)


@dataclass(frozen=True, slots=True)
class _Words:
    """The tables of one language, compiled."""

    within: re.Pattern[str]
    """What begins a part; in a language without spaces, the whole part."""
    opening: re.Pattern[str]
    """A part at the beginning of a sentence, up to where the rule begins."""
    rule: re.Pattern[str]
    """What the rule goes on with after a comma: its next subject and verb."""
    inside: re.Pattern[str]
    """The end of what stands before a part that the rule goes on after ("shall, ")."""
    verb: re.Pattern[str] | None
    subject: re.Pattern[str]
    """All that stands before a word that binds somebody, with whom it binds as `who`."""
    modal: re.Pattern[str]
    """A word that binds its subject; what is done to the subject binds somebody else."""
    next: re.Pattern[str]

    @classmethod
    def of(cls, words: Mapping[str, str], *, spaced: bool) -> "_Words":
        edge = r"\b" if spaced else ""
        names = ("exception", "leave", *_COMMON)
        kinds = "|".join(f"(?P<{name}>{words[name]})" for name in names)
        first = "|".join(f"(?P<{name}>{words[name]})" for name in ("exception", "leave", "opening"))
        upto = rf"{edge}[^;:]*?(?=[,،]\ (?:{words['start']})\b)" if spaced else ""
        return cls(
            within=_compiled(f"{edge}(?:{kinds}){edge}"),
            opening=_compiled(rf"\A(?:{first}){upto}"),
            rule=_compiled(_rule(words) if spaced else "(?!)"),
            inside=_compiled(
                rf"\b(?:{words['verb']})(?:\ (?:not|never|ne|pas|nicht))?[,،]\ \Z"
                if spaced
                else "(?!)"
            ),
            verb=_compiled(rf"\b(?:{words['verb']})\b") if spaced else None,
            subject=_compiled(words["subject"]),
            modal=_compiled(words["modal"]),
            next=_compiled(rf"\A(?:{words['next']})"),
        )


def _rule(words: Mapping[str, str]) -> str:
    subject = rf"(?:{words['and']}|{words['start']})\b[^,،;:]*?"
    return rf"(?:{words['stop']})\b|{subject}\b(?:{words['verb']})\b"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.VERBOSE)


@cache
def _words(language: str) -> _Words | None:
    """Compiled when first wanted, since that takes a noticeable part of a second."""
    if language in SPACED:
        return _Words.of(SPACED[language], spaced=True)
    return _Words.of(UNSPACED[language], spaced=False) if language in UNSPACED else None


def parts(sentence: str, language: str, polarity: Polarity) -> Parts:
    """The parts that a sentence plainly gives; a language without tables has none.

    `language` is an ISO 639-1 code; `polarity` is what the sentence comes to, since what is a
    reason in a duty ("because ...") may be a part of the act in a ban.
    """
    words = _words(language)
    if words is None:
        return Parts()
    places = [place for place, letter in enumerate(sentence) if not MARKS.match(letter)]
    plain = "".join(sentence[place] for place in places)

    def said(start: int, end: int) -> str:
        return sentence[places[start] : places[end - 1] + 1]

    found = [(kind, said(*span)) for kind, span in _phrases(plain, words, language, polarity)]
    who = _who(plain, words)
    return Parts(
        rationale=next((text for kind, text in found if kind == "rationale"), ""),
        exceptions=tuple(text for kind, text in found if kind == "exception"),
        binds=said(*who) if who else "",
    )


def _who(text: str, words: _Words) -> tuple[int, int] | None:
    """The span of whom the first word that binds is said of, where that is plain."""
    for modal in words.modal.finditer(text):
        subject = words.subject.fullmatch(text, 0, len(text[: modal.start()].rstrip()))
        if subject and not (words.verb and words.verb.search(subject["who"])):
            return subject.span("who")
    return None


def says_why(sentence: str, language: str) -> bool:
    """Whether a sentence plainly gives the reason of the one before it ("This is because ...")."""
    words = _words(language)
    return bool(words and words.next.match(sentence))


def names_contact(sentence: str) -> bool:
    """Whether a sentence says whom to tell, ask or turn to, in one of our languages."""
    return bool(_CONTACT.search(sentence))


def cut_out(sentence: str, phrases: Iterable[str]) -> str:
    """A sentence without its exceptions, and without the commas or brackets that held them."""
    for phrase in phrases:
        sentence = sentence.replace(phrase, "\0", 1)
    bare = re.sub(r"\(\s*\0\s*\)|[,،，、]\s*\0\s*[,،，、]|[,،，、]?\s*\0", " ", sentence)
    bare = re.sub(r"\s+([.,;:،，、。；：])", r"\1", " ".join(bare.split())).lstrip(" ,،，、")
    return bare[:1].upper() + bare[1:]


def _phrases(
    text: str, words: _Words, language: str, polarity: Polarity
) -> Iterator[tuple[Kind, tuple[int, int]]]:
    """The reasons and exceptions of a sentence, in their order; none lies within another."""
    reached = 0
    if first := words.opening.match(text):
        reached = first.end()
        yield _kind(first), _trimmed(text, first.start(), reached)
    for match in words.within.finditer(text, reached):
        counted = polarity in _COUNTED.get(str(match.lastgroup), (polarity,))
        if match.start() < reached or not counted or not _follows_rule(text, match, words):
            continue
        reached = _end(text, match, words)
        start, end = _trimmed(text, match.start(), reached)
        if end > match.end() or match.lastgroup == "leave" or not words.verb:
            yield _kind(match), (start, end)


def _kind(match: re.Match[str]) -> Kind:
    return "exception" if match.lastgroup in ("exception", "leave") else "rationale"


def _follows_rule(text: str, match: re.Match[str], words: _Words) -> bool:
    """Whether the rule is said before the part begins: "Nobody except the captain may sail" is not
    cut, since its end would be a guess."""
    if words.verb is None or _kind(match) == "rationale":
        return True
    if re.search(r"[,،(]\s*$", text[: match.start()]):
        return True
    return bool(words.verb.search(text, 0, match.start())) or not words.verb.search(
        text, match.end()
    )


def _end(text: str, part: re.Match[str], words: _Words) -> int:
    """Where a part ends: where the rule goes on, or the sentence ends.

    The rule goes on at a semicolon, a dash, after a closing bracket, and at a comma before
    another part or another verb; "shall, without leave, sail" goes on at the next comma.
    """
    if words.verb is None:
        return part.end()
    inside = words.inside.search(text, 0, part.start())
    opened = 0
    for mark in _BREAK.finditer(text, part.end()):
        sign, after = mark[0].strip(), mark.end()
        if sign in "(（":
            opened += 1
        elif sign in ")）" and opened:
            opened -= 1
        elif sign not in ",،" or inside or _goes_on(text, after, part, words):
            return mark.start()
    return len(text)


def _goes_on(text: str, start: int, part: re.Match[str], words: _Words) -> bool:
    """Whether the rule goes on at `start`, or another part begins there; a comma stands before.

    A verb without a subject is the rule's after "except ...", and the reason's own after
    "so that everyone, ...,".
    """
    if words.verb and _kind(part) == "exception" and words.verb.match(text, start):
        return True
    return bool(words.within.match(text, start) or words.rule.match(text, start))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    return start, start + len(text[start:end].rstrip(_END))
