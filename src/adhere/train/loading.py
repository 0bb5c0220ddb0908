"""The tokenizer, the model and the adapter that are trained."""

from pathlib import Path
from typing import Any

from adhere.errors import EngineError, InputError

LORA_ALPHA = 32
"""The adapter's update is scaled by alpha / rank. Held constant, so that the best learning rate
hardly depends on the rank (Schulman et al. 2025, "LoRA Without Regret")."""

_SHORT = 256
"""Tokens up to which plain attention is the fastest on a CPU, and needs little memory."""


def load_tokenizer(model: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise EngineError(f"{model}: no tokenizer can be loaded from here: {error}") from error
    if not tokenizer.chat_template:
        raise EngineError(f"{model}: its tokenizer has no chat template; use an instruct model.")
    return tokenizer


def load_model(model: Path, longest: int) -> Any:
    """The model, for rows of up to `longest` tokens.

    On a GPU its weights are bfloat16. On a CPU they are float32 and are cast as it
    computes, which trained faster than bfloat16 weights (SmolLM2-135M, 517 against
    407 tokens a second on 2 cores), and on short rows plain attention trains a
    fifth faster than the fused one.
    """
    import torch
    from transformers import AutoModelForCausalLM

    cuda = torch.cuda.is_available()
    try:
        return AutoModelForCausalLM.from_pretrained(
            model,
            dtype=torch.bfloat16 if cuda and has_bfloat16() else torch.float32,
            attn_implementation="eager" if not cuda and longest <= _SHORT else "sdpa",
        )
    except (OSError, ValueError) as error:
        raise EngineError(f"{model}: no model can be loaded from here: {error}") from error


def load_adapter(base: Any, adapter: Path) -> Any:
    """The adapter on its base, to be trained further."""
    from peft import PeftModel

    if not (adapter / "adapter_config.json").exists():
        raise InputError(f"{adapter}: no adapter is here; train one with `adhere sft` first.")
    return PeftModel.from_pretrained(base, str(adapter), is_trainable=True)


def new_adapter(rank: int) -> Any:
    """LoRA on every linear layer but the head, without dropout."""
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=LORA_ALPHA,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def has_bfloat16() -> bool:
    """Whether this machine multiplies bfloat16 in hardware."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
