"""The transformers engine on a tiny random model, made here: exact, fast, no download."""

from pathlib import Path
from typing import Any

import pytest

from adhere.engines import transformers
from adhere.engines.device import has_bfloat16
from adhere.engines.rows import RowSampler
from adhere.engines.transformers import (
    Checkpoint,
    TransformersEngine,
    kept_tokens,
    token_bytes,
)
from adhere.errors import EngineError, InputError
from adhere.evaluate.reading import fitting
from adhere.records import Document, Message, Request, Sampling, ScoreRequest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    PreTrainedTokenizerFast,
)

real_dtype = transformers._dtype  # the tests' own engine computes in float32

TEMPLATE = (
    "{% for message in messages %}<u>{{ message['content'] }}</u>{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)


def save_model(folder: Path, *, template: str | None = TEMPLATE, hidden: int = 32) -> Path:
    """A byte-level model: every byte is a token, so nothing merges across a boundary."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: n for n, text in enumerate(["<end>", "<u>", "</u>", "<a>", *letters])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<end>",
        additional_special_tokens=["<u>", "</u>", "<a>"],
        clean_up_tokenization_spaces=False,
    )
    if template:
        tokenizer.chat_template = template
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=hidden,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            eos_token_id=0,
            bos_token_id=None,
            initializer_range=0.3,
        )
    )
    model.generation_config.repetition_penalty = 5.0  # a default that must not leak in
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter(base: Path, folder: Path, seed: int = 1) -> Path:
    torch.manual_seed(seed)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def engine(folder: Path, module_monkeypatch: pytest.MonkeyPatch) -> TransformersEngine:
    module_monkeypatch.setattr("adhere.engines.transformers._dtype", lambda device: torch.float32)
    return TransformersEngine(str(folder))


@pytest.fixture(scope="module")
def module_monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def request(name: str, prompt: str, **sampling: object) -> Request:
    return Request(id=name, prompt=prompt, sampling=Sampling(**{"max_tokens": 12, **sampling}))


def by_id(items):
    return {item.id: item for item in items}


def reference_logprob(folder: Path, before: str, answer: str, adapter: Path | None = None) -> float:
    """The plain way: one text, all logits."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter)).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    ids = tokenizer(before + answer, return_tensors="pt").input_ids
    length = len(tokenizer(answer).input_ids)
    with torch.inference_mode():
        logprobs = model(ids).logits[0, :-1].log_softmax(-1)
    return float(logprobs.gather(1, ids[0, 1:, None])[-length:].sum())


def test_a_text_does_not_depend_on_its_neighbours(engine: TransformersEngine) -> None:
    """Left padding, greedy and sampled rows, limits and lengths mixed in one batch."""
    asked = [
        request("greedy", "The"),
        request("sampled", "A much longer prompt", temperature=1.0, seed=7),
        request("nucleus", "Mid length", temperature=0.7, top_p=0.8, seed=8),
        request("short", "The", max_tokens=3),
    ]
    together = by_id(engine.complete(asked))
    alone = by_id(completion for one in asked for completion in engine.complete([one]))
    assert together == alone
    assert (
        together["short"].text == together["greedy"].text[:3] or together["short"].finish == "stop"
    )


def test_seeds_decide_what_is_sampled(engine: TransformersEngine) -> None:
    asked = [request(str(n), "The", temperature=1.0, seed=n % 5) for n in range(10)]
    found = by_id(engine.complete(asked))
    assert all(found[str(n)].text == found[str(n + 5)].text for n in range(5))
    assert len({found[str(n)].text for n in range(5)}) == 5


def test_samples_follow_the_distribution() -> None:
    """The share of each token among 4000 rows is its probability, within 4 standard errors."""
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0])
    count = 4000
    for top_p, allowed in ((1.0, [0, 1, 2, 3]), (0.9, [0, 3])):
        samplings = [Sampling(temperature=0.5, top_p=top_p, seed=n) for n in range(count)]
        chosen = RowSampler(samplings)(torch.empty(0), logits.repeat(count, 1)).argmax(-1)
        expected = torch.zeros(4)
        expected[allowed] = (logits[allowed] / 0.5).softmax(0)
        share = torch.bincount(chosen, minlength=4) / count
        error = (expected * (1 - expected) / count).sqrt()
        assert bool(((share - expected).abs() <= 4 * error + 1e-9).all()), (top_p, share)


