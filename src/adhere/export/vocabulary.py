"""A checkpoint's tokenizer in the terms of GGUF."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from adhere.errors import EngineError

if TYPE_CHECKING:
    from gguf import GGUFWriter

Json = Mapping[str, Any]

_WORDS_AND_NUMBERS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}"
    r"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_CASED_WORDS = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT2 = "ByteLevel, its own expression"
_PLAIN = "ByteLevel"
PRE_TOKENIZERS: Mapping[tuple[str, ...], str] = {
    (_GPT2,): "gpt-2",
    ("Digits, one by one", _GPT2): "smollm",
    (_WORDS_AND_NUMBERS.format(digits=""), _PLAIN): "qwen2",
    (_WORDS_AND_NUMBERS.format(digits="{1,3}"), _PLAIN): "llama-bpe",
    (_CASED_WORDS, _PLAIN): "tekken",
}
"""How a tokenizer splits text before it merges bytes -> llama.cpp's name for that (its
`llama-vocab.cpp`), which is all that a GGUF file says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a GGUF file says of a tokenizer, apart from special tokens and chat template."""

    kind: Literal["gpt2", "llama"]
    """Byte-level BPE, or SentencePiece's BPE with bytes for what it does not know."""
    pre: str
    """How text is split first; llama.cpp's name."""
    tokens: list[str]
    types: list[int]
    """`gguf.TokenType` of each."""
    scores: list[float]
    """Of SentencePiece: the higher, the earlier two pieces are joined to this one."""
    space_prefix: bool
    """A space is put before the text."""


def read_vocabulary(checkpoint: Path, size: int) -> Vocabulary:
    """The tokenizer of a checkpoint's folder, padded to the `size` of its embeddings.

    Raises EngineError for a tokenizer that GGUF has no words for.
    """
    tokenizer: Json = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    model: Json = tokenizer["model"]
    if model["type"] != "BPE":
        raise EngineError(f"its tokenizer is of the kind {model['type']}, not BPE")
    tokens, types = _tokens(tokenizer, size)
    if model.get("byte_fallback"):
        return Vocabulary(
            kind="llama",
            pre="default",
            tokens=tokens,
            types=types,
            scores=_scores(tokens, _merges(model)),
            space_prefix=_space_prefix(tokenizer),
        )
    return Vocabulary(
        kind="gpt2",
        pre=_pre_tokenizer(tokenizer),
        tokens=tokens,
        types=types,
        scores=[],
        space_prefix=False,
    )


def write_vocabulary(writer: "GGUFWriter", checkpoint: Path, size: int) -> str:
    """Tokens, merges, special tokens and chat template; returns the vocabulary's `pre`.

    Raises as `read_vocabulary` does.
    """
    from gguf import SpecialVocab

    found = read_vocabulary(checkpoint, size)
    writer.add_tokenizer_model(found.kind)
    writer.add_tokenizer_pre(found.pre)
    writer.add_token_list(found.tokens)
    writer.add_token_types(found.types)
    if found.scores:
        writer.add_token_scores(found.scores)
    writer.add_add_space_prefix(found.space_prefix)
    special = SpecialVocab(checkpoint, load_merges=found.kind == "gpt2", n_vocab=size)
    # llama.cpp has defaults of its own where a file does not say.
    special.add_special_token.setdefault("bos", False)
    special.add_to_gguf(writer, quiet=True)
    return found.pre


def _tokens(tokenizer: Json, size: int) -> tuple[list[str], list[int]]:
    """Each token's text and type; a number that no token has becomes an unused one."""
    from gguf import TokenType

    model: Json = tokenizer["model"]
    bytes_apart = bool(model.get("byte_fallback"))
    found = {
        number: (text, TokenType.BYTE if bytes_apart and _is_byte(text) else TokenType.NORMAL)
        for text, number in model["vocab"].items()
    }
    for added in tokenizer.get("added_tokens", []):
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        if bytes_apart and added["content"] == model.get("unk_token"):
            kind = TokenType.UNKNOWN
        found[added["id"]] = (added["content"], kind)
    if max(found) >= size:
        raise EngineError(f"its tokenizer has the token {max(found)}, its embeddings end at {size}")
    rows = [found.get(number, (f"[PAD{number}]", TokenType.UNUSED)) for number in range(size)]
    return [text for text, _ in rows], [int(kind) for _, kind in rows]


def _is_byte(text: str) -> bool:
    return len(text) == 6 and text.startswith("<0x") and text.endswith(">")


def _merges(model: Json) -> list[tuple[str, str]]:
    """As pairs: `tokenizers` has also written them as one text with a space."""
    return [
        (merge[0], merge[1]) if isinstance(merge, list) else tuple(merge.split(" ", 1))
        for merge in model["merges"]
    ]


def _scores(tokens: Sequence[str], merges: Sequence[tuple[str, str]]) -> list[float]:
    """SentencePiece joins the pair of the highest score first: minus the place of its merge.

    `tokenizers` has merges instead of scores, sorted by the scores that they were made from.
    """
    places: dict[str, int] = {}
    for place, (left, right) in enumerate(merges, 1):
        places.setdefault(left + right, place)
    return [-float(places.get(token, 0)) for token in tokens]


def _pre_tokenizer(tokenizer: Json) -> str:
    normalizer: Json | None = tokenizer.get("normalizer")
    if normalizer and normalizer["type"] != "NFC":  # Qwen's; llama.cpp leaves it out too
        raise EngineError(f"its tokenizer changes the text first ({normalizer['type']})")
    parts: Json | None = tokenizer.get("pre_tokenizer")
    steps = parts.get("pretokenizers", [parts]) if parts else []
    shape = tuple(_step(step) for step in steps)
    if shape not in PRE_TOKENIZERS:
        raise EngineError(
            f"its tokenizer splits text in a way that llama.cpp has no name for here ({shape})"
        )
    return PRE_TOKENIZERS[shape]


def _step(step: Json) -> str:
    match step:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return _GPT2
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}:
            return _PLAIN
        case {"type": "Digits", "individual_digits": True}:
            return "Digits, one by one"
        case {"type": "Split", "behavior": "Isolated", "invert": False, "pattern": pattern}:
            return pattern.get("Regex", "")
        case _:
            return json.dumps(step)


def _space_prefix(tokenizer: Json) -> bool:
    """SentencePiece's: as a normalizer that prepends, or as a Metaspace that does."""
    normalizer: Json = tokenizer.get("normalizer") or {}
    steps = normalizer.get("normalizers", [normalizer])
    metaspace: Json = tokenizer.get("pre_tokenizer") or {}
    return any(step.get("type") == "Prepend" for step in steps) or (
        metaspace.get("type") == "Metaspace" and metaspace.get("prepend_scheme") != "never"
    )
