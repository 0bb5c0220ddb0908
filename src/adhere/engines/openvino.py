"""`openvino:`: the embedded engine, OpenVINO GenAI's continuous batching on the CPU."""

import gc
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adhere import models
from adhere.engines.base import cut_at_stop
from adhere.engines.likelihood import Integers, Tokens, groups
from adhere.engines.openvino_model import LocalModel, first_line, open_model
from adhere.engines.openvino_scorer import Scorer
from adhere.errors import EngineError, MissingExtraError
from adhere.progress import NoProgress, Progress
from adhere.records import Completion, Request, Sampling, Score, ScoreRequest
from adhere.store import file_sha256

if TYPE_CHECKING:
    import openvino_genai

WINDOW = 64
"""Requests drawn ahead and in flight together."""
SHARED_TOKENS = 32
"""A request waits for another's prefix when that spares it this many tokens or more."""
CACHE_GB = 2
"""Memory for keys and values; prefixes stay in it until the room is needed."""


def check_here(model: str) -> None:
    """Raise what the engine's `check` raises before anything is fetched."""
    if find_spec("openvino_genai") is None or find_spec("gguf") is None:
        raise MissingExtraError("the openvino engine needs: pip install 'adhere[openvino]'")
    models.check_gguf(model)


class OpenVINOEngine:
    """The GGUF model `model`: a catalogue name or a file.

    The seed of a request decides what is sampled for it; the company in the batch
    changes the rounding, so the same requests in the same order give the same
    texts, and in another order perhaps not. `progress` hears of downloads.
    """

    def __init__(self, model: str, progress: Progress | None = None) -> None:
        self._address = model
        self._name = ""
        self._progress = progress or NoProgress()
        self._numbers = count()
        self._model: LocalModel | None = None
        self._pipeline: openvino_genai.ContinuousBatchingPipeline | None = None
        self._scorer: Scorer | None = None

    @property
    def name(self) -> str:
        """The address, and of a file the hash of its weights: exported anew, it is another."""
        if not self._name:
            self._name = f"openvino:{self._address}{_mark(Path(self._address).expanduser())}"
        return self._name

    def check(self) -> None:
        """Fetch the weights where they are missing; raises what `models.gguf_file` raises."""
        check_here(self._address)
        models.gguf_file(self._address, self._progress)

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Each completion is yielded when it ends; at most WINDOW requests are drawn ahead."""
        model, flight = self._opened(), self._flight()
        source = iter(requests)
        try:
            while True:
                drawn = list(islice(source, WINDOW - flight.size))
                if not drawn and not flight.size:
                    return
                for request in drawn:
                    prompt = _prompt_tokens(model, request)
                    if len(prompt) < model.context:
                        flight.add(request, prompt)
                    else:
                        yield _failure(
                            request, f"it does not fit the context of {model.context} tokens"
                        )
                if flight.size:
                    yield from [_completion(model, job) for job in flight.step()]
        finally:
            flight.cancel()

    def score(self, requests: Iterable[ScoreRequest]) -> Iterator[Score]:
        codec = self._opened().codec()
        if self._scorer is None:
            self._scorer = Scorer(self._opened().folder)
        for group in groups(requests, codec):
            yield from self._scorer.score(group)

    def close(self) -> None:
        self._model = self._pipeline = self._scorer = None
        gc.collect()

    def _opened(self) -> LocalModel:
        if self._model is None:
            self.check()
            self._model = open_model(self._address, self._progress)
        return self._model

    def _flight(self) -> "_Flight":
        """A new flight on the pipeline, which is loaded at the first."""
        import openvino_genai

        model = self._opened()
        if self._pipeline is None:
            scheduler = openvino_genai.SchedulerConfig()
            scheduler.enable_prefix_caching = True
            scheduler.dynamic_split_fuse = True
            scheduler.cache_size = CACHE_GB
            scheduler.max_num_batched_tokens = 512
            try:
                self._pipeline = openvino_genai.ContinuousBatchingPipeline(
                    model.folder, model.tokenizer, scheduler, "CPU"
                )
            except RuntimeError as error:
                raise EngineError(
                    f"{self.name}: OpenVINO cannot start it: {first_line(error)}."
                ) from error
        return _Flight(self.name, self._pipeline, model, self._numbers)


def _mark(file: Path) -> str:
    return f"@{file_sha256(file)[:12]}" if file.is_file() else ""


@dataclass(slots=True, eq=False)
class _Job:
    """A request in flight."""

    request: Request
    prompt: Integers
    handle: "openvino_genai.py_openvino_genai.GenerationHandle"
    tokens: Tokens = field(default_factory=Tokens)
    reason: "openvino_genai.GenerationFinishReason | None" = None

    @property
    def computed(self) -> bool:
        """The whole prompt is computed: the first token is there."""
        return bool(self.tokens)

    def read(self) -> None:
        while self.handle.can_read():
            for output in self.handle.read().values():
                self.tokens += output.generated_ids
                self.reason = output.finish_reason


class _Flight:
    """The requests of one `complete`: some wait for a prefix, some are being generated.

    The pipeline reuses only what has been computed when a request is added. So a
    request waits while one in flight, not yet computed, shares more of its prompt
    than any that is: of all requests for one passage the first goes alone.
    """

    def __init__(
        self,
        name: str,
        pipeline: "openvino_genai.ContinuousBatchingPipeline",
        model: LocalModel,
        numbers: Iterator[int],
    ) -> None:
        self._name = name
        self._pipeline = pipeline
        self._model = model
        self._numbers = numbers
        self._waiting: list[tuple[Request, Integers]] = []
        self._flying: list[_Job] = []
        self._computed: deque[Integers] = deque(maxlen=WINDOW)

    @property
    def size(self) -> int:
        return len(self._waiting) + len(self._flying)

    def add(self, request: Request, prompt: Tokens) -> None:
        self._waiting.append((request, np.array(prompt, np.int64)))

    def step(self) -> list[_Job]:
        """Compute the next token of all that fly; gives those that have ended."""
        from openvino_genai import GenerationStatus

        self._waiting = [
            (request, prompt)
            for request, prompt in self._waiting
            if not self._start(request, prompt)
        ]
        try:
            self._pipeline.step()
        except RuntimeError as error:
            raise EngineError(f"{self._name}: OpenVINO stopped: {first_line(error)}.") from error
        ended: list[_Job] = []
        for job in self._flying:
            was_computed = job.computed
            job.read()
            if job.computed and not was_computed:
                self._computed.append(job.prompt)
            if job.handle.get_status() != GenerationStatus.RUNNING:
                ended.append(job)
        self._flying = [job for job in self._flying if job not in ended]
        return ended

    def cancel(self) -> None:
        """Give the memory of what is unfinished back, unless OpenVINO has stopped for good."""
        with suppress(RuntimeError):
            for job in self._flying:
                job.handle.cancel()
            if self._flying:
                self._pipeline.step()

    def _start(self, request: Request, prompt: Integers) -> bool:
        """Hand the request to the pipeline, unless it had better wait."""
        import openvino

        uncomputed = [job.prompt for job in self._flying if not job.computed]
        if _shared(prompt, uncomputed) - _shared(prompt, self._computed) >= SHARED_TOKENS:
            return False
        handle = self._pipeline.add_request(
            next(self._numbers),
            openvino.Tensor(prompt[None]),
            _config(self._model, request.sampling, prompt.size),
        )
        self._flying.append(_Job(request, prompt, handle))
        return True


def _shared(prompt: Integers, others: Iterable[Integers]) -> int:
    """Tokens of the longest beginning that `prompt` shares with one of `others`."""
    longest = 0
    for other in others:
        length = min(prompt.size, other.size)
        differ = np.flatnonzero(prompt[:length] != other[:length])
        longest = max(longest, int(differ[0]) if differ.size else length)
    return longest


def _prompt_tokens(model: LocalModel, request: Request) -> Tokens:
    if isinstance(request.prompt, str):
        return model.encode(request.prompt, special=True)
    return model.encode(model.render(request.prompt), special=False)


def _config(
    model: LocalModel, sampling: Sampling, prompt_tokens: int
) -> "openvino_genai.GenerationConfig":
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = max(1, min(sampling.max_tokens, model.context - prompt_tokens))
    config.stop_token_ids = set(model.ends)
    config.stop_strings = set(sampling.stop)
    # Left out, the text before a stop string that shares its token would go with it.
    config.include_stop_str_in_output = True
    if sampling.temperature > 0:
        config.do_sample = True
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        config.rng_seed = sampling.seed % 2**32
    return config


def _completion(model: LocalModel, job: _Job) -> Completion:
    from openvino_genai import GenerationFinishReason, GenerationStatus

    if job.handle.get_status() != GenerationStatus.FINISHED:
        return _failure(
            job.request, f"its {job.prompt.size} tokens found no room in {CACHE_GB} GB of cache"
        )
    text, stopped = cut_at_stop(model.tokenizer.decode(job.tokens), job.request.sampling.stop)
    cut_off = job.reason == GenerationFinishReason.LENGTH and not stopped
    return Completion(
        id=job.request.id,
        text=text,
        finish="length" if cut_off else "stop",
        prompt_tokens=job.prompt.size,
        completion_tokens=len(job.tokens),
    )


def _failure(request: Request, problem: str) -> Completion:
    return Completion(id=request.id, error=f"the prompt was not answered: {problem}", refused=True)
