"""How alike two texts are in their characters: for near-duplicates and leaks."""

import re

_LENGTH = 5

Shingles = frozenset[bytes]


def shingles(text: str) -> Shingles:
    """The character 5-grams of the text's words in lower case; a short text is one of its own."""
    plain = " ".join(re.findall(r"\w+", text.casefold()))
    places = range(max(1, len(plain) - _LENGTH + 1))
    return frozenset(plain[place : place + _LENGTH].encode() for place in places)


def jaccard(one: Shingles, other: Shingles) -> float:
    """The share of their union that both have, 0 to 1."""
    return len(one & other) / len(one | other)
