"""The tokenizer, the model and the adapter that are trained."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adhere.engines.adapters import require_adapter
from adhere.engines.device import has_bfloat16
from adhere.errors import AdhereError, EngineError, InputError, MissingExtraError
from adhere.processes import is_sharded
from adhere.settings import TrainSettings

_SHORT = 256
"""Tokens up to which plain attention is the fastest on a CPU, and needs little memory."""


def load_tokenizer(model: Path) -> Any:
    """Raises EngineError for one that cannot be loaded or cannot write an assistant's turn."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise EngineError(f"{model}: no tokenizer can be loaded from here: {error}") from error
    if not tokenizer.chat_template:
        raise EngineError(f"{model}: its tokenizer has no chat template; use an instruct model.")
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "reply"}]
    if "reply" not in tokenizer.apply_chat_template(turns, tokenize=False):
        raise EngineError(
            f"{model}: its chat template leaves out what the assistant says, so there is nothing "
            "to train on; use an instruct model, or mend chat_template.jinja."
        )
    return tokenizer


def tuning_problems(tuning: str) -> Iterator[AdhereError]:
    """What this machine lacks to tune in this way."""
    if tuning != "qlora":
        return
    import torch

    if not torch.cuda.is_available():
        yield EngineError("tuning = 'qlora' needs a CUDA GPU, and there is none; take 'lora'.")
    if find_spec("bitsandbytes") is None:
        yield MissingExtraError(
            "tuning = 'qlora' needs the package 'bitsandbytes'; pip install 'adhere[qlora]'."
        )


def check_tuning(tuning: str) -> None:
    """Raise EngineError or MissingExtraError where this machine cannot tune in this way."""
    for problem in tuning_problems(tuning):
        raise problem


def load_policy(
    model: Path, adapter: Path | None, settings: TrainSettings, longest: int
) -> tuple[Any, Any]:
    """What is to be trained on rows of up to `longest` tokens, and its new adapter's config.

    The config is None where no adapter is to be made: with `adapter`, which is
    trained further, and in full tuning, where an adapter is merged first. Raises
    InputError where `adapter` is not of the rank and alpha that the settings ask for.
    """
    if adapter is not None and settings.tuning != "full":
        _require_shape(adapter, settings)
    base = load_model(model, longest, settings.tuning)
    if adapter is None:
        return base, None if settings.tuning == "full" else new_adapter(settings)
    policy = load_adapter(base, adapter)
    if settings.tuning != "full":
        return policy, None
    return policy.merge_and_unload().requires_grad_(True), None  # PEFT had frozen them


def load_model(model: Path, longest: int, tuning: str = "lora") -> Any:
    """The model, for rows of up to `longest` tokens.

    Frozen weights are bfloat16 where the machine multiplies bfloat16: autocast would round
    float32 ones anew in every step. Weights that are trained themselves are float32 everywhere:
    small steps are lost in bfloat16. On a CPU plain attention trains short rows a fifth faster
    than the fused one (benchmarks/training.py measures the whole).
    """
    import torch
    from transformers import AutoModelForCausalLM

    check_tuning(tuning)
    cuda = torch.cuda.is_available()
    short = has_bfloat16() and tuning != "full"
    options: dict[str, Any] = {"quantization_config": _four_bits()} if tuning == "qlora" else {}
    try:
        return AutoModelForCausalLM.from_pretrained(
            model,
            dtype=torch.bfloat16 if short else torch.float32,
            attn_implementation="eager" if not cuda and longest <= _SHORT else "sdpa",
            **options,
        )
    except (OSError, ValueError) as error:
        raise EngineError(f"{model}: no model can be loaded from here: {error}") from error


def _four_bits() -> Any:
    """As in QLoRA (Dettmers et al. 2023, arXiv 2305.14314): NF4, its constants quantised too.

    FSDP spreads floating-point weights only, so for it the 4-bit ones are stored as such
    (bitsandbytes, "FSDP-QLoRA").
    """
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16 if is_sharded() else torch.uint8,
    )


def train_in_float32(model: Any) -> None:
    """Let what is trained be float32 again, before the optimiser is made.

    Over 4-bit weights TRL 1.16 makes it bfloat16, where small steps are lost.
    """
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def _require_shape(adapter: Path, settings: TrainSettings) -> None:
    from peft import LoraConfig

    require_adapter(adapter)
    made: Any = LoraConfig.from_pretrained(str(adapter))
    for name, has, wanted in (
        ("lora_rank", made.r, settings.lora_rank),
        ("lora_alpha", made.lora_alpha, settings.lora_alpha),
    ):
        if has != wanted:
            raise InputError(
                f"{adapter}: the training goes on from this adapter of {name} {has}, and its own "
                f"{name} is {wanted}; set it to {has}, or train this adapter again with {wanted}."
            )


def load_adapter(base: Any, adapter: Path) -> Any:
    """The adapter on its base, to be trained further."""
    from peft import PeftModel

    require_adapter(adapter)
    return PeftModel.from_pretrained(base, str(adapter), is_trainable=True)


def new_adapter(settings: TrainSettings) -> Any:
    """LoRA on every linear layer but the head, without dropout.

    Alpha is not tied to the rank: held constant, the best learning rate hardly
    depends on the rank (Schulman et al. 2025, "LoRA Without Regret").
    """
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
