"""A checkpoint as a GGUF file: what llama.cpp, Ollama and OpenVINO GenAI read.

No package on the index that we would depend on writes one from a checkpoint: llama.cpp's own
script is not published, and `gguf`, which is, has the format, the tensors' names and the
quantisation, but not the reading of a model. That part is here, for three families.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from adhere.errors import EngineError
from adhere.export.vocabulary import write_vocabulary

if TYPE_CHECKING:
    from gguf import GGUFWriter

Kind = Literal["f16", "q8_0"]
Floats = NDArray[np.float32]

LARGEST_F16 = 65504.0
SCALED = "llama3"
"""The one way of scaling rotary positions that is written; transformers' name."""
_BLOCK = 32
"""Q8_0 stores this many neighbouring weights under one scale."""


@dataclass(frozen=True, slots=True)
class Family:
    """How one kind of model is written."""

    architecture: str
    """llama.cpp's name."""
    interleaved: bool
    """Rotary halves are stored as neighbours: the rows of queries and keys change places."""


FAMILIES: Mapping[str, Family] = {
    "llama": Family("llama", interleaved=True),
    "mistral": Family("llama", interleaved=True),
    "qwen2": Family("qwen2", interleaved=False),
    "qwen3": Family("qwen3", interleaved=False),
}
"""By the `model_type` of a checkpoint's config.json."""


def require_family(config: Any) -> Family:
    """The family of a model's config; EngineError in a few words where GGUF is not written.

    What llama.cpp would compute differently is refused rather than written wrongly.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        known = ", ".join(FAMILIES)
        raise EngineError(f"its architecture is {config.model_type}; known here are {known}")
    rope = config.rope_parameters["rope_type"]
    if rope != "default" and not (rope == SCALED and family.architecture == "llama"):
        raise EngineError(f"its rotary positions are scaled ('{rope}')")
    if config.hidden_act != "silu":
        raise EngineError(f"its activation is {config.hidden_act}, not silu")
    return family


def write_gguf(checkpoint: Path, file: Path, kind: Kind, name: str) -> str:
    """Write the checkpoint as `file`; matrices in `kind`, vectors in float32.

    A matrix whose rows are no multiple of 32 stays f16 in a q8_0 file, as llama.cpp has it.
    Returns llama.cpp's name for how the tokenizer splits text. Raises EngineError, in words
    that go on from "No GGUF file was written:", for a model that is not of a known family or
    that the format cannot hold.
    """
    from gguf import GGUFWriter
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(checkpoint)
    family = require_family(config)
    writer = GGUFWriter(file, family.architecture)
    try:
        _write_facts(writer, config, kind, name)
        pre = write_vocabulary(writer, checkpoint, config.vocab_size)
        for tensor, values in _named(checkpoint, config, family):
            _add(writer, tensor, values, kind)
        if config.rope_parameters["rope_type"] == SCALED:
            factors = rotary_factors(config.rope_parameters, _head_size(config))
            _add(writer, "rope_freqs.weight", factors, kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return pre


def _write_facts(writer: "GGUFWriter", config: Any, kind: Kind, name: str) -> None:
    from gguf import GGML_QUANT_VERSION, LlamaFileType

    head = _head_size(config)
    writer.add_type("model")
    writer.add_name(name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(_context(config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    kinds = {"f16": LlamaFileType.MOSTLY_F16, "q8_0": LlamaFileType.MOSTLY_Q8_0}
    writer.add_file_type(kinds[kind])
    writer.add_quantization_version(GGML_QUANT_VERSION)


def _head_size(config: Any) -> int:
    given = getattr(config, "head_dim", None)
    return given or config.hidden_size // config.num_attention_heads


def _context(config: Any) -> int:
    """No longer than a sliding window: llama.cpp attends to everything in these families."""
    sliding = getattr(config, "use_sliding_window", True)
    window = getattr(config, "sliding_window", None) if sliding else None
    return min(config.max_position_embeddings, window or config.max_position_embeddings)


def _named(checkpoint: Path, config: Any, family: Family) -> Iterator[tuple[str, Floats]]:
    """Every tensor by its name in GGUF."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    [architecture] = [one for one, is_ in MODEL_ARCH_NAMES.items() if is_ == family.architecture]
    names = get_tensor_name_map(architecture, config.num_hidden_layers)
    for ours, values in _tensors(checkpoint):
        if config.tie_word_embeddings and ours == "lm_head.weight":
            continue  # where it is missing, the embeddings serve
        theirs = names.get_name(ours, try_suffixes=(".weight", ".bias"))
        if theirs is None:
            raise EngineError(f"its tensor {ours} has no name in GGUF's {family.architecture}")
        yield theirs, _arranged(ours, values, config) if family.interleaved else values


def _tensors(checkpoint: Path) -> Iterator[tuple[str, Floats]]:
    from safetensors import safe_open

    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                yield name, opened.get_tensor(name).float().numpy()


def _arranged(name: str, values: Floats, config: Any) -> Floats:
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    return interleave(values, heads[part]) if (part := name.split(".")[-2]) in heads else values


def interleave(rows: Floats, heads: int) -> Floats:
    """Rotary halves side by side: rows 0, n/2, 1, n/2+1, ... of each head of n rows.

    transformers turns row i of a head with row i + n/2, llama.cpp with row i + 1.
    """
    halves = rows.reshape(heads, 2, -1, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def rotary_factors(rope: Mapping[str, Any], head: int) -> Floats:
    """What Llama 3.1's scaling divides each of a head's head / 2 rotary frequencies by.

    A frequency that turns more than `high_freq_factor` times over the context that the model
    was first trained on stays, one below `low_freq_factor` turns is divided by `factor`, and
    between them the frequency itself goes over linearly. Source: `apply_scaling` of Meta's
    reference (github.com/meta-llama/llama-models, models/llama3/model.py); llama.cpp's
    convert_hf_to_gguf.py writes it as this tensor.
    """
    frequencies = rope["rope_theta"] ** -(np.arange(0, head, 2) / head)
    turns = rope["original_max_position_embeddings"] * frequencies / (2 * np.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - kept) / rope["factor"] + kept)).astype(np.float32)


def _add(writer: "GGUFWriter", name: str, values: Floats, kind: Kind) -> None:
    from gguf import GGMLQuantizationType, quants

    if values.ndim == 1:
        writer.add_tensor(name, values)
        return
    if not np.abs(values).max() <= LARGEST_F16:
        raise EngineError(f"its tensor {name} holds values beyond half precision's range")
    if kind == "q8_0" and values.shape[-1] % _BLOCK == 0:
        q8_0 = GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quants.quantize(values, q8_0), raw_dtype=q8_0)
    else:
        writer.add_tensor(name, values.astype(np.float16))
