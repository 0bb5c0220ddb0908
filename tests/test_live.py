"""One model with its adapters, read as it writes."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.engines import live
from adhere.engines.base import cut_at_stop
from adhere.engines.live import LiveModel
from adhere.engines.transformers import TransformersEngine
from adhere.errors import InputError
from adhere.records import Completion, Message, Request, Sampling

SAMPLED = {"max_tokens": 120, "temperature": 1.5, "seed": 6}
Models = dict[str, tuple[Path, Path | None]]
ASKED = (Message(role="user", content="May I row at night?"),)


@pytest.fixture
def request_(request: pytest.FixtureRequest) -> pytest.FixtureRequest:
    """Pytest's own, by a name that is not taken here."""
    return request


@pytest.fixture(scope="module")
def adapted(tiny_student: Path, adapted_run: Path) -> Models:
    stages = {"sft": "sft", "sft+dpo": "dpo"}
    adapters = {name: (tiny_student, adapted_run / at / "adapter") for name, at in stages.items()}
    return {"base": (tiny_student, None), **adapters}


@pytest.fixture(scope="module")
def tuned(tiny_student: Path, tuned_run: Path) -> Models:
    """Of each kind one: the student, an adapter on it, and two checkpoints of full tuning."""
    return {
        "base": (tiny_student, None),
        "sft": (tuned_run / "sft" / "model", None),
        "dpo": (tiny_student, tuned_run / "dpo-alone" / "adapter"),
        "sft+dpo": (tuned_run / "dpo" / "model", None),
    }


@pytest.fixture(scope="module")
def model(adapted: Models) -> LiveModel:
    return LiveModel(adapted)


def request(prompt: str | tuple[Message, ...] = ASKED, **sampling: object) -> Request:
    return Request(id="r", prompt=prompt, sampling=Sampling(**{"max_tokens": 24, **sampling}))


def whole(replies: Iterator[Completion]) -> Completion:
    return list(replies)[-1]


@pytest.mark.parametrize("kind", ["adapted", "tuned"])
def test_each_name_answers_as_the_engine_does_with_that_model(
    kind: str, request_: pytest.FixtureRequest
) -> None:
    """And in turns: an adapter leaves nothing behind."""
    models: Models = request_.getfixturevalue(kind)
    model = LiveModel(models)
    assert model.names == tuple(models)
    engines = {
        name: TransformersEngine(str(folder), adapter) for name, (folder, adapter) in models.items()
    }
    for asked in (request(), request("Once", temperature=1.0, top_p=0.9, seed=3)):
        expected = {name: next(iter(one.complete([asked]))) for name, one in engines.items()}
        assert len({completion.text for completion in expected.values()}) == len(models)
        for name in (*model.names, *reversed(model.names)):
            assert whole(model.reply(name, asked)) == expected[name]


def test_a_model_without_adapters_is_the_base_alone(tiny_student: Path, model: LiveModel) -> None:
    bare = LiveModel({"base": (tiny_student, None)})
    assert bare.names == ("base",)
    assert whole(bare.reply("base", request())) == whole(model.reply("base", request()))


def test_an_answer_grows_and_never_takes_back_a_letter(model: LiveModel) -> None:
    replies = list(model.reply("base", request(**SAMPLED)))
    assert len(replies) > 3
    for before, after in pairwise(replies):
        assert after.text.startswith(before.text)
    assert replies[-1].completion_tokens > 0


def test_a_stop_string_ends_the_answer_before_it(model: LiveModel) -> None:
    asked = request(**SAMPLED)
    full = whole(model.reply("base", asked)).text
    stop = full[40:43]
    replies = list(model.reply("base", request(**SAMPLED, stop=(stop,))))
    assert replies[-1].text == full[: full.find(stop)]
    assert replies[-1].finish == "stop"
    assert all(stop not in one.text for one in replies)


@given(st.text("ab\n", max_size=30), st.lists(st.text("ab\n", min_size=1, max_size=4)))
def test_what_is_shown_before_a_stop_string_is_never_taken_back(text: str, stop: list[str]) -> None:
    shown = ""
    for end in range(len(text) + 1):
        so_far, stopped = cut_at_stop(text[:end], stop)
        if stopped:
            assert so_far.startswith(shown)
            return
        settled = live._settled(so_far, tuple(stop))
        assert settled.startswith(shown)
        shown = settled
    assert cut_at_stop(text, stop) == (text, False)


def test_closing_the_answer_stops_the_model(model: LiveModel) -> None:
    replies = model.reply("sft", request(max_tokens=1800))
    next(replies)
    began = time.monotonic()
    replies.close()
    assert whole(model.reply("base", request(max_tokens=2))).completion_tokens == 2
    assert time.monotonic() - began < 2


def test_a_failure_of_the_model_reaches_the_reader(
    model: LiveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(model._checkpoint, "generate", fail)
    with pytest.raises(RuntimeError, match="out of order"):
        whole(model.reply("base", request()))


def test_room_is_what_the_prompt_leaves_of_the_context(model: LiveModel) -> None:
    assert model.room(request("x" * 10)) == model.context - 10
    assert model.room(request("x" * model.context)) == 0
    assert whole(model.reply("base", request("x" * (model.context - 1)))).completion_tokens == 1


def test_a_folder_without_an_adapter_is_refused(tiny_student: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        LiveModel({"base": (tiny_student, None), "sft": (tiny_student, tmp_path)})
