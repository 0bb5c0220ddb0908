"""The HTTP engine against a real server on this machine that misbehaves on purpose."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from adhere.bench import Bench
from adhere.engines import wire
from adhere.engines.cached import Cached
from adhere.engines.http import HttpEngine
from adhere.errors import EngineError, NoLikelihoodError, UnreachableError
from adhere.progress import NoProgress
from adhere.records import Completion, Message, Request, Sampling, ScoreRequest
from adhere.settings import RunSettings
from adhere.stages import needs_likelihoods

Reply = tuple[int, dict[str, str], bytes]


class Listener(ThreadingHTTPServer):
    request_queue_size = 64  # the default of 5 makes a burst of connections wait a second
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """The client may have left."""


class Server:
    """Answers with `behave(path, body, how often this body came before)`."""

    def __init__(self) -> None:
        self.models = ["model-a"]
        self.listing: Reply | None = None
        self.behave: Callable[[str, dict[str, Any], int], Reply] = lambda path, body, _: ok(
            completion(f"re {body['prompt']}")
        )
        self.seen: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.active = self.most_active = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.http = Listener(("127.0.0.1", 0), self._handler())
        self.base = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def die(self) -> None:
        """Take no new connection; those that stand are dropped by a `behave` that raises."""
        self.http.shutdown()
        self.http.server_close()

    def close(self) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                models = {"data": [{"id": name} for name in server.models]}
                known = self.path == "/v1/models"
                listing = server.listing or ok(models)
                self._send(listing if known else (404, {}, b"not found"))

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["content-length"])).decode()
                with server.lock:
                    before = server.seen[text]
                    server.seen[text] += 1
                    server.bodies.append(json.loads(text))
                    server.headers.append({k.lower(): v for k, v in self.headers.items()})
                    server.active += 1
                    server.most_active = max(server.active, server.most_active)
                reply = server.behave(self.path.removeprefix("/v1"), json.loads(text), before)
                with server.lock:
                    server.active -= 1
                self._send(reply)

            def _send(self, reply: Reply) -> None:
                status, headers, content = reply
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def ok(content: object) -> Reply:
    return 200, {}, json.dumps(content).encode()


def completion(text: str | None, finish: str = "stop", **more: object) -> dict[str, Any]:
    choice = {"text": text, "message": {"content": text}, "finish_reason": finish, **more}
    return {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(wire, "_backoff", lambda state: 0.02)
    monkeypatch.setattr(wire.random, "uniform", lambda a, b: a)
    running = Server()
    yield running
    running.close()


def engine(server: Server, model: str = "#model-a", **choices: Any) -> HttpEngine:
    return HttpEngine(server.base + model, **choices)


def requests(count: int) -> list[Request]:
    return [Request(id=f"id{n}", prompt=f"prompt {n}") for n in range(count)]


def test_plain_and_chat_prompts_are_sent_as_such(server: Server) -> None:
    server.behave = lambda path, body, _: ok(completion(path))
    sampling = Sampling(max_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=("\n",))
    chat = (Message(role="user", content="hi"),)
    asked = [
        Request(id="plain", prompt="x", sampling=sampling),
        Request(id="chat", prompt=chat, sampling=sampling),
    ]
    found = {c.id: c for c in engine(server).complete(asked)}
    assert found["plain"].text == "/completions"
    assert found["chat"].text == "/chat/completions"
    assert (found["plain"].prompt_tokens, found["plain"].completion_tokens) == (5, 2)
    for body in server.bodies:
        assert body["model"] == "model-a"
        assert (body["max_tokens"], body["temperature"], body["top_p"]) == (7, 0.5, 0.9)
        assert (body["seed"], body["stop"]) == (3, ["\n"])
    assert [b["messages"] for b in server.bodies if "messages" in b] == [
        [{"role": "user", "content": "hi"}]
    ]


def test_a_bad_day_loses_nothing(server: Server) -> None:
    """429, 500, broken JSON, broken gzip and dropped hints: every id comes back once, answered."""

    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        number = int(body["prompt"].split()[1])
        trouble: list[Reply] = [
            (429, {"retry-after": "0.05"}, b"slow down"),
            (500, {}, b""),
            (200, {}, b"{not json"),
            (200, {}, b'{"choices": []}'),
            (200, {"content-encoding": "gzip"}, b"not gzip"),
            (503, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"restarting"),
        ]
        if number % 3 == 0 and before < 2:
            return trouble[(number // 3 + before) % len(trouble)]
        return ok(completion(f"re {body['prompt']}"))

    server.behave = behave
    found = list(engine(server).complete(requests(100)))
    assert Counter(c.id for c in found) == Counter(f"id{n}" for n in range(100))
    assert all(c.error is None and c.text == f"re prompt {c.id[2:]}" for c in found)


def test_what_fails_to_the_end_is_a_value(server: Server) -> None:
    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        return {
            "prompt 0": (400, {}, b"this model's context is 4096 tokens"),
            "prompt 1": (500, {}, b"broken"),
            "prompt 2": ok(completion(None, finish="content_filter")),
            "prompt 3": (401, {}, b""),
        }.get(body["prompt"], ok(completion("fine")))

    server.behave = behave
    answers = list(engine(server, attempts=3).complete(requests(5)))
    assert {c.id for c in answers if c.refused} == {"id0", "id2"}  # what lies in the request
    found = {c.id: c.error for c in answers}
    assert "context is 4096" in str(found["id0"])
    assert "HTTP 500: broken" in str(found["id1"])
    assert "content_filter" in str(found["id2"])
    assert "ADHERE_API_KEY" in str(found["id3"])
    assert found["id4"] is None
    tries = Counter(body["prompt"] for body in server.bodies)
    assert (tries["prompt 0"], tries["prompt 1"]) == (1, 3)


def test_a_hanging_reply_is_given_up_and_asked_again(server: Server) -> None:
    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        if before == 0:
            server.closing.wait(5)
        return ok(completion("late"))

    server.behave = behave
    started = time.monotonic()
    found = list(engine(server, timeout=0.3).complete(requests(3)))
    assert [c.text for c in found] == ["late"] * 3
    assert time.monotonic() - started < 4


def test_who_is_told_to_wait_leaves_the_wire_to_others(server: Server) -> None:
    """The first 8 fill the wire and are all put off; the other 8 are asked meanwhile."""

    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        if before == 0 and int(body["prompt"].split()[1]) < 8:
            return 429, {"retry-after": "0.8"}, b""
        return ok(completion("x"))

    server.behave = behave
    found = list(engine(server, concurrency=8).complete(requests(16)))
    assert Counter(c.id for c in found) == Counter(f"id{n}" for n in range(16))
    asked = [int(body["prompt"].split()[1]) for body in server.bodies]
    assert sorted(asked[:16]) == list(range(16))
    assert sorted(asked[16:]) == list(range(8))


def test_the_wire_is_full_and_not_fuller(server: Server) -> None:
    together = threading.Barrier(8)

    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        together.wait(5)  # breaks unless 8 are here at once
        return ok(completion("x"))

    server.behave = behave
    found = list(engine(server, concurrency=8).complete(requests(64)))
    assert [c.error for c in found] == [None] * 64
    assert server.most_active == 8


def test_requests_are_drawn_as_the_wire_takes_them(server: Server) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[Request]:
        number = 0
        while True:
            drawn.append(number)
            yield Request(id=str(number), prompt=f"prompt {number}")
            number += 1

    completions = engine(server, concurrency=4).complete(endless())
    next(completions)
    assert len(drawn) <= 2 * 4
    completions.close()
    assert threading.active_count() < 30


def test_leaving_early_does_not_wait_for_a_hanging_server(server: Server) -> None:
    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        if body["prompt"] != "prompt 0":
            server.closing.wait(20)
        return ok(completion("x"))

    server.behave = behave
    started = time.monotonic()
    completions = engine(server).complete(requests(10))
    assert next(completions).id == "id0"
    completions.close()
    assert time.monotonic() - started < 3


def test_finish_reason_and_stop_strings(server: Server) -> None:
    server.behave = lambda path, body, _: ok(completion("one two", finish="length"))
    plain, cut = engine(server).complete(
        [
            Request(id="a", prompt="x"),
            Request(id="b", prompt="y", sampling=Sampling(stop=(" two",))),
        ]
    )
    found = {c.id: (c.text, c.finish) for c in (plain, cut)}
    assert found == {"a": ("one two", "length"), "b": ("one", "stop")}


def test_check_takes_the_only_model(server: Server) -> None:
    unnamed = engine(server, "")
    unnamed.check()
    assert unnamed.name == f"{server.base}#model-a"


def test_check_names_what_is_served(server: Server) -> None:
    with pytest.raises(EngineError, match="did you mean #model-a"):
        engine(server, "#model-b").check()
    with pytest.raises(EngineError, match="served: model-a"):
        engine(server, "#quite-different").check()
    server.models = ["one", "two"]
    with pytest.raises(EngineError, match="serves one, two; add #NAME"):
        engine(server, "").check()


def test_check_says_when_nobody_answers(server: Server) -> None:
    with pytest.raises(EngineError, match="cannot be reached"):
        HttpEngine("http://127.0.0.1:9/v1#m").check()
    with pytest.raises(EngineError, match="cannot be reached"):
        HttpEngine("http://no such host/v1").check()
    with pytest.raises(EngineError, match="404"):
        HttpEngine(server.base.removesuffix("/v1") + "#model-a").check()


def test_a_server_that_dies_ends_the_work_and_what_it_answered_is_kept(
    server: Server, tmp_path: Path
) -> None:
    eight = threading.Event()

    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        if int(body["prompt"].split()[1]) < 8:
            if sum(int(one["prompt"].split()[1]) < 8 for one in list(server.bodies)) == 8:
                eight.set()
            return ok(completion("fine"))
        eight.wait(5)
        server.die()
        raise ConnectionError

    server.behave = behave
    asking = Cached(engine(server, concurrency=4, attempts=3), tmp_path / "cache.sqlite")
    found: list[Completion] = []
    with pytest.raises(UnreachableError, match=r"cannot be reached .* start the server"):
        found.extend(asking.complete(requests(200)))
    assert asking.stats.errors < 30  # and not all of 192
    again = Cached(engine(server), tmp_path / "cache.sqlite")
    assert [one.text for one in again.complete(requests(8))] == ["fine"] * 8
    assert threading.active_count() < 30


def test_a_gateway_without_its_server_ends_the_work(server: Server) -> None:
    server.listing = (502, {}, b"bad gateway")
    server.behave = lambda path, body, _: (502, {}, b"bad gateway")
    with pytest.raises(UnreachableError, match=r"cannot be reached \(HTTP 502: bad gateway"):
        list(engine(server, attempts=2).complete(requests(200)))


def test_rounds_of_one_request_find_a_dead_server_as_well(server: Server) -> None:
    server.close()
    asking = engine(server, attempts=2)
    (first,) = asking.complete(requests(1))
    assert first.error is not None
    with pytest.raises(UnreachableError):
        list(asking.complete(requests(1)))


def test_a_storm_of_refusals_ends_no_work(server: Server) -> None:
    server.listing = (429, {}, b"slow down")
    server.behave = lambda path, body, _: (429, {}, b"slow down")
    found = list(engine(server, attempts=2).complete(requests(100)))
    assert ["slow down" in str(one.error) for one in found] == [True] * 100


def test_a_single_request_that_always_fails_ends_no_work(server: Server) -> None:
    server.listing = (502, {}, b"not asked for")

    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        poisoned = body["prompt"] == "prompt 3"
        return (500, {}, b"broken") if poisoned else ok(completion("fine"))

    server.behave = behave
    found = list(engine(server, attempts=2).complete(requests(40)))
    assert [one.id for one in found if one.error] == ["id3"]
    assert len(found) == 40


def test_the_key_is_read_from_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADHERE_API_KEY", "secret")
    asking = engine(server)
    list(asking.complete(requests(1)))
    assert server.headers[0]["authorization"] == "Bearer secret"
    assert "secret" not in repr(vars(asking))


def test_the_white_space_around_a_key_is_not_of_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADHERE_API_KEY", " secret\r\n")
    asking = engine(server)
    asking.check()
    list(asking.complete(requests(1)))
    assert server.headers[0]["authorization"] == "Bearer secret"


@pytest.mark.parametrize("key", ["sk-\rsecret", "\N{LEFT DOUBLE QUOTATION MARK}sk-secret"])
def test_a_key_that_no_header_can_hold_is_not_printed(
    server: Server, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("ADHERE_API_KEY", key)
    for asked in (engine(server).check, lambda: list(engine(server).complete(requests(1)))):
        with pytest.raises(EngineError, match="ADHERE_API_KEY holds a character") as caught:
            asked()
        assert "secret" not in str(caught.value)


def echo(text: str, tokens: list[str], bos: str = "") -> dict[str, Any]:
    """A reply as vLLM's to `echo`: a token's log-probability is minus its length."""
    tokens = [*([bos] if bos else []), *tokens, "!"]
    logprobs = [None, *(-float(len(token)) for token in tokens[1:])]
    reply = completion(text, logprobs={"token_logprobs": logprobs, "tokens": tokens})
    reply["usage"]["prompt_tokens"] = len(tokens) - 1
    return reply


@pytest.mark.parametrize("bos", ["", "<s>"])
def test_a_text_is_scored_by_its_echo(server: Server, bos: str) -> None:
    server.behave = lambda path, body, _: ok(echo("", ["Is it", " so?", " Yes", ",", " it"], bos))
    asked = ScoreRequest(id="s", prefix="Is it", prompt=" so?", answer=" Yes, it")
    (score,) = engine(server).score([asked])
    assert (score.logprob, score.tokens) == (-8.0, 3)
    assert server.bodies[0]["prompt"] == "Is it so? Yes, it"
    assert server.bodies[0]["echo"] is True


@pytest.mark.parametrize(
    ("tokens", "logprob", "count"),
    [
        (["Is it", " so", "? Y", "es"], -5.0, 2),  # what is partly the prompt's
        (["Is \N{REPLACEMENT CHARACTER}", " so?", " Yes"], -4.0, 1),  # wrong in the prompt alone
    ],
)
def test_a_token_is_the_answers_when_its_end_is(
    server: Server, tokens: list[str], logprob: float, count: int
) -> None:
    server.behave = lambda path, body, _: ok(echo("", tokens))
    asked = ScoreRequest(id="s", prefix="Is it", prompt=" so?", answer=" Yes")
    (score,) = engine(server).score([asked])
    assert (score.logprob, score.tokens) == (logprob, count)


def test_a_character_of_several_tokens_stands_in_the_last(server: Server) -> None:
    server.behave = lambda path, body, _: ok(echo("", ["Is it", " so?", "", "", "é", "!"]))
    (score,) = engine(server).score([ScoreRequest(id="s", prompt="Is it so?", answer="é!")])
    assert (score.logprob, score.tokens) == (-2.0, 4)


@pytest.mark.parametrize(
    "tokens",
    [
        ["<s>", "Is", "it", "so", "?", "Yes", ",", "it"],  # SentencePiece, one by one
        ["<s>", "Is it", " so?", " Y", "", "s,", " it"],  # bytes
        ["<s>", " it"],
    ],
)
def test_tokens_that_do_not_spell_the_answer_are_refused(server: Server, tokens: list[str]) -> None:
    server.behave = lambda path, body, _: ok(echo("", tokens))
    with pytest.raises(NoLikelihoodError, match=r"/v1 spells a text's tokens .* a newer vLLM"):
        list(engine(server).score([ScoreRequest(id="s", prompt="Is it so?", answer=" Yes, it")]))


def test_a_chat_is_scored_by_prompt_logprobs(server: Server) -> None:
    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        reply = completion("x")
        if len(body["messages"]) == 1:
            reply["usage"]["prompt_tokens"] = 2
        else:
            assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
            place = {"7": {"logprob": -1.5}, "8": {"logprob": -0.1}}
            reply["prompt_logprobs"] = [None, place, place, place]
        return ok(reply)

    server.behave = behave
    (score,) = engine(server).score([ScoreRequest(id="s", prompt="q", answer="a b", chat=True)])
    assert (score.logprob, score.tokens) == (-3.0, 2)


@pytest.mark.parametrize("chat", [False, True])
def test_a_server_without_likelihoods_is_named(server: Server, chat: bool) -> None:
    """llama.cpp and Ollama answer as if nothing special had been asked."""
    generated = {"token_logprobs": [-1.0], "tokens": ["x"]}
    server.behave = lambda path, body, _: ok(completion("x", logprobs=generated))
    with pytest.raises(EngineError, match="no log-probabilities of a given text"):
        list(engine(server).score([ScoreRequest(id="s", prompt="q", answer="a", chat=chat)]))


@pytest.mark.parametrize("given", [[None] * 4, [None, -1.0, None, -1.0]])
@pytest.mark.parametrize("chat", [False, True])
def test_a_token_without_likelihood_is_not_certain(
    server: Server, given: list[float | None], chat: bool
) -> None:
    reply = echo("", ["Is it", " so?", " Yes", ","])
    reply["choices"][0]["logprobs"]["token_logprobs"] = [*given, -1.0]
    reply["prompt_logprobs"] = [value and {"7": {"logprob": value}} for value in given]

    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        begins = {**completion("x"), "usage": {"prompt_tokens": 2}}
        return ok(begins if len(body.get("messages", ())) == 1 else reply)

    server.behave = behave
    asked = ScoreRequest(id="s", prompt="Is it so?", answer=" Yes,", chat=chat)
    with pytest.raises(NoLikelihoodError, match="no log-probabilities of a given text"):
        list(engine(server).score([asked]))


def test_an_answer_that_nothing_precedes_is_scored_from_its_second_token(server: Server) -> None:
    server.behave = lambda path, body, _: ok(echo("", ["Yes", ",", " it"]))
    (score,) = engine(server).score([ScoreRequest(id="s", prompt="", answer="Yes, it")])
    assert (score.logprob, score.tokens) == (-4.0, 2)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_likelihood_that_is_no_number_is_a_failure(server: Server, value: float) -> None:
    reply = echo("", ["Is it so?", " Yes", ","])
    reply["choices"][0]["logprobs"]["token_logprobs"][1] = value
    server.behave = lambda path, body, _: ok(reply)
    (score,) = engine(server).score([ScoreRequest(id="s", prompt="Is it so?", answer=" Yes,")])
    assert f"sum to {value}" in str(score.error)
    assert not score.refused  # so, asked again
    assert (score.logprob, score.tokens) == (0.0, 0)


def yes(number: int) -> ScoreRequest:
    return ScoreRequest(id=str(number), prompt=f"{number}", answer=" Yes")


def scorer(server: Server, odd: Callable[[int], Reply | None]) -> HttpEngine:
    """An engine that has scored one answer well, of a server that answers some oddly."""

    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        prompt, answer = body["prompt"].split(" ")
        asked_first = prompt != "0" and before == 0
        return (asked_first and odd(int(prompt))) or ok(echo("", [prompt, f" {answer}"]))

    server.behave = behave
    asking = engine(server)
    (score,) = asking.score([yes(0)])
    assert score.error is None
    return asking


def test_an_odd_token_of_a_server_that_spells_well_is_one_failure(server: Server) -> None:
    odd = ok(echo("", ["7", " Y", "\N{REPLACEMENT CHARACTER}"]))
    asking = scorer(server, lambda number: odd if number == 7 else None)
    scores = {score.id: score for score in asking.score(yes(n) for n in range(1, 20))}
    assert [id for id, score in scores.items() if score.error] == ["7"]
    assert scores["7"].refused
    assert "do not spell the answer" in str(scores["7"].error)
    assert sum(body["prompt"].startswith("7 ") for body in server.bodies) == 1


def test_a_reply_without_likelihoods_of_a_server_that_gives_them_is_asked_for_again(
    server: Server,
) -> None:
    asking = scorer(server, lambda number: ok(completion("x", logprobs=None)))
    scores = list(asking.score(yes(n) for n in range(1, 20)))
    assert [score.logprob for score in scores] == [-4.0] * 19


def test_a_server_that_gives_likelihoods_no_more_is_a_failure_that_passes(server: Server) -> None:
    asking = scorer(server, lambda number: None)
    server.behave = lambda path, body, _: ok(completion("x", logprobs=None))
    asking.attempts = 3
    (score,) = asking.score([yes(1)])
    assert "no log-probabilities of the answer" in str(score.error)
    assert not score.refused
    assert len(server.bodies) == 1 + 3


def test_a_refusal_that_names_an_echo_is_one_failure_where_others_were_scored(
    server: Server,
) -> None:
    asking = scorer(server, lambda number: (400, {}, b"too long: 'Echo, echo'"))
    (score,) = asking.score([yes(1)])
    assert score.refused


def test_a_server_that_scores_text_alone_is_named_when_asked_for_a_chat(server: Server) -> None:
    asking = scorer(server, lambda number: None)
    server.behave = lambda path, body, _: ok(completion("x"))
    with pytest.raises(NoLikelihoodError, match="no log-probabilities of a given text"):
        list(asking.score([ScoreRequest(id="s", prompt="q", answer="a", chat=True)]))


def test_a_server_that_refuses_echo_is_named(server: Server) -> None:
    server.behave = lambda path, body, _: (400, {}, b"Only no echo is supported")
    with pytest.raises(EngineError, match="no log-probabilities of a given text"):
        list(engine(server).score([ScoreRequest(id="s", prompt="q", answer="a")]))


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_that_only_chats_is_named_at_once(server: Server, status: int) -> None:
    server.behave = lambda path, body, _: (status, {}, b"no such path")
    with pytest.raises(NoLikelihoodError, match="no log-probabilities of a given text"):
        list(engine(server).score([ScoreRequest(id="s", prompt="q", answer="a")]))
    assert len(server.bodies) == 1


def test_a_score_that_fails_is_a_value(server: Server) -> None:
    server.behave = lambda path, body, _: (400, {}, b"too long")
    asked = [
        ScoreRequest(id="s", prompt="q", answer="a"),
        ScoreRequest(id="e", prompt="q", answer=""),
    ]
    scores = list(engine(server).score(asked))
    assert all(score.refused for score in scores)
    found = {score.id: score.error for score in scores}
    assert "too long" in str(found["s"])
    assert found["e"] == "the answer is empty"


def bench(server: Server, run: Path, style: str) -> Bench:
    teacher = {"teacher": f"{server.base}#model-a", "style": style}
    return Bench(run, RunSettings.parse({"models": teacher}, "test"), NoProgress())


@pytest.mark.parametrize("style", ["continue", "chat"])
def test_a_teacher_without_likelihoods_is_found_before_work_starts(
    server: Server, tmp_path: Path, style: str
) -> None:
    one = bench(server, tmp_path, style)
    with pytest.raises(EngineError, match="no log-probabilities of a given text"):
        one.check()
    assert {body["max_tokens"] for body in server.bodies} == {1}
    server.behave = lambda path, body, _: (404, {}, b"no such path")
    with pytest.raises(EngineError, match="no log-probabilities of a given text"):
        one.check()
    server.behave = lambda path, body, _: (400, {}, b"too long")
    with pytest.raises(EngineError, match="model-a cannot score a given text: HTTP 400: too long"):
        one.check()


@pytest.mark.parametrize(("style", "asked"), [("continue", 1), ("chat", 3)])
def test_a_teacher_with_likelihoods_is_asked_for_next_to_nothing(
    server: Server, tmp_path: Path, style: str, asked: int
) -> None:
    def behave(path: str, body: dict[str, Any], before: int) -> Reply:
        if path == "/completions":
            return ok(echo("", ["Is water wet?", " Yes"]))
        reply = completion("x")
        reply["usage"]["prompt_tokens"] = 2
        reply["prompt_logprobs"] = [None, *[{"7": {"logprob": -1.0}}] * 2]
        return ok(reply)

    server.behave = behave
    bench(server, tmp_path, style).check_likelihoods()
    assert len(server.bodies) == asked


@pytest.mark.parametrize(
    ("stage", "style", "needed"),
    [
        ("clauses", "continue", False),
        ("clauses", "chat", True),
        ("generate", "continue", True),
        ("curate", "continue", True),
        ("evaluate", "continue", True),
        ("rewrite", "chat", False),  # off
        ("sft", "chat", False),
    ],
)
def test_likelihoods_are_asked_for_where_a_stage_needs_them(
    stage: str, style: str, needed: bool
) -> None:
    settings = RunSettings.parse({"models": {"style": style}}, "test")
    assert needs_likelihoods(stage, settings) is needed
