"""`transformers:`: Hugging Face models, with or without a PEFT adapter, on the GPU or the CPU."""

import copy
import gc
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import TemplateError

from adhere import models
from adhere.engines.adapters import require_adapter, with_adapters
from adhere.engines.base import cut_at_stop
from adhere.engines.device import has_bfloat16
from adhere.engines.likelihood import Batch, Codec, Group, Tokens, batches, groups, scores
from adhere.engines.rows import RowLimits, RowSampler
from adhere.errors import EngineError, MissingExtraError
from adhere.progress import NoProgress, Progress
from adhere.records import Completion, Message, Request, Score, ScoreRequest
from adhere.store import file_sha256

if TYPE_CHECKING:
    import torch
    from transformers.generation.streamers import BaseStreamer

WINDOW = 256
"""Requests that are drawn ahead and sorted by length."""
BATCH = 48
"""Requests generated together; on 2 cores throughput is level from here."""
BATCH_TOKENS = {"cpu": 2048, "cuda": 16384}
"""Tokens of a batch when scoring, padding included."""
KEPT_TOKENS = {"cpu": 49_152, "cuda": 393_216}
"""Most tokens whose keys and values are held at once: a full batch of prompts of about 1,000.

For SmolLM2-135M the CPU's are 1.1 GB; longer prompts go in smaller batches.
"""
KEPT_SHARE = 0.5
"""Of the GPU's memory that the weights leave free; the rest is for what is computed of them."""

_WORDS = "THE USER'S WORDS"


def check_here(model: str, adapter: Path | None) -> None:
    """Raise what the engine's `check` raises before anything is fetched."""
    require_packages(adapter=adapter is not None)
    if adapter is not None:
        require_adapter(adapter)
    models.check_checkpoint(model)


class TransformersEngine:
    """The checkpoint `model` (a catalogue name, a folder, a hub repository) under `adapter`.

    Computes in bfloat16 where the hardware has it. A request's text depends on its
    own seed alone, not on its neighbours (but for rounding). `progress` hears of
    downloads. An adapter is applied whole or not at all: EngineError where a tensor
    of it finds no place in the model.
    """

    def __init__(
        self, model: str, adapter: str | Path | None = None, progress: Progress | None = None
    ) -> None:
        self._address = model
        self._adapter = Path(adapter) if adapter else None
        self._progress = progress or NoProgress()
        self._loaded: Checkpoint | None = None
        self._name = ""

    @property
    def name(self) -> str:
        """Model and adapter, in folders by the hash of the weights: trained anew, it is another.

        Raises InputError where the folder holds no adapter.
        """
        if not self._name:
            marks = _model_mark(self._address) + _adapter_mark(self._adapter)
            self._name = f"transformers:{self._address}{marks}"
        return self._name

    def check(self) -> None:
        """Fetch the weights where they are missing; raises as `models.checkpoint_folder` does."""
        check_here(self._address, self._adapter)
        models.checkpoint_folder(self._address, self._progress)

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        checkpoint = self._opened()
        source = iter(requests)
        while drawn := list(islice(source, WINDOW)):
            prompts: list[tuple[Request, Tokens]] = []
            for request in drawn:
                tokens = checkpoint.prompt_tokens(request)
                if len(tokens) < checkpoint.context:
                    prompts.append((request, tokens))
                else:
                    problem = f"{len(tokens)} tokens do not fit the context of {checkpoint.context}"
                    yield Completion(id=request.id, error=problem, refused=True)
            prompts.sort(key=lambda pair: (pair[0].sampling.max_tokens, len(pair[1])))
            for batch in _batches(prompts, checkpoint.kept_tokens, checkpoint.context):
                yield from checkpoint.generate(batch)

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[Score]:
        checkpoint = self._opened()
        for group in groups(requests, checkpoint.codec()):
            yield from checkpoint.score(group)

    def close(self) -> None:
        self._loaded = None
        gc.collect()

    def _opened(self) -> "Checkpoint":
        if self._loaded is None:
            self.check()
            folder = models.checkpoint_folder(self._address, self._progress)
            adapters = {"default": self._adapter} if self._adapter else {}
            self._loaded = Checkpoint(folder, adapters)
        return self._loaded


