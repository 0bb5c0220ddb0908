"""The served models, asked by OpenAI's own client."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import openai
import pytest
from conftest import adhere

from adhere import serve
from adhere.bench import Bench
from adhere.engines.http import HttpEngine
from adhere.engines.live import LiveModel
from adhere.progress import NoProgress
from adhere.records import Message, Request, Sampling
from adhere.settings import RunSettings

ASKED = [{"role": "user", "content": "May I row at night?"}]
SAMPLED = {"temperature": 1.5, "seed": 6, "max_tokens": 120}
ENDLESS = {"model": "dpo", "temperature": 0, "max_tokens": 1900}


def models(run: Path) -> dict[str, tuple[Path, Path | None]]:
    bench = Bench(run, RunSettings.read(run / "run.toml"), NoProgress())
    stages = {"base": None, **bench.finished}
    return {name: bench.trained(stage) for name, stage in stages.items()}


@pytest.fixture(scope="module")
def address(adapted_run: Path) -> Iterator[str]:
    server = serve.server(LiveModel(models(adapted_run)))
    with serve.listening("127.0.0.1", 0) as listener:
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        server.should_exit = True
        thread.join()


@pytest.fixture
def run(adapted_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(adapted_run, tmp_path / "run")


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as one:
        yield one


def test_the_list_holds_the_base_and_every_adapter(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["base", "sft", "dpo", "sft+dpo"]
    assert client.models.retrieve("sft+dpo").owned_by == "adhere"


@pytest.mark.parametrize("model", ["base", "sft+dpo"])
def test_a_chat_is_the_same_whole_and_streamed(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=ASKED, **SAMPLED)
    [choice] = whole.choices
    assert (whole.object, whole.model) == ("chat.completion", model)
    assert choice.message.role == "assistant"
    assert choice.finish_reason in ("stop", "length")
    chunks = list(
        client.chat.completions.create(
            model=model,
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
            **SAMPLED,
        )
    )
    *said, usage = chunks
    assert len(said) > 3
    assert "".join(c.choices[0].delta.content or "" for c in said) == choice.message.content
    assert said[-1].choices[0].finish_reason == choice.finish_reason
    assert (usage.choices, usage.usage) == ([], whole.usage)
    assert {chunk.id for chunk in chunks} == {usage.id}


def test_a_text_is_continued_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="sft", prompt="At night", **SAMPLED)
    parts = client.completions.create(model="sft", prompt="At night", stream=True, **SAMPLED)
    assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text
    assert whole.usage
    assert whole.usage.prompt_tokens == len("At night")


def test_the_sampling_is_honoured(client: openai.OpenAI) -> None:
    def said(**options: object) -> tuple[str, str, int]:
        reply = client.chat.completions.create(model="base", messages=ASKED, **options)
        assert reply.usage
        choice = reply.choices[0]
        return choice.message.content or "", choice.finish_reason, reply.usage.completion_tokens

    full = said(**SAMPLED)
    assert said(**SAMPLED) == full
    assert said(**{**SAMPLED, "seed": 2}) != full
    stop = full[0][20:23]
    assert said(**SAMPLED, stop=stop)[:2] == (full[0][: full[0].find(stop)], "stop")
    assert said(temperature=0, max_tokens=5)[1:] == ("length", 5)
    assert said(max_completion_tokens=5) == said(temperature=0, max_tokens=5)
    assert said(max_tokens=9)[0] == said(max_tokens=9)[0]  # greedy where nothing is asked
    unseeded = {**SAMPLED, "seed": None}
    assert said(**unseeded) != said(**unseeded)


def test_parts_of_text_and_other_names_of_the_roles_are_read(client: openai.OpenAI) -> None:
    plain = [{"role": "system", "content": "Be brief."}, *ASKED]
    other = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": ASKED[0]["content"]}]},
    ]
    replies = [
        client.chat.completions.create(model="dpo", messages=messages, max_tokens=8)
        for messages in (plain, other)
    ]
    assert replies[0].choices == replies[1].choices


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"n": 2}, "n", "n: Input should be 1."),
        ({"temperature": 3}, "temperature", "temperature: Input should be less than or equal to 2"),
        ({"max_tokens": 0}, "max_tokens", "max_tokens: Input should be greater than or equal to 1"),
        ({"presence_penalty": 0.5}, "presence_penalty", "Input should be less than or equal to 0"),
        ({"messages": []}, "messages", "messages: Tuple should have at least 1 item"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "Input should be"),
        ({"tools": [{"type": "function"}]}, "tools", "tools: not supported here; supported are: "),
        ({"logprobs": True}, "logprobs", "logprobs: not supported here"),
        ({"messages": [{"role": "user", "content": "x" * 3000}]}, None, "context of 2048 tokens"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    address: str, body: dict[str, object], param: str | None, message: str
) -> None:
    asked = {"model": "base", "messages": ASKED, "max_tokens": 4, **body}
    response = httpx.post(f"{address}/chat/completions", json=asked)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert message in error["message"]


def test_what_changes_nothing_is_taken(client: openai.OpenAI) -> None:
    client.chat.completions.create(
        model="base",
        messages=ASKED,
        max_tokens=2,
        n=1,
        presence_penalty=0,
        frequency_penalty=0.0,
        user="me",
        top_p=1,
    )


def test_an_unknown_model_is_told_the_known_ones(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4", messages=ASKED)
    assert "No model 'gpt-4' here; there are: base, sft, dpo, sft+dpo." in str(caught.value)
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="there are: base"):
        client.models.retrieve("gpt-4")


def test_errors_of_the_wire_have_openais_shape(address: str) -> None:
    elsewhere = httpx.get(f"{address}/embeddings")
    assert elsewhere.status_code == 404
    assert "there are: /v1/models" in elsewhere.json()["error"]["message"]
    assert httpx.get(f"{address}/chat/completions").status_code == 405
    broken = httpx.post(f"{address}/chat/completions", content=b"{")
    assert broken.status_code == 400
    assert "Invalid JSON" in broken.json()["error"]["message"]


def test_a_client_that_goes_away_does_not_hold_up_the_next(
    client: openai.OpenAI, address: str
) -> None:
    endless = {"messages": ASKED, **ENDLESS}
    url = f"{address}/chat/completions"
    with httpx.stream("POST", url, json={**endless, "stream": True}, timeout=60) as response:
        next(response.iter_lines())
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json=endless, timeout=0.2)
    assert client.chat.completions.create(model="sft", messages=ASKED, max_tokens=2, timeout=60)


def test_several_clients_at_once_each_get_their_own_answer(address: str) -> None:
    """More than one batch of the engine; its answers alone are the same."""
    names = ("base", "sft", "dpo", "sft+dpo")
    requests = [
        Request(
            id=str(n),
            prompt=(Message(role="user", content=f"{n}?"),),
            sampling=Sampling(max_tokens=6),
        )
        for n in range(12)
    ]
    for name in names:
        together = HttpEngine(f"{address}#{name}")
        alone = HttpEngine(f"{address}#{name}", concurrency=1)
        assert {c.id: c for c in together.complete(requests)} == {
            c.id: c for c in alone.complete(requests)
        }


def test_a_failure_of_the_model_is_an_error_of_openais_shape(
    tiny_student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.testclient import TestClient

    live = LiveModel({"base": (tiny_student, None)})

    def fail(*_: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(live._checkpoint, "generate", fail)
    http = TestClient(serve.application(live, lambda: False), raise_server_exceptions=False)
    asked = {"model": "base", "messages": ASKED}
    whole = http.post("/v1/chat/completions", json=asked)
    assert whole.status_code == 500
    assert whole.json()["error"] == {
        "message": "The model failed: out of order",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    streamed = http.post("/v1/chat/completions", json={**asked, "stream": True})
    [event] = streamed.text.split("\n\n")[:-1]
    assert json.loads(event.removeprefix("data: ")) == whole.json()


# The command


def test_what_is_missing_is_one_sentence(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = adhere("serve", str(run), f"--port={port}")
        assert said.code == 2
        assert f"127.0.0.1:{port}: Address already in use; choose another with --port" in said.err
    assert "choose another with --port" in adhere("serve", str(run), "--host=no.such.host").err
    assert "65535" in adhere("serve", str(run), "--port=70000").err
    for stage in ("sft", "dpo", "dpo-alone"):
        shutil.rmtree(run / stage)
    said = adhere("serve", str(run))
    assert (said.code, said.out) == (2, "")
    assert f"{run}: nothing is trained yet; run `adhere run {run}` first." in said.err
    assert "nowhere: no run here" in adhere("serve", "nowhere").err
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    assert "pip install 'adhere[serve]'" in adhere("serve", str(run)).err


def test_checkpoints_of_full_tuning_are_served_beside_the_student(
    tuned_run: Path, client: openai.OpenAI
) -> None:
    command = [sys.executable, "-c", "from adhere.cli import main; main()", "serve", "--port=0"]
    environment = {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(
        [*command, str(tuned_run)], stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        try:
            assert child.stderr
            line = child.stderr.readline()
            found = re.search(r"Serving base, sft, dpo, sft\+dpo at (\S+);", line)
            assert found, line + child.stderr.read()
            with openai.OpenAI(base_url=found[1], api_key="none", max_retries=0) as other:
                ours, theirs = (
                    {
                        name: one.chat.completions.create(
                            model=name, messages=ASKED, max_tokens=9
                        ).choices
                        for name in ("base", "sft", "dpo", "sft+dpo")
                    }
                    for one in (other, client)
                )
            assert (ours["base"], ours["dpo"]) == (theirs["base"], theirs["dpo"])
            assert ours["sft+dpo"] not in (theirs["sft+dpo"], ours["base"], ours["sft"])
        finally:
            child.kill()


def test_ctrl_c_ends_it_cleanly_in_the_middle_of_an_answer(run: Path) -> None:
    (run / "sft").rename(run / "sft.partial")
    command = [sys.executable, "-c", "from adhere.cli import main; main()", "serve", str(run)]
    environment = {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(
        [*command, "--port=0"], stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        try:
            assert child.stderr
            line = child.stderr.readline()
            found = re.search(r"Serving base, dpo, sft\+dpo at (\S+); Ctrl-C ends it\.", line)
            assert found, line + child.stderr.read()
            asked = {"messages": ASKED, **ENDLESS, "stream": True}
            with httpx.stream(
                "POST", f"{found[1]}/chat/completions", json=asked, timeout=60
            ) as response:
                lines = response.iter_lines()
                next(lines)
                child.send_signal(signal.SIGINT)
                rest = list(lines)
            assert rest[-2:] == ["data: [DONE]", ""]
            assert child.wait(timeout=60) == 0
            assert child.stderr.read() == ""
        finally:
            child.kill()