def test_a_stop_string_ends_its_own_row_only(engine: TransformersEngine) -> None:
    (free,) = engine.complete([request("free", "The", max_tokens=30)])
    stop = free.text[6:9]
    found = by_id(
        engine.complete(
            [
                request("cut", "The", max_tokens=30, stop=(stop,)),
                request("free", "The", max_tokens=30),
            ]
        )
    )
    assert found["free"].text == free.text
    assert found["cut"].text == free.text[: free.text.index(stop)]
    assert found["cut"].finish == "stop"
    assert found["cut"].completion_tokens < free.completion_tokens


def test_length_and_token_counts(engine: TransformersEngine) -> None:
    (found,) = engine.complete([request("1", "The", max_tokens=5)])
    assert (found.finish, found.prompt_tokens, found.completion_tokens) == ("length", 3, 5)


def test_a_prompt_that_does_not_fit_is_a_value(engine: TransformersEngine) -> None:
    found = by_id(engine.complete([request("long", "x" * 256), request("good", "x")]))
    assert "do not fit" in str(found["long"].error)
    assert found["long"].refused
    assert found["good"].error is None


@pytest.mark.parametrize(("able", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_type_is_what_the_machine_multiplies(
    monkeypatch: pytest.MonkeyPatch, able: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    assert has_bfloat16() == able
    assert real_dtype("cpu") == dtype


def test_a_chat_is_written_by_the_models_template(engine: TransformersEngine) -> None:
    chat = Request(
        id="chat",
        prompt=(Message(role="user", content="Hi"),),
        sampling=Sampling(max_tokens=4),
    )
    plain = request("plain", "<u>Hi</u><a>", max_tokens=4)
    found = by_id(engine.complete([chat, plain]))
    assert found["chat"].text == found["plain"].text
    assert found["chat"].prompt_tokens == 5


def test_without_a_template_a_chat_is_refused(tmp_path: Path) -> None:
    bare = TransformersEngine(str(save_model(tmp_path / "bare", template=None)))
    chat = Request(id="1", prompt=(Message(role="user", content="Hi"),))
    with pytest.raises(EngineError, match="no chat template"):
        list(bare.complete([chat]))


def test_a_chat_that_the_template_refuses_is_refused_in_its_words(tmp_path: Path) -> None:
    template = "{{ raise_exception('System role not supported') }}"
    strict = TransformersEngine(str(save_model(tmp_path / "strict", template=template)))
    chat = Request(id="1", prompt=(Message(role="system", content="Be brief."),))
    with pytest.raises(EngineError, match="refuses this chat: System role not supported"):
        list(strict.complete([chat]))


def test_scores_are_those_of_the_plain_way(engine: TransformersEngine, folder: Path) -> None:
    shared = "Gifts must be refused. "
    asked = [
        ScoreRequest(id="1", prefix=shared, prompt="Q: May I?", answer=" No."),
        ScoreRequest(id="2", prefix=shared, prompt="", answer=" A longer answer, all the same"),
        ScoreRequest(id="3", prefix=shared, prompt="Q:", answer="x"),
        ScoreRequest(id="4", prompt="Q: May I?", answer=" No."),
        ScoreRequest(id="5", prompt="Q: May", answer=" No, never."),
        ScoreRequest(id="6", prefix="Are gifts", prompt=" fine?", answer="No.", chat=True),
    ]
    found = by_id(engine.score(asked))
    for one in asked:
        words = one.prefix + one.prompt
        before = f"<u>{words}</u><a>" if one.chat else words
        expected = reference_logprob(folder, before, one.answer)
        assert found[one.id].logprob == pytest.approx(expected, abs=2e-3), one.id
        assert found[one.id].tokens == len(one.answer)


def test_long_prompts_go_in_smaller_batches_and_nothing_else_changes(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [request(str(n), "The" * n, max_tokens=8) for n in range(1, 12)]
    wanted = [
        ScoreRequest(id=str(n), prefix="Gifts must be refused. ", prompt="Q:", answer=" No." * n)
        for n in range(1, 7)
    ]
    whole = by_id(engine.complete(asked)), by_id(engine.score(wanted))
    sizes: dict[str, list[int]] = {"generate": [], "_logprobs": []}
    for name, count in (("generate", len), ("_logprobs", lambda batch: len(batch.rows))):
        real = getattr(transformers.Checkpoint, name)

        def watched(self, batch, *rest, real=real, name=name, count=count, **more):
            sizes[name].append(count(batch))
            return real(self, batch, *rest, **more)

        monkeypatch.setattr(transformers.Checkpoint, name, watched)
    monkeypatch.setattr(transformers, "KEPT_TOKENS", {"cpu": 60, "cuda": 60})
    parts = by_id(engine.complete(asked)), by_id(engine.score(wanted))
    assert parts[0] == whole[0]
    for name, score in parts[1].items():
        assert score.logprob == pytest.approx(whole[1][name].logprob, abs=2e-3)
    # Prompts of 3 to 33 letters with 8 more: 60 tokens hold 3 of 17 and 1 of 32.
    assert sizes["generate"] == [3, 2, 2, 1, 1, 1, 1]
    assert max(sizes["_logprobs"]) <= 60 // 22


@pytest.mark.parametrize(
    ("config", "size", "expected"),
    [
        # Mistral 7B: 32 layers, 8 heads of 128 numbers for keys and values, in bfloat16.
        (MistralConfig(), 2, 131_072),
        (LlamaConfig(num_hidden_layers=30, hidden_size=576, num_attention_heads=9), 4, 138_240),
        (GPT2Config(), 2, 2 * 12 * 768 * 2),  # says neither
        (Gemma3Config(), 2, 2 * 26 * 4 * 256 * 2),
    ],
)
def test_what_a_token_takes_is_read_off_the_configuration(
    config: Any, size: int, expected: int
) -> None:
    assert token_bytes(config.get_text_config(), size) == expected


def test_as_many_tokens_are_kept_as_fit_the_memory() -> None:
    assert kept_tokens(393_216, free=8 * 2**30, each=131_072) == 32_768
    assert kept_tokens(393_216, free=120 * 2**30, each=131_072) == 393_216
    assert kept_tokens(393_216, free=0, each=131_072) == 1


def test_a_gpus_memory_bounds_what_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token takes 2 layers x 2 x 2 heads x 8 numbers, of 2 or 4 bytes."""
    checkpoint = Checkpoint(folder, {})
    assert checkpoint.kept_tokens == transformers.KEPT_TOKENS["cpu"]
    monkeypatch.setattr(checkpoint, "device", "cuda")
    monkeypatch.setattr(checkpoint, "_free", 2 * 64 * 100 * checkpoint._model.dtype.itemsize)
    assert checkpoint.kept_tokens == 100


def test_a_prompt_near_the_contexts_end_cuts_no_other_reply_short(
    engine: TransformersEngine,
) -> None:
    """The context is 256 tokens, and every letter is one."""
    asked = [
        request("short", "The", max_tokens=12),
        request("near", "x" * 250, max_tokens=12),
        request("wide", "x" * 200, max_tokens=13),
        request("long", "The", max_tokens=60),
    ]
    found = by_id(engine.complete(asked))
    alone = by_id(completion for one in asked for completion in engine.complete([one]))
    lengths = {name: one.completion_tokens for name, one in found.items()}
    assert lengths == {"short": 12, "near": 6, "wide": 13, "long": 60}
    assert found == alone


def test_what_cannot_be_scored_is_a_value(engine: TransformersEngine) -> None:
    asked = [
        ScoreRequest(id="empty", prompt="q", answer=""),
        ScoreRequest(id="long", prompt="q" * 300, answer="a"),
        ScoreRequest(id="bare", prompt="", answer="ab"),
    ]
    found = by_id(engine.score(asked))
    assert found["empty"].error is not None
    assert "do not fit" in str(found["long"].error)
    assert found["empty"].refused
    assert found["long"].refused
    assert (found["bare"].error, found["bare"].tokens) == (None, 2)


def test_an_adapter_changes_the_likelihood_as_peft_says(
    folder: Path, tmp_path: Path, engine
) -> None:
    adapter = save_adapter(folder, tmp_path / "adapter")
    adapted = TransformersEngine(str(folder), adapter)
    one = ScoreRequest(id="1", prefix="abc", prompt="d", answer="efg")
    (with_it,), (without,) = adapted.score([one]), engine.score([one])
    assert with_it.logprob == pytest.approx(
        reference_logprob(folder, "abcd", "efg", adapter), abs=2e-3
    )
    assert abs(with_it.logprob - without.logprob) > 0.01


def test_an_adapter_is_named_by_its_weights(folder: Path, tmp_path: Path) -> None:
    names = {
        TransformersEngine(str(folder), save_adapter(folder, tmp_path / "adapter", seed)).name
        for seed in (1, 2)
    }
    assert len(names) == 2


def test_an_adapter_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    wider = save_model(tmp_path / "wider", hidden=64)
    adapter = save_adapter(wider, tmp_path / "adapter")
    with pytest.raises(EngineError, match="trained on another model"):
        list(TransformersEngine(str(folder), adapter).complete([request("1", "x")]))


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_an_adapter_is_applied_whole_or_not_at_all(
    folder: Path, tmp_path: Path, change: str
) -> None:
    from safetensors.torch import load_file, save_file

    adapter = save_adapter(folder, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(iter(tensors))
    if change == "missing":
        del tensors[name]
    else:
        tensors[name.replace("layers.0", "layers.9")] = tensors[name].clone()
    save_file(tensors, file)
    with pytest.raises(EngineError, match="does not fit this model"):
        list(TransformersEngine(str(folder), adapter).complete([request("1", "x")]))


def test_an_adapter_that_was_cut_short_is_refused(folder: Path, tmp_path: Path) -> None:
    adapter = save_adapter(folder, tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(EngineError, match="the adapter's file is damaged"):
        list(TransformersEngine(str(folder), adapter).complete([request("1", "x")]))


def test_an_incomplete_adapter_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    adapter = save_adapter(folder, tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match="not there"):
        TransformersEngine(str(folder), adapter).check()


def test_a_broken_checkpoint_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(EngineError, match="cannot load it"):
        list(TransformersEngine(str(tmp_path)).complete([request("1", "x")]))


def test_a_model_of_text_and_pictures_is_read_by_its_text_part(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gemma 3 keeps the context's length a level deeper."""
    monkeypatch.setattr(transformers, "_dtype", lambda device: torch.float32)
    text = {
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 128,
    }
    sight = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    sight |= {"num_attention_heads": 1, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config=text, vision_config=sight)
    Gemma3ForConditionalGeneration(config).save_pretrained(tmp_path)
    PreTrainedTokenizerFast.from_pretrained(folder).save_pretrained(tmp_path)
    engine = TransformersEngine(str(tmp_path))
    found = by_id(engine.complete([request("long", "x" * 128), request("good", "x", max_tokens=2)]))
    assert "do not fit the context of 128" in str(found["long"].error)
    assert found["good"].completion_tokens == 2
    (score,) = engine.score([ScoreRequest(id="1", prompt="a", answer="b")])
    assert score.error is None
    document = Document(id="d", name="d.md", format="markdown", sha256="", text="Be kind.")
    assert fitting([document], [], 8, tmp_path).context == 128


@pytest.mark.parametrize("method", ["generate", "forward", "to"])
def test_a_model_that_finds_no_room_is_said_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(LlamaForCausalLM, method, full)
    engine = TransformersEngine(str(folder))
    scores = engine.score([ScoreRequest(id="1", prompt="a", answer="b")])
    asked = scores if method == "forward" else engine.complete([request("1", "a")])
    with pytest.raises(EngineError, match="The model ran out of memory; free the GPU"):
        list(asked)


def test_closing_frees_the_model_and_it_can_be_used_again(folder: Path) -> None:
    engine = TransformersEngine(str(folder))
    before = list(engine.complete([request("1", "The")]))
    engine.close()
    assert engine._loaded is None
    assert list(engine.complete([request("1", "The")])) == before
