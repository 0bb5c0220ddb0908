"""Whether a training fits in memory, estimated before the model is loaded.

    weights      parameters x bytes each: 4 (float32), 2 (bfloat16), 0.5 (4 bits); weights that
                 are trained are float32, and bfloat16 autocast keeps them a second time
    training     LoRA: 16 bytes a parameter of the adapter (weight, gradient, two moments of
                 Adam, float32 each); full: 12 a parameter of the model (the weight is above)
    activations  tokens at a time x layers x (34 hidden + 5 heads x length) bytes in bfloat16
                 (Korthikanti et al. 2022, arXiv 2205.05198, eq. 2); where they are computed
                 twice, 2 hidden a layer, and one layer in full. LoRA keeps inputs and outputs
                 of its layers too: 2 bytes a token for each of them. In float32 all twice

Of several processes each has its share of weights and training under FSDP.
The logits are not in it: TRL computes them in tiles. The estimate is good within a factor of
two: SmolLM2-135M is measured in tests/test_train_memory.py.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adhere.errors import EngineError
from adhere.processes import count_here
from adhere.settings import TrainSettings

MARGIN = 2.0
"""How far the estimate may be off, either way."""
LARGE = 1_000_000_000
"""Parameters from which memory is dearer than time, so that activations are computed twice."""
_BITS_4, _BFLOAT16, _FLOAT32 = 0.5, 2.0, 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What of a model decides on its memory."""

    parameters: int
    layers: int
    hidden: int
    heads: int
    linear: int
    """Inputs and outputs of all linear layers but the head, summed: a LoRA's size by its rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Bytes."""

    weights: float
    training: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.training + self.activations


def shape_of(model: Path) -> Shape:
    """Read off the checkpoint's configuration; no weights are loaded.

    Raises EngineError for one that transformers does not know.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(model)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError) as error:
        raise EngineError(f"{model}: no model can be loaded from here: {error}") from error
    head = empty.get_output_embeddings()
    linear = [
        one for one in empty.modules() if isinstance(one, torch.nn.Linear) and one is not head
    ]
    text = config.get_text_config()
    return Shape(
        parameters=empty.num_parameters(),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        heads=text.num_attention_heads,
        linear=sum(one.in_features + one.out_features for one in linear),
    )


def needed(
    shape: Shape, settings: TrainSettings, longest: int, sequences: int, *, bf16: bool
) -> Needed:
    """Bytes for so many sequences of up to `longest` tokens at a time."""
    full = settings.tuning == "full"
    if settings.tuning == "qlora":
        each = _BITS_4
    elif bf16 and not full:
        each = _BFLOAT16
    else:
        each = _FLOAT32 + (_BFLOAT16 if bf16 else 0)
    a_layer = 34 * shape.hidden + 5 * shape.heads * longest
    if not full:
        a_layer += 2 * shape.linear / shape.layers
    stored = a_layer * shape.layers
    if shape.parameters > LARGE:
        stored = 2 * shape.hidden * shape.layers + a_layer
    if not bf16:
        stored *= 2
    return Needed(
        weights=shape.parameters * each,
        training=12 * shape.parameters if full else 16 * settings.lora_rank * shape.linear,
        activations=float(sequences * longest * stored),
    )


def of_each(need: Needed, holders: int) -> Needed:
    """Bytes in each of the processes that the weights are spread over."""
    return replace(need, weights=need.weights / holders, training=need.training / holders)


def free_bytes(torch: Any) -> int:
    """Of this process's GPU where there is one, else its share of this machine."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    import psutil

    return psutil.virtual_memory().available // count_here()
