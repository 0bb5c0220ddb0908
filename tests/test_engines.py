"""Addresses, stop strings, the scripted engine, and batches of likelihoods."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.engines import open_engine
from adhere.engines.base import cut_at_stop
from adhere.engines.likelihood import GROUP, Codec, Row, batches, groups, scores
from adhere.engines.scripted import ScriptedEngine
from adhere.errors import InputError, SettingsError
from adhere.records import Message, Request, Sampling, ScoreRequest


def ask(engine: ScriptedEngine, prompt: str, **sampling: object):
    (completion,) = engine.complete([Request(id="1", prompt=prompt, sampling=Sampling(**sampling))])
    return completion


@pytest.mark.parametrize("address", ["gpt-4", "openvino:", "ftp://host/v1", "", "scripted:"])
def test_an_unknown_address_says_what_addresses_look_like(address: str) -> None:
    with pytest.raises(SettingsError, match="openvino:NAME"):
        open_engine(address)


def test_addresses_open_their_engines(tmp_path: Path) -> None:
    script = tmp_path / "s.toml"
    script.write_text("rules = []")
    assert open_engine("openvino:some-model").name == "openvino:some-model"
    assert open_engine("http://localhost:1/v1#m").name == "http://localhost:1/v1#m"
    assert open_engine("transformers:some/model").name == "transformers:some/model"
    assert open_engine(f"scripted:{script}").name.startswith("scripted:")


def test_a_gguf_file_is_known_by_its_weights_too(tmp_path: Path) -> None:
    """Exported anew under the same name, it must not be given the old file's answers."""
    file, names = tmp_path / "model.gguf", list[str]()
    for weights in (b"GGUF one", b"GGUF two"):
        file.write_bytes(weights)
        names.append(open_engine(f"openvino:{file}").name)
    assert names[0] != names[1]
    assert all(name.startswith(f"openvino:{file}@") for name in names)


def test_an_adapter_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        open_engine(f"transformers:some/model+{tmp_path}").check()


@given(st.text(alphabet="abc"), st.lists(st.text(alphabet="abc", max_size=3)))
def test_text_is_cut_before_the_first_stop_string(text: str, stop: list[str]) -> None:
    cut, stopped = cut_at_stop(text, stop)
    assert text.startswith(cut)
    assert not any(one and one in cut for one in stop)
    assert stopped == any(one and one in text for one in stop)
    assert stopped or cut == text


def test_the_first_rule_that_matches_replies_with_its_groups() -> None:
    engine = ScriptedEngine([(r"^Name: (?P<who>\w+)$", r"Hello \g<who>."), (".", "other")])
    assert ask(engine, "A question\nName: Ada\nmore").text == "Hello Ada."
    assert ask(engine, "Name: Ada Lovelace").text == "other"


def test_a_chat_is_matched_as_one_text() -> None:
    engine = ScriptedEngine([("system: Be brief.\n\nuser: Why", "Because.")])
    chat = (Message(role="system", content="Be brief."), Message(role="user", content="Why?"))
    assert [c.text for c in engine.complete([Request(id="1", prompt=chat)])] == ["Because."]


def test_no_rule_an_error_rule_and_a_wrong_template_are_failures_as_values() -> None:
    engine = ScriptedEngine([("fail", "error: overloaded"), ("group", r"\7")])
    assert "no rule" in str(ask(engine, "something else").error)
    assert ask(engine, "fail").error == "overloaded"
    assert "does not fit" in str(ask(engine, "group").error)


def test_stop_strings_and_token_limit_hold() -> None:
    engine = ScriptedEngine([(".", "One two.\nThree four")])
    stopped = ask(engine, "x", stop=("\n",))
    assert (stopped.text, stopped.finish) == ("One two.", "stop")
    limited = ask(engine, "x", max_tokens=3)
    assert (limited.text, limited.finish, limited.completion_tokens) == (
        "One two.\nThree",
        "length",
        3,
    )


def test_of_several_replies_prompt_and_seed_choose() -> None:
    engine = ScriptedEngine([(".", [str(n) for n in range(50)])])
    first = [ask(engine, "x", seed=seed).text for seed in range(10)]
    assert first == [ask(engine, "x", seed=seed).text for seed in range(10)]
    assert len(set(first)) > 3


def test_scripted_likelihood_rewards_what_the_passage_says() -> None:
    engine = ScriptedEngine([], scores=[("mark", -0.5)])
    passage = "Gifts above fifty euros must be refused. "
    requests = [
        ScoreRequest(id="with", prefix=passage, prompt="Gift?", answer="It must be refused."),
        ScoreRequest(id="without", prompt="Gift?", answer="It must be refused."),
        ScoreRequest(id="marked", prompt="mark", answer="two words"),
        ScoreRequest(id="empty", prompt="x", answer=" "),
    ]
    found = {score.id: score for score in engine.score(requests)}
    assert found["with"].mean > found["without"].mean
    assert (found["marked"].mean, found["marked"].tokens) == (-0.5, 2)
    assert found["empty"].error is not None


