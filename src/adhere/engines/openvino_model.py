"""A GGUF model as OpenVINO reads it: converted once, with its tokeniser."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from adhere import models
from adhere.engines.likelihood import Codec, Tokens
from adhere.errors import EngineError
from adhere.progress import Progress
from adhere.records import Message
from adhere.store import content_key, fresh_folder

if TYPE_CHECKING:
    import openvino_genai

_FACTS = "adhere.json"
_ENDS = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "</s>")
_SCALED = "rope_freqs.weight"
_WORDS = "THE USER'S WORDS"


def converted(gguf: Path, progress: Progress) -> Path:
    """The folder with OpenVINO's form of `gguf`, made at first use.

    It loads three times as fast as the GGUF in half the memory (3 s and 1.0 GB
    for a 1.5-billion-parameter Q4 model), and scoring needs it. GenAI's reader rounds
    the offsets of Q4_1 blocks to 4 bits (weights of SmolLM2-135M differ by 9 % in the
    mean), so likelihoods are not those of transformers on the same file: compare only
    what one engine scored. Raises EngineError for an architecture it cannot read.
    """
    import openvino_genai

    stat = gguf.stat()
    key = content_key(
        str(gguf.resolve()), stat.st_size, stat.st_mtime_ns, openvino_genai.get_version()
    )
    folder = models.cache_folder().parent / "openvino" / f"{gguf.stem}-{key[:8]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        if not folder.is_dir():
            progress.note(f"{gguf.name}: converting for OpenVINO, once")
            with fresh_folder(folder) as partial:
                _convert(gguf, partial)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    import openvino_genai
    from gguf import GGUFReader

    link = folder / gguf.name  # GenAI saves the graph beside the file that it reads
    link.symlink_to(gguf.resolve())
    try:
        require_readable(gguf)
        openvino_genai.ContinuousBatchingPipeline(
            link, openvino_genai.SchedulerConfig(), "CPU", {"enable_save_ov_model": True}
        )
    except (EngineError, RuntimeError, IndexError, ValueError) as error:
        raise EngineError(
            f"{gguf}: OpenVINO cannot read this model: {first_line(error)}. "
            "Use transformers:NAME, or serve it and give http://HOST:PORT/v1#NAME."
        ) from error
    link.unlink()
    fields = GGUFReader(gguf).fields
    architecture = fields["general.architecture"].contents()
    facts = {"context": int(fields[f"{architecture}.context_length"].contents())}
    (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")


def require_readable(gguf: Path) -> None:
    """Raise EngineError for a file that GenAI would take for another model, and say nothing.

    GenAI 2026.4 passes over the scaling of rotary positions in files of Llama 3.1 and later: its
    answers are to the token those of the model without (tests/test_export_gguf.py).
    """
    from gguf import GGUFReader

    if any(tensor.name == _SCALED for tensor in GGUFReader(gguf).tensors):
        raise EngineError("it passes over the scaling of rotary positions, as Llama 3.1 has it")


def first_line(error: Exception) -> str:
    """The telling line of an OpenVINO error: the last, without the trail of source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """A converted model: its folder, tokeniser and limits."""

    folder: Path
    tokenizer: "openvino_genai.Tokenizer"
    context: int
    """Most tokens of prompt and completion together."""
    ends: frozenset[int]
    """Tokens that end a turn or a text."""

    def encode(self, text: str, special: bool) -> Tokens:
        """Tokens of `text`, with the model's BOS where `special`; cut off at `context`."""
        if not text:
            return []
        return self.tokenizer.encode(text, add_special_tokens=special).input_ids.data[0].tolist()

    def render(self, messages: tuple[Message, ...]) -> str:
        """The chat as the model's own template writes it, ready for the assistant's words."""
        history = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self.tokenizer.apply_chat_template(history, add_generation_prompt=True)
        except RuntimeError as error:
            raise EngineError(
                f"{self.folder.name}: the chat template cannot be used: {first_line(error)}. "
                "Choose prompts of style 'continue'."
            ) from error

    def codec(self) -> Codec:
        return Codec(
            encode=self.encode,
            turn=self._turn,
            start=self.tokenizer.get_eos_token_id(),
            context=self.context,
        )

    def _turn(self) -> tuple[str, str]:
        before, _, after = self.render((Message(role="user", content=_WORDS),)).partition(_WORDS)
        return before, after


def open_model(name: str, progress: Progress) -> LocalModel:
    """Fetch, convert and read what is needed of the model but its weights."""
    import openvino_genai

    gguf = models.gguf_file(name, progress)
    folder = converted(gguf, progress)
    tokenizer = openvino_genai.Tokenizer(gguf)
    return LocalModel(
        folder=folder,
        tokenizer=tokenizer,
        context=json.loads((folder / _FACTS).read_text(encoding="utf-8"))["context"],
        ends=frozenset(_end_tokens(tokenizer)),
    )


def _end_tokens(tokenizer: "openvino_genai.Tokenizer") -> set[int]:
    """The tokeniser's own end, and the others that instruct models end a text with."""
    ends = {tokenizer.get_eos_token_id()}
    for text in _ENDS:
        tokens = tokenizer.encode(text, add_special_tokens=False).input_ids.data[0].tolist()
        if len(tokens) == 1:
            ends.add(tokens[0])
    return ends
