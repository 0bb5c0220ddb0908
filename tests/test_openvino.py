"""The embedded engine: its scheduling on a pretended pipeline, all else on the real student."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from adhere.engines import openvino as module
from adhere.engines import openvino_model
from adhere.engines.openvino import OpenVINOEngine
from adhere.errors import EngineError, SettingsError
from adhere.records import Message, Request, Sampling, ScoreRequest

genai = pytest.importorskip("openvino_genai")

STUDENT = "smollm2-135m-instruct"


def by_id(items):
    return {item.id: item for item in items}


class PretendedPipeline:
    """Computes every prompt in one step and answers in three; notes what was added when."""

    def __init__(self) -> None:
        self.steps = 0
        self.added: dict[int, list[int]] = {}
        self.handles: list[PretendedHandle] = []

    def add_request(self, number: int, prompt, config) -> "PretendedHandle":
        self.added.setdefault(self.steps, []).append(number)
        self.handles.append(PretendedHandle())
        return self.handles[-1]

    def step(self) -> None:
        self.steps += 1
        for handle in self.handles:
            handle.unread += 1


class PretendedHandle:
    def __init__(self) -> None:
        self.unread = self.given = 0

    def can_read(self) -> bool:
        return self.unread > 0

    def read(self):
        self.unread -= 1
        self.given += 1
        reason = genai.GenerationFinishReason.LENGTH
        return {0: SimpleNamespace(generated_ids=[self.given], finish_reason=reason)}

    def get_status(self):
        return (
            genai.GenerationStatus.FINISHED if self.given >= 3 else genai.GenerationStatus.RUNNING
        )


def fly(prompts: list[list[int]]) -> PretendedPipeline:
    pipeline = PretendedPipeline()
    model = SimpleNamespace(context=1000, ends=frozenset({0}))
    flight = module._Flight("test", pipeline, model, iter(range(len(prompts))))
    for number, prompt in enumerate(prompts):
        flight.add(Request(id=str(number), prompt=""), prompt)
    ended: list[str] = []
    while flight.size:
        ended += [job.request.id for job in flight.step()]
    assert sorted(ended, key=int) == [str(number) for number in range(len(prompts))]
    return pipeline


def test_the_first_of_each_passage_goes_before_the_others() -> None:
    examples, passages = [1] * 50, [[2] * 50, [3] * 50]
    prompts = [examples + passage + [9, n] for passage in passages for n in range(3)]
    # The examples alone, then the other passage's first beside what can follow, then all.
    assert fly(prompts).added == {0: [0], 1: [1, 2, 3], 2: [4, 5]}


def test_prompts_with_little_in_common_go_at_once() -> None:
    assert fly([[1, 2, 3, n] * 20 for n in range(5)]).added == {0: [0, 1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("prompt", "others", "expected"),
    [([1, 2, 3], [[1, 2], [9]], 2), ([1, 2], [[1, 2, 3]], 2), ([1], [], 0), ([1], [[2]], 0)],
)
def test_shared_beginnings_are_measured(
    prompt: list[int], others: list[list[int]], expected: int
) -> None:
    arrays = [np.array(other) for other in others]
    assert module._shared(np.array(prompt), arrays) == expected


class BrokenPipeline(PretendedPipeline):
    def step(self) -> None:
        raise RuntimeError("Check 'memory' failed: no room")


def pretended(monkeypatch: pytest.MonkeyPatch, pipeline) -> OpenVINOEngine:
    """An engine of a pretended model, whose pipeline is what `pipeline` gives."""
    model = SimpleNamespace(
        context=1000,
        ends=frozenset({0}),
        folder="",
        tokenizer=None,
        encode=lambda text, special: [1, 2],
    )
    engine = OpenVINOEngine("pretended")
    monkeypatch.setattr(engine, "_opened", lambda: model)
    monkeypatch.setattr(genai, "ContinuousBatchingPipeline", pipeline)
    return engine


def test_a_pipeline_that_stops_says_why_though_it_cannot_be_tidied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = pretended(monkeypatch, lambda *_: BrokenPipeline())
    monkeypatch.setattr(PretendedHandle, "cancel", lambda self: None, raising=False)
    with pytest.raises(EngineError, match=r"pretended: OpenVINO stopped: .*no room"):
        list(engine.complete([request("1", "a")]))


def test_a_pipeline_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no such device")

    engine = pretended(monkeypatch, refuse)
    with pytest.raises(EngineError, match="pretended: OpenVINO cannot start it: no such device"):
        list(engine.complete([request("1", "a")]))


def test_an_unknown_model_is_refused_before_work() -> None:
    with pytest.raises(SettingsError, match="no model"):
        OpenVINOEngine("no-such-model").check()


def test_a_file_that_openvino_cannot_read_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADHERE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "odd.gguf").write_bytes(b"GGUF" + b"\x00" * 64)
    with pytest.raises(EngineError, match="OpenVINO cannot read this model"):
        list(OpenVINOEngine(str(tmp_path / "odd.gguf")).complete([Request(id="1", prompt="x")]))
    assert not list((tmp_path / "cache").rglob("openvino_model.xml"))


@pytest.fixture(scope="module")
def engine() -> Iterator[OpenVINOEngine]:
    opened = OpenVINOEngine(STUDENT)
    yield opened
    opened.close()


def request(name: str, prompt: str, **sampling: object) -> Request:
    return Request(id=name, prompt=prompt, sampling=Sampling(**{"max_tokens": 12, **sampling}))


@pytest.mark.model
def test_completions_end_where_they_should(engine: OpenVINOEngine) -> None:
    count = "Count: one, two, three, four,"
    asked = [
        request("limit", count, max_tokens=3),
        request("stop", count, stop=(" seven",)),
        request("inside", count, stop=("ix",)),
        request("chat", "", max_tokens=60),
    ]
    chat = (Message(role="user", content="Say hello in one word."),)
    asked[3] = Request(id="chat", prompt=chat, sampling=Sampling(max_tokens=60))
    found = by_id(engine.complete(asked))
    assert (found["limit"].finish, found["limit"].completion_tokens) == ("length", 3)
    assert (found["stop"].text, found["stop"].finish) == (" five, six,", "stop")
    assert (found["inside"].text, found["inside"].finish) == (" five, s", "stop")
    assert found["chat"].text.strip()
    assert "<|im_" not in found["chat"].text
    assert found["chat"].prompt_tokens > 20  # with the template's own system message


@pytest.mark.model
def test_seeds_differ_within_one_batch_and_repeat_in_the_next(engine: OpenVINOEngine) -> None:
    prompt = "Question: What is honesty?\nAnswer:"
    asked = [request(str(n), prompt, temperature=1.0, seed=n % 4) for n in range(8)]
    list(engine.complete(asked))  # computes the prefix, so that both runs below find it
    first, second = by_id(engine.complete(asked)), by_id(engine.complete(asked))
    assert first == second
    assert [first[str(n)].text for n in range(4)] == [first[str(n + 4)].text for n in range(4)]
    assert len({first[str(n)].text for n in range(4)}) >= 3


@pytest.mark.model
def test_what_does_not_fit_is_a_value_and_the_rest_goes_on(engine: OpenVINOEngine) -> None:
    asked = [request(f"long{n}", "word " * 9000) for n in range(2)] + [request("good", "Hello")]
    found = by_id(engine.complete(asked))
    assert "does not fit" in str(found["long0"].error)
    assert found["good"].error is None


@pytest.mark.model
def test_completions_come_as_they_end_and_requests_are_drawn_as_needed(
    engine: OpenVINOEngine,
) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[Request]:
        while True:
            drawn.append(len(drawn))
            yield request(str(len(drawn)), f"Number {len(drawn)} is", max_tokens=2)

    completions = engine.complete(endless())
    seen = {next(completions).id for _ in range(100)}
    assert len(seen) == 100
    assert len(drawn) <= 100 + module.WINDOW
    completions.close()
    assert [c.id for c in engine.complete([request("after", "Hello")])] == ["after"]


def unchanged_graph_logprob(engine: OpenVINOEngine, before: str, answer: str) -> float:
    """The plain way: one text through the graph as GenAI saved it, all logits."""
    import openvino

    model = engine._opened()
    tokens = model.encode(answer, False)
    ids = np.array([model.encode(before, True) + tokens])
    graph = openvino.Core().compile_model(model.folder / "openvino_model.xml", "CPU")
    inputs = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "position_ids": np.arange(ids.size)[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    logits = graph.create_infer_request().infer(inputs)[0][0, -len(tokens) - 1 : -1]
    logits = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return float(logprobs[np.arange(len(tokens)), tokens].sum())


@pytest.mark.model
def test_likelihoods_are_those_of_the_plain_way(engine: OpenVINOEngine) -> None:
    """Shared and padded in a batch, each alone, and by the unchanged graph.

    Not compared with transformers: GenAI's GGUF reader rounds the weights further.
    """
    passage = "Staff must refuse any gift worth more than fifty euros, and report it.\n" * 4
    answers = [" No, you must refuse it.", " Yes.", " Ask the ethics line, and refuse the gift."]
    asked = [
        ScoreRequest(id=str(n), prefix=passage, prompt=f"Q: May I take gift {n}?\nA:", answer=text)
        for n, text in enumerate(answers)
    ]
    together = by_id(engine.score(asked))
    for one in asked:
        (alone,) = engine.score([one])
        plain = unchanged_graph_logprob(engine, one.prefix + one.prompt, one.answer)
        assert together[one.id].tokens == alone.tokens > 1
        assert together[one.id].mean == pytest.approx(alone.mean, abs=0.1), one.id
        assert together[one.id].logprob == pytest.approx(plain, abs=0.1 * alone.tokens), one.id
    assert by_id(engine.score(asked)) == together


@pytest.mark.model
def test_a_chat_is_scored_in_the_models_template(engine: OpenVINOEngine) -> None:
    chat = ScoreRequest(id="chat", prefix="May I", prompt=" take it?", answer="No.", chat=True)
    rendered = engine._opened().render((Message(role="user", content="May I take it?"),))
    by_hand = ScoreRequest(id="hand", prompt=rendered, answer="No.")
    found = by_id(engine.score([chat, by_hand]))
    assert found["chat"].tokens == found["hand"].tokens
    assert found["chat"].mean == pytest.approx(found["hand"].mean, abs=0.1)


@pytest.mark.model
def test_a_killed_conversion_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: OpenVINOEngine
) -> None:
    from adhere.models import gguf_file
    from adhere.progress import NoProgress

    gguf = gguf_file(STUDENT, NoProgress())
    monkeypatch.setenv("ADHERE_CACHE", str(tmp_path))
    real = openvino_model._convert

    def killed(gguf: Path, folder: Path) -> None:
        (folder / "openvino_model.xml").write_text("half of")
        raise KeyboardInterrupt

    monkeypatch.setattr(openvino_model, "_convert", killed)
    with pytest.raises(KeyboardInterrupt):
        openvino_model.converted(gguf, NoProgress())
    monkeypatch.setattr(openvino_model, "_convert", real)
    folder = openvino_model.converted(gguf, NoProgress())
    assert (folder / "openvino_model.xml").stat().st_size > 100_000
    assert {path.name for path in folder.iterdir()} == {
        "openvino_model.xml",
        "openvino_model.bin",
        "adhere.json",
    }
