"""Random models of each family that can be exported, with tokenizers made here."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

CHATML = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = [
    "Staff must refuse any gift worth more than 50 euros, and report it.",
    "Don't take what isn't yours; everyone's rights are equal, since 1948.",
    "Who asks for help is given help. The keys hang by the door, and stay there.",
] * 3
SPLITS = {
    "qwen2": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ),
    "smollm": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    ),
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
}
_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_CONFIGS: dict[str, tuple[type[Any], dict[str, Any], str]] = {
    "llama": (LlamaConfig, {"tie_word_embeddings": True}, "smollm"),
    "mistral": (MistralConfig, {"sliding_window": 128, "tie_word_embeddings": False}, "smollm"),
    "qwen2": (Qwen2Config, {"tie_word_embeddings": True}, "qwen2"),
    "qwen3": (Qwen3Config, {"head_dim": 32, "tie_word_embeddings": False}, "qwen2"),
}
FAMILIES = tuple(_CONFIGS)
UNUSED = 3
"""Rows of the embeddings that no token has."""


def save_tokenizer(folder: Path, split: str) -> int:
    """A byte-level BPE tokenizer; returns the number of its tokens."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = SPLITS[split]
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(TEXT, trainer)
    raw.add_tokens(["<tool>"])
    _save(raw, folder, eos=SPECIAL[2], pad=SPECIAL[0])
    return raw.get_vocab_size()


def save_sentencepiece(folder: Path) -> int:
    """A tokenizer as Llama 2's and Mistral's are read by `tokenizers`."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("r", "e")]
    pieces += [left + right for left, right in merges] + list("▁therofspw")
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    raw = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    raw.add_special_tokens(pieces[:3])
    _save(raw, folder, eos="</s>", pad="<unk>", unk="<unk>", bos="<s>")
    return len(pieces)


def _save(raw: Tokenizer, folder: Path, *, eos: str, pad: str, **more: str) -> None:
    fast = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=eos, pad_token=pad, **more)
    fast.chat_template = CHATML
    fast.save_pretrained(folder)


def save_checkpoint(folder: Path, family: str, **changes: Any) -> Path:
    """A whole bfloat16 checkpoint; biases and norms are random too, so that none is overlooked."""
    kind, settings, split = _CONFIGS[family]
    size = save_tokenizer(folder, split) + UNUSED
    torch.manual_seed(0)
    config = kind(**{**_SIZES, **settings, "vocab_size": size, **changes})
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.ndim == 1:
                values.add_(torch.randn_like(values) * 0.1)
            assert values.any(), name
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder
