"""GGUF files of tiny random models: every tensor, its values, the facts, and the answers."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gguf")
pytest.importorskip("torch")
pytest.importorskip("transformers")

import gguf
import torch
from tiny import FAMILIES, SPLITS, TEXT, UNUSED, save_checkpoint, save_sentencepiece, save_tokenizer
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from adhere.engines.openvino_model import converted
from adhere.errors import EngineError
from adhere.export import gguf_file
from adhere.export.gguf_file import interleave, write_gguf
from adhere.export.parity import Asked, Check, openvino_tokens
from adhere.export.vocabulary import read_vocabulary
from adhere.progress import NoProgress

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("tiny") / request.param, request.param)


def weights(checkpoint: Path) -> dict[str, np.ndarray]:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    return {name: values.numpy() for name, values in model.state_dict().items()}


def rotated(rows: np.ndarray, heads: int) -> np.ndarray:
    """By indices: row 2i of a head is row i, row 2i + 1 is row i + n/2."""
    out = np.empty_like(rows)
    size = len(rows) // heads
    for head in range(heads):
        for i in range(size // 2):
            out[head * size + 2 * i] = rows[head * size + i]
            out[head * size + 2 * i + 1] = rows[head * size + i + size // 2]
    return out


def test_every_tensor_comes_back_under_its_name_with_its_values(
    checkpoint: Path, tmp_path: Path
) -> None:
    write_gguf(checkpoint, tmp_path / "m.gguf", "f16", "tiny")
    config = AutoConfig.from_pretrained(checkpoint)
    found = {one.name: one for one in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    expected: dict[str, np.ndarray] = {}
    parts = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, values in weights(checkpoint).items():
        if name in names:
            expected[names[name]] = values
            continue
        _, _, layer, *part, end = name.split(".")
        own = parts[".".join(part)]
        turned = config.model_type in ("llama", "mistral") and own in heads
        expected[f"blk.{layer}.{own}.{end}"] = rotated(values, heads[own]) if turned else values
    if config.tie_word_embeddings:
        del expected["output.weight"]
    assert set(found) == set(expected)
    for name, values in expected.items():
        kind = "F32" if values.ndim == 1 else "F16"
        assert found[name].tensor_type.name == kind, name
        assert list(found[name].shape)[::-1] == list(values.shape), name
        close = {"rtol": 0, "atol": 0} if kind == "F32" else {"rtol": 0, "atol": 2**-25}
        np.testing.assert_allclose(found[name].data.astype(np.float32), values, **close)


def test_q8_0_is_within_a_step_of_each_block(checkpoint: Path, tmp_path: Path) -> None:
    for kind in ("f16", "q8_0"):
        write_gguf(checkpoint, tmp_path / f"{kind}.gguf", kind, "tiny")
    exact, packed = (
        {one.name: one for one in gguf.GGUFReader(tmp_path / f"{kind}.gguf").tensors}
        for kind in ("f16", "q8_0")
    )
    assert set(exact) == set(packed)
    for name, one in packed.items():
        if one.tensor_type.name == "F32":
            continue
        assert one.tensor_type.name == "Q8_0"
        values = gguf.quants.dequantize(one.data, one.tensor_type)
        blocks = exact[name].data.astype(np.float32).reshape(-1, 32)
        step = np.abs(blocks).max(1, keepdims=True) / 127
        assert (np.abs(values.reshape(-1, 32) - blocks) <= step * 0.6 + 1e-6).all(), name


def test_the_facts_are_those_of_the_config(checkpoint: Path, tmp_path: Path) -> None:
    pre = write_gguf(checkpoint, tmp_path / "m.gguf", "q8_0", "tiny")
    config = AutoConfig.from_pretrained(checkpoint)
    fields = gguf.GGUFReader(tmp_path / "m.gguf").fields
    facts = {name: field.contents() for name, field in fields.items()}
    kind = {"llama": "llama", "mistral": "llama"}.get(config.model_type, config.model_type)
    head = config.head_dim if config.model_type == "qwen3" else 16
    assert facts["general.architecture"] == kind
    own = {name.removeprefix(f"{kind}."): value for name, value in facts.items()}
    assert own["block_count"] == 2
    assert own["context_length"] == (128 if config.model_type == "mistral" else 256)
    assert own["embedding_length"] == 64
    assert own["feed_forward_length"] == 96
    assert (own["attention.head_count"], own["attention.head_count_kv"]) == (4, 2)
    assert own["attention.key_length"] == own["rope.dimension_count"] == head
    assert own["rope.freq_base"] == config.rope_parameters["rope_theta"]
    assert own["attention.layer_norm_rms_epsilon"] == pytest.approx(config.rms_norm_eps)
    assert facts["general.file_type"] == gguf.LlamaFileType.MOSTLY_Q8_0
    assert facts["tokenizer.ggml.pre"] == pre == ("qwen2" if "qwen" in kind else "smollm")
    assert facts["tokenizer.ggml.eos_token_id"] == 2
    assert facts["tokenizer.ggml.add_bos_token"] is False
    assert "im_start" in facts["tokenizer.chat_template"]
    tokens, types = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    assert len(tokens) == len(types) == config.vocab_size == len(tokenizer) + UNUSED
    assert tokens[: len(tokenizer)] == tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert types[:4] == [3, 3, 3, 1]
    assert types[-UNUSED - 1 :] == [4, 5, 5, 5]
    assert facts["tokenizer.ggml.merges"]


def asked(checkpoint: Path) -> list[Asked]:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    return [
        Asked(
            str(number),
            text,
            tokenizer.encode(
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
                ),
                add_special_tokens=False,
            ),
        )
        for number, text in enumerate(TEXT[:3])
    ]


def check(checkpoint: Path) -> Check:
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    return Check(model, AutoTokenizer.from_pretrained(checkpoint), [2], asked(checkpoint), 24)


def test_openvino_answers_as_transformers_does(checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino_genai")
    write_gguf(checkpoint, tmp_path / "m.gguf", "f16", "tiny")
    prompts = asked(checkpoint)
    assert openvino_tokens(tmp_path / "m.gguf", TEXT[:3]) == [one.tokens for one in prompts]
    parity = check(checkpoint).gguf(tmp_path / "m.gguf", "f16")
    parity.require()
    assert parity.same == len(prompts) == 3


def test_a_wrong_file_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers depend on the order of the rows: without it the check fails, and says where."""
    pytest.importorskip("openvino_genai")
    folder = save_checkpoint(tmp_path / "tiny", "llama")
    monkeypatch.setattr(gguf_file, "interleave", lambda rows, heads: rows)
    write_gguf(folder, tmp_path / "m.gguf", "f16", "tiny")
    parity = check(folder).gguf(tmp_path / "m.gguf", "f16")
    assert parity.partings
    with pytest.raises(EngineError, match=r"to the probe \d .* answer at token \d+, .* nats"):
        parity.require()


def test_rows_are_interleaved_head_by_head() -> None:
    rows = np.arange(8, dtype=np.float32)
    assert interleave(rows, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert interleave(rows[:, None], 1)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


@pytest.mark.parametrize(
    ("family", "changes", "said"),
    [
        (
            "llama",
            {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
            "rotary positions are scaled",
        ),
        ("qwen2", {"rope_parameters": LLAMA3}, r"rotary positions are scaled \('llama3'\)"),
        ("qwen2", {"hidden_act": "gelu"}, "activation is gelu"),
    ],
)
def test_what_llama_cpp_would_compute_differently_is_refused(
    tmp_path: Path, family: str, changes: dict[str, object], said: str
) -> None:
    folder = save_checkpoint(tmp_path / "tiny", family, **changes)
    with pytest.raises(EngineError, match=said):
        write_gguf(folder, tmp_path / "m.gguf", "f16", "tiny")


def test_llama_31s_rotary_scaling_is_written_as_transformers_computes_it(tmp_path: Path) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    folder = save_checkpoint(tmp_path / "tiny", "llama", rope_parameters=LLAMA3, head_dim=32)
    write_gguf(folder, tmp_path / "m.gguf", "q8_0", "tiny")
    [factors] = [
        one
        for one in gguf.GGUFReader(tmp_path / "m.gguf").tensors
        if one.name == "rope_freqs.weight"
    ]
    assert (factors.tensor_type.name, list(factors.shape)) == ("F32", [16])
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](AutoConfig.from_pretrained(folder), "cpu")
    plain = 10000.0 ** -(np.arange(0, 32, 2) / 32)
    np.testing.assert_allclose(plain / factors.data, scaled.numpy(), rtol=1e-6)
    found = set(factors.data.tolist())
    assert {1.0, 8.0} < found  # and some between


def test_openvino_is_not_trusted_with_scaled_positions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads such a file as a model without the scaling. Should the end fail, it has learnt."""
    pytest.importorskip("openvino_genai")
    monkeypatch.setenv("ADHERE_CACHE", str(tmp_path / "cache"))
    folder, file = tmp_path / "tiny", tmp_path / "m.gguf"
    save_checkpoint(folder, "llama", rope_parameters=LLAMA3)
    write_gguf(folder, file, "f16", "tiny")
    parity = check(folder)
    with pytest.raises(EngineError, match="cannot read it: it passes over the scaling of rotary"):
        parity.gguf(file, "f16")
    with pytest.raises(EngineError, match=r"passes over .* Use transformers:NAME"):
        converted(file, NoProgress())
    monkeypatch.setattr("adhere.engines.openvino_model._SCALED", "")
    assert parity.gguf(file, "f16").fault


def test_an_unfamiliar_architecture_is_named(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "tiny", "llama")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "olmo"}))
    with pytest.raises(EngineError, match="its architecture is olmo; known here are llama"):
        write_gguf(folder, tmp_path / "m.gguf", "f16", "tiny")


def test_weights_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "tiny", "llama")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = 1e5
    model.save_pretrained(folder)
    with pytest.raises(EngineError, match=r"blk\.1\.ffn_up\.weight holds values beyond"):
        write_gguf(folder, tmp_path / "m.gguf", "f16", "tiny")


@pytest.mark.parametrize("split", SPLITS)
def test_ways_to_split_text_are_known_by_their_shape(tmp_path: Path, split: str) -> None:
    size = save_tokenizer(tmp_path, split)
    assert read_vocabulary(tmp_path, size).pre == split


def test_an_unknown_way_to_split_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SPLITS, "odd", pre_tokenizers.ByteLevel(add_prefix_space=True))
    size = save_tokenizer(tmp_path, "odd")
    with pytest.raises(EngineError, match="no name for here"):
        read_vocabulary(tmp_path, size)


def test_more_tokens_than_embeddings_are_refused(tmp_path: Path) -> None:
    size = save_tokenizer(tmp_path, "gpt-2")
    with pytest.raises(
        EngineError, match=f"the token {size - 1}, its embeddings end at {size - 1}"
    ):
        read_vocabulary(tmp_path, size - 1)


def test_sentencepiece_is_told_by_scores(tmp_path: Path) -> None:
    size = save_sentencepiece(tmp_path)
    found = read_vocabulary(tmp_path, size)
    of = dict(zip(found.tokens, zip(found.types, found.scores, strict=True), strict=True))
    assert (found.kind, found.pre, found.space_prefix) == ("llama", "default", True)
    assert of["<unk>"][0] == 2
    assert of["<s>"][0] == of["</s>"][0] == 3
    assert of["<0x0A>"][0] == 6
    assert of["▁t"][1] > of["he"][1] > of["▁the"][1] > of["re"][1]
    assert of["h"] == (1, 0.0)