@contextmanager
def _memory_in_words() -> Generator[None]:
    """In this block torch's OutOfMemoryError is an EngineError."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise EngineError(
            "The model ran out of memory; free the GPU of other programs, or take a smaller model."
        ) from error


class Checkpoint:
    """A model in memory with its tokeniser, under the first of its `adapters` by name, if any."""

    @_memory_in_words()
    def __init__(self, folder: Path, adapters: Mapping[str, Path]) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=_dtype(self.device))
        except torch.OutOfMemoryError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            raise EngineError(f"{folder}: transformers cannot load it: {error}") from error
        if adapters:
            model = with_adapters(model, adapters)
        self._model: Any = model.to(self.device).eval()
        self._ends = end_tokens(model, self.tokenizer)
        self._adapters = frozenset(adapters)
        self._text: Any = model.config.get_text_config()
        self.context: int = self._text.max_position_embeddings
        # Measured once: what torch has freed and keeps for itself does not count as free.
        self._free = torch.cuda.mem_get_info()[0] if self.device == "cuda" else None

    @property
    def kept_tokens(self) -> int:
        """Tokens whose keys and values it holds at once."""
        most = KEPT_TOKENS[self.device]
        if self._free is None:
            return most
        return kept_tokens(most, self._free, token_bytes(self._text, self._model.dtype.itemsize))

    @contextmanager
    def under(self, adapter: str | None) -> Generator[None]:
        """The model under one of its adapters, or as it came; not for two threads at once."""
        if adapter is not None:
            self._model.set_adapter(adapter, inference_mode=True)
            yield
        elif self._adapters:
            with self._model.disable_adapter():
                yield
        else:
            yield

    def encode(self, text: str, special: bool) -> Tokens:
        return self.tokenizer.encode(text, add_special_tokens=special, truncation=False)

    def prompt_tokens(self, request: Request) -> Tokens:
        if isinstance(request.prompt, str):
            return self.encode(request.prompt, special=True) or [self._ends[0]]
        return self.encode(self._render(request.prompt), special=False)

    def codec(self) -> Codec:
        return Codec(encode=self.encode, turn=self._turn, start=self._ends[0], context=self.context)

    @_memory_in_words()
    def generate(
        self,
        prompts: Sequence[tuple[Request, Tokens]],
        streamer: "BaseStreamer | None" = None,
        criteria: Sequence[Callable[..., "torch.Tensor"]] = (),
    ) -> list[Completion]:
        """Complete one batch, padded on the left.

        `streamer` hears of each token (of a batch of one), `criteria` may end it early.
        """
        import torch
        from transformers import GenerationConfig

        width = max(len(tokens) for _, tokens in prompts)
        ids = torch.full((len(prompts), width), self._ends[0])
        mask = torch.zeros_like(ids)
        for row, (_, tokens) in enumerate(prompts):
            ids[row, width - len(tokens) :] = torch.tensor(tokens)
            mask[row, width - len(tokens) :] = 1
        samplings = [request.sampling for request, _ in prompts]
        limits = RowLimits(samplings, width, self.tokenizer)
        longest = max(sampling.max_tokens for sampling in samplings)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids.to(self.device),
                attention_mask=mask.to(self.device),
                generation_config=GenerationConfig(
                    max_new_tokens=max(1, min(longest, self.context - width)),
                    do_sample=False,  # the sampler's noise makes the greedy choice a sample
                    eos_token_id=self._ends,
                    pad_token_id=self._ends[0],
                    repetition_penalty=1.0,
                ),
                logits_processor=[RowSampler(samplings)],
                stopping_criteria=[limits, *criteria],
                streamer=streamer,
            )
        rows = output[:, width:].tolist()
        return [
            self._completion(request, len(tokens), generated[: limits.lengths[row]])
            for row, ((request, tokens), generated) in enumerate(zip(prompts, rows, strict=True))
        ]

    def _completion(self, request: Request, prompt: int, generated: Tokens) -> Completion:
        end = next((at for at, token in enumerate(generated) if token in self._ends), None)
        kept = generated if end is None else generated[: end + 1]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        text, stopped = cut_at_stop(text, request.sampling.stop)
        return Completion(
            id=request.id,
            text=text,
            finish="stop" if stopped or end is not None else "length",
            prompt_tokens=prompt,
            completion_tokens=len(kept),
        )

    def score(self, group: Group) -> Iterator[Score]:
        """Compute the shared tokens once, then the rows in batches, padded on the right."""
        yield from group.refused
        if not group.rows:
            return
        cache = self._computed(group.shared) if group.shared else None
        most = max(1, self.kept_tokens // (len(group.shared) + 1))
        tokens = min(BATCH_TOKENS[self.device], most * min(map(len, group.rows)))
        for batch in batches(group.rows, tokens):
            logprobs = self._logprobs(batch, len(group.shared), cache)
            yield from scores(batch, logprobs.cpu().numpy())

    @_memory_in_words()
    def _computed(self, tokens: Tokens) -> Any:
        """The keys and values of the tokens."""
        import torch

        with torch.inference_mode():
            ids = torch.tensor([tokens], device=self.device)
            return self._model(ids, use_cache=True, logits_to_keep=1).past_key_values

    @_memory_in_words()
    def _logprobs(self, batch: Batch, shared: int, cache: Any) -> "torch.Tensor":
        """Float32 log-probabilities of the batch's labels; logits only from the first answer on."""
        import torch

        rows, width = batch.ids.shape
        first = int((batch.places % width).min())
        mask = np.arange(shared + width) < shared + batch.lengths[:, None]
        if cache is not None:
            cache = copy.deepcopy(cache)
            cache.batch_repeat_interleave(rows)
        with torch.inference_mode():
            logits = self._model(
                input_ids=torch.from_numpy(batch.ids).to(self.device),
                attention_mask=torch.from_numpy(mask.astype(np.int64)).to(self.device),
                past_key_values=cache,
                use_cache=cache is not None,
                logits_to_keep=width - first,
            ).logits
            places = torch.from_numpy(batch.places).to(self.device)
            picked = logits[places // width, places % width - first].float()
            labels = torch.from_numpy(batch.labels).to(self.device)
            return picked.log_softmax(-1).gather(1, labels[:, None])[:, 0]

    def _render(self, messages: Sequence[Message]) -> str:
        chat = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self.tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise EngineError(f"the model's chat template refuses this chat: {error}") from error
        except ValueError as error:
            raise EngineError(
                "this model has no chat template; give an instruct model, or choose prompts of "
                "style 'continue'."
            ) from error

    def _turn(self) -> tuple[str, str]:
        before, _, after = self._render([Message(role="user", content=_WORDS)]).partition(_WORDS)
        return before, after


def _batches(
    prompts: Sequence[tuple[Request, Tokens]], tokens: int, context: int
) -> Iterator[list[tuple[Request, Tokens]]]:
    """At most BATCH prompts, and with their replies at most `tokens` (or one prompt).

    All that stand together have room in the context for the longest reply of any; a prompt
    that has not stands alone, since its neighbours' replies would be cut short with its own.
    """
    batch: list[tuple[Request, Tokens]] = []
    for one in prompts:
        width = _width([*batch, one])
        full = len(batch) == BATCH or (len(batch) + 1) * width > tokens
        if batch and (full or width > context):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _width(batch: Sequence[tuple[Request, Tokens]]) -> int:
    """Tokens of each row, padding included, when all have their longest replies."""
    prompt = max(len(tokens) for _, tokens in batch)
    return prompt + max(request.sampling.max_tokens for request, _ in batch)


def kept_tokens(most: int, free: int, each: int) -> int:
    """How many tokens of `each` bytes fit KEPT_SHARE of `free` bytes: 1 to `most`."""
    return max(1, min(most, int(KEPT_SHARE * free) // each))


def token_bytes(text: Any, size: int) -> int:
    """Bytes of one token's keys and values, `size` a number.

    `text` is the configuration of a model's text part. Where it does not say how many heads
    keys and values have, or how wide they are, they are as the attention's.
    """
    heads: int = text.num_attention_heads
    kept: int = getattr(text, "num_key_value_heads", None) or heads
    width: int = getattr(text, "head_dim", None) or text.hidden_size // heads
    return 2 * text.num_hidden_layers * kept * width * size


def require_packages(adapter: bool) -> None:
    needed = ["torch", "transformers", *(["peft"] if adapter else [])]
    if any(find_spec(package) is None for package in needed):
        raise MissingExtraError("the transformers engine needs: pip install 'adhere[train]'")


def _dtype(device: str) -> "torch.dtype":
    import torch

    if has_bfloat16():
        return torch.bfloat16
    return torch.float16 if device == "cuda" else torch.float32


def end_tokens(model: Any, tokenizer: Any) -> Tokens:
    """The tokens that end a text; the first also pads."""
    configured = model.generation_config.eos_token_id
    ends = configured if isinstance(configured, list) else [configured]
    known = [token for token in (tokenizer.eos_token_id, *ends) if token is not None]
    return list(dict.fromkeys(known)) or [0]


def _model_mark(address: str) -> str:
    weights = models.weights_mark(address)
    return f"@{weights[:12]}" if weights else ""


def _adapter_mark(folder: Path | None) -> str:
    return f"+{folder.name}@{file_sha256(require_adapter(folder))[:12]}" if folder else ""