def test_a_script_is_read_from_toml_and_json(tmp_path: Path) -> None:
    toml, json = tmp_path / "s.toml", tmp_path / "s.json"
    toml.write_text("[[rules]]\nmatch = 'a(.)'\nreply = ['\\1']\n[[scores]]\nmatch='z'\nmean=-1\n")
    json.write_text(
        '{"rules": [{"match": "a(.)", "reply": ["\\\\1"]}],"scores":[{"match":"z","mean":-1}]}'
    )
    engines = [ScriptedEngine.from_file(path) for path in (toml, json)]
    assert [ask(engine, "ab").text for engine in engines] == ["b", "b"]
    assert engines[0].name == engines[1].name


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("rules = 3", "rules"),
        ("rules = [{match = '(', reply = 'x'}]", "no regular expression"),
        ("rules = [{match = 'a', reply = []}]", "reply"),
        ("rules = []\nspeed = 3", "speed"),
        ("not toml", "not a script"),
        ("", "rules"),
    ],
)
def test_a_wrong_script_is_refused_with_its_place(
    tmp_path: Path, content: str, complaint: str
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=complaint):
        ScriptedEngine.from_file(path)


def test_a_missing_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        ScriptedEngine.from_file(tmp_path / "none.toml")


def codec(context: int = 1000) -> Codec:
    """One token a character; a text begins with token 1, a user's turn is in brackets."""
    return Codec(
        encode=lambda text, special: ([1] if special else []) + [ord(c) for c in text],
        turn=lambda: ("[", "]"),
        start=0,
        context=context,
    )


def test_adjacent_requests_of_one_prefix_share_its_tokens() -> None:
    requests = [
        ScoreRequest(id="1", prefix="pre", prompt="ask", answer="yes"),
        ScoreRequest(id="2", prefix="pre", prompt="", answer="no"),
        ScoreRequest(id="3", prefix="pre", prompt="a", answer="no", chat=True),
        ScoreRequest(id="4", prompt="", answer="z"),
    ]
    plain, chat, alone = groups(requests, codec())
    assert plain.shared == [1, *map(ord, "pr")]
    assert [row.context for row in plain.rows] == [[*map(ord, "eask")], [ord("e")]]
    assert chat.shared == []
    assert chat.rows[0].context == [*map(ord, "[prea]")]
    assert (alone.shared, alone.rows[0].context) == ([], [1])


def test_what_cannot_be_scored_is_refused_as_a_value() -> None:
    requests = [
        ScoreRequest(id="long", prompt="x" * 20, answer="y"),
        ScoreRequest(id="empty", prompt="x", answer=""),
        ScoreRequest(id="good", prompt="x", answer="y"),
    ]
    (group,) = groups(requests, codec(context=20))
    assert {score.id for score in group.refused if score.error} == {"long", "empty"}
    assert [row.id for row in group.rows] == ["good"]


def test_requests_are_drawn_lazily() -> None:
    drawn: list[int] = []

    def endless():
        number = 0
        while True:
            drawn.append(number)
            yield ScoreRequest(id=str(number), prompt="p", answer="a")
            number += 1

    next(iter(groups(endless(), codec())))
    assert len(drawn) <= GROUP + 1


rows = st.lists(
    st.tuples(
        st.lists(st.integers(2, 99), min_size=1, max_size=9),
        st.lists(st.integers(2, 99), min_size=1, max_size=9),
    ),
    max_size=30,
)


@given(rows, st.integers(1, 60))
def test_batches_hold_every_row_once_within_the_limit(
    contents: list[tuple[list[int], list[int]]], limit: int
) -> None:
    given_rows = [Row(str(n), context, answer) for n, (context, answer) in enumerate(contents)]
    made = list(batches(given_rows, limit))
    assert sorted(row.id for batch in made for row in batch.rows) == sorted(
        row.id for row in given_rows
    )
    for batch in made:
        assert batch.ids.size <= limit or len(batch.lengths) == 1
        assert len({tuple(row.read) for row in batch.rows}) == len(batch.lengths)
        ends = np.cumsum([len(row.answer) for row in batch.rows])
        for row, places in zip(batch.rows, np.split(batch.places, ends[:-1]), strict=True):
            text, first = divmod(int(places[0]), batch.ids.shape[1])
            assert batch.ids[text, : batch.lengths[text]].tolist() == row.read
            assert first == len(row.context) - 1
            assert np.diff(places).tolist() == [1] * (len(row.answer) - 1)


def test_answers_that_end_alike_but_for_a_token_are_one_text() -> None:
    yes, no, other = Row("y", [5, 6], [7]), Row("n", [5, 6], [8]), Row("o", [5, 9], [7])
    [batch] = batches([yes, other, no], 64)
    assert batch.ids.tolist() == [[5, 6], [5, 9]]
    assert [row.id for row in batch.rows] == ["y", "n", "o"]
    assert batch.places.tolist() == [1, 1, 3]
    assert batch.labels.tolist() == [7, 8, 7]


@given(rows)
def test_the_label_of_a_place_is_the_token_after_it(
    contents: list[tuple[list[int], list[int]]],
) -> None:
    """A model that gives each label minus itself must score an answer minus its sum."""
    given_rows = [Row(str(n), context, answer) for n, (context, answer) in enumerate(contents)]
    for batch in batches(given_rows, 64):
        assert batch.labels.tolist() == [token for row in batch.rows for token in row.answer]
        for score in scores(batch, -batch.labels.astype(np.float32)):
            answer = given_rows[int(score.id)].answer
            assert (score.logprob, score.tokens) == (-sum(answer), len(answer))
