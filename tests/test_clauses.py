"""Passages to clauses: candidates, the teacher's replies, plain words of duty, what is shown."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeEngine
from hypothesis import given
from hypothesis import strategies as st

from adhere.candidates import candidates
from adhere.clauses import extract_clauses, read_value, reread
from adhere.engines.base import Engine
from adhere.engines.scripted import ScriptedEngine
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.records import Clause, Document, Dropped, Passage, Polarity, record_id
from adhere.settings import ClausesSettings
from adhere.store import read_records, write_records
from adhere.teacher import Teacher

STORY = (
    "Ana found the purse under the seat and ran after the tram in the rain. "
    "The old man counted nothing, thanked nobody and wept a little, and she walked home wet."
)


def document(text: str, language: str = "en") -> Document:
    return Document(
        id="doc", name="doc.md", format="markdown", sha256="0", text=text, language=language
    )


def passage(text: str, start: int = 0, headings: tuple[str, ...] = ()) -> Passage:
    return Passage(
        id=f"p{start}",
        document="doc",
        text=text,
        start=start,
        end=start + len(text),
        headings=headings,
    )


def extract(
    passages: list[Passage],
    reply: Callable[[str], str | None],
    *,
    style: str = "continue",
    most: int = 50,
) -> tuple[list[Clause], list[Dropped]]:
    engine = FakeEngine("teacher", reply)
    prompts = Prompts(style="chat" if style == "chat" else "continue")
    text = "".join(one.text for one in passages)
    return extract_clauses(
        [document(text)],
        passages,
        Teacher(engine, prompts, NoProgress()),
        ClausesSettings(max_per_passage=most),
    )


def sentence_asked(prompt: str) -> str:
    return prompt.rsplit('"', 2)[-2]


@pytest.mark.parametrize(
    ("reply", "polarity", "wording"),
    [
        ("you must", "required", ""),
        ("you must not", "forbidden", ""),
        ("you may", "permitted", ""),
        ("we aim to", "aspired to", ""),
        ("nothing is asked", None, ""),
        (' You must.\n"The next sentence', "required", ""),
        ("you must wear", "required", ""),
        ("you may not", "forbidden", ""),
        ("you must never", "forbidden", ""),
        ("**you may** | Guests may row twice.", "permitted", "Guests may row twice."),
        ("you must not | Do not row alone.\n\nThis is because", "forbidden", "Do not row alone."),
        ("Forbidden | Do not row alone.", "forbidden", "Do not row alone."),
        ("aspired to", "aspired to", ""),
    ],
)
def test_every_phrase_is_read(reply: str, polarity: Polarity | None, wording: str) -> None:
    assert read_value(reply) == (polarity, wording)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "\n",
        "As an AI language model, you must not",
        "the reader must wear a jacket",
        "you mustn't",
        "you maybe",
        "nothingness",
        "| Guests may row twice.",
    ],
)
def test_a_wrong_reply_is_refused(reply: str) -> None:
    with pytest.raises(ValueError, match="no phrase that we know"):
        read_value(reply)


def test_headings_are_no_candidates_and_items_carry_their_introduction() -> None:
    text = (
        "Gifts\n\nFlowers are fine. Members must not:\n- take cash;\n- take tickets.\n\n"
        "Ask the desk.\n***\nas early as you can."
    )
    found = candidates([passage(text, 7, ("Code", "Gifts"))], {"doc": "en"})
    assert [sentence.text for sentence in found] == [
        "Flowers are fine.",
        "Members must not: take cash;",
        "Members must not: take tickets.",
        "Ask the desk.",
        "as early as you can.",
    ]
    whole = "0123456" + text
    assert [whole[sentence.start : sentence.end] for sentence in found][1:3] == [
        "- take cash;",
        "- take tickets.",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Crew must not:\n1. Take cash.\n2. Take tickets.",
            ["Crew must not: Take cash.", "Crew must not: Take tickets."],
        ),
        (
            "Crew must not:\n\n(a) take cash, or\n(b) row.\nRest.",
            ["Crew must not: take cash, or", "Crew must not: row.", "Rest."],
        ),
        (
            "Crew must not:\n- take cash. Coins are cash too.\n- row.",
            ["Crew must not: take cash.", "Coins are cash too.", "Crew must not: row."],
        ),
        (
            "Crew must not:\n- take gifts:\n  - cash\n  - food\n- row",
            [
                "Crew must not: take gifts: cash",
                "Crew must not: take gifts: food",
                "Crew must not: row",
            ],
        ),
        (
            "Crew must not:\n(a) take gifts:\n(i) cash\n(ii) food\n(b) row",
            [
                "Crew must not: take gifts: cash",
                "Crew must not: take gifts: food",
                "Crew must not: row",
            ],
        ),
        ("Crew must know this:\nRest.\n- Row.", ["Crew must know this:", "Rest.", "Row."]),
        ("Crew must not:\nGifts\n- Row.", ["Crew must not:", "Row."]),
    ],
)
def test_an_item_carries_what_introduces_it_and_nothing_is_lost(
    text: str, expected: list[str]
) -> None:
    found = candidates([passage(text, headings=("Gifts",))], {"doc": "en"})
    assert [sentence.text for sentence in found] == expected


def test_a_list_that_is_cut_goes_on_in_the_next_passage_of_its_section() -> None:
    first, second = passage("Crew must not:\n- take cash."), passage("- row.", 40)
    found = candidates([first, second], {"doc": "en"})
    assert [sentence.text for sentence in found][1:] == ["Crew must not: row."]
    assert (found[1].passage, found[1].start) == (second, 40)
    elsewhere = [first, replace(second, headings=("Rest",))]
    assert candidates(elsewhere, {"doc": "en"})[1].text == "row."
    other = replace(second, document="other")
    assert candidates([first, other], {"doc": "en", "other": "en"})[1].text == "row."


@given(
    before=st.text(max_size=20),
    lines=st.lists(
        st.lists(st.sampled_from(["Row on.", "Nobody rows!", "Must we rest?", "水を飲む。", "so:"]))
        .map(" ".join)
        .map(lambda line: line.strip()),
        min_size=1,
    ),
    marker=st.sampled_from(["", "- ", "• ", "* "]),
)
def test_the_span_of_a_candidate_is_its_sentence(
    before: str, lines: list[str], marker: str
) -> None:
    text = "\n".join(marker + line for line in lines)
    if not text.strip():
        return
    whole = before + text
    for sentence in candidates([passage(text, len(before))], {"doc": "en"}):
        span = whole[sentence.start : sentence.end]
        assert span
        assert span == span.strip()
        assert sentence.text.endswith(span.removeprefix(marker))
        assert "\n" not in sentence.text


def test_every_sentence_becomes_a_clause_or_a_dropped_one() -> None:
    text = "Crew must rest. The sea is grey. Guests may row. Mumble mumble."
    replies = {
        "Crew must rest.": "you must not",
        "The sea is grey.": "nothing is asked",
        "Guests may row.": "you may",
        "Mumble mumble.": "Mumble",
    }
    one = passage(text)
    clauses, dropped = extract([one], lambda prompt: replies[sentence_asked(prompt)])
    assert [(clause.statement, clause.polarity) for clause in clauses] == [
        ("Crew must rest.", "required"),  # its own word outranks the teacher's
        ("Guests may row.", "permitted"),
    ]
    assert [(drop.reason, drop.record_id) for drop in dropped] == [
        ("no value content", "p0:16-32"),
        ("unreadable reply", "p0:49-63"),
    ]
    for clause in clauses:
        assert text[clause.start : clause.end] == clause.statement
        assert clause.stance == "explicit"
        assert clause.origin.parents == ("p0",)
        assert clause.origin.prompt == Prompts().tag("value")
        assert clause.origin.model == "teacher"


def test_a_failed_request_is_dropped_with_the_engines_words() -> None:
    clauses, dropped = extract([passage("Crew must rest.")], lambda prompt: None)
    assert not clauses
    assert ("unreadable reply", "out of paper") in [(drop.reason, drop.detail) for drop in dropped]


def test_a_chatting_teacher_may_put_it_in_its_own_words() -> None:
    clauses, _ = extract(
        [passage("Kindness is a duty here.")],
        lambda prompt: "you must | Be kind to everyone.",
        style="chat",
    )
    [clause] = clauses
    assert clause.statement == "Be kind to everyone."
    assert clause.origin.prompt.startswith("value.chat@")


NO_CHEESE = [
    (r"cheese.*Yes\Z", -3.0),
    (r"cheese.*No\Z", -0.5),
    (r"Yes\Z", -0.5),
    (r"No\Z", -3.0),
]
"""A teacher who finds that a statement follows from any text, unless it speaks of cheese."""


def weighed(
    engine: Engine, text: str, least: float = 0.0
) -> tuple[list[str], list[tuple[str, str]]]:
    """The statements of the clauses; the place and detail of those that do not follow."""
    teacher = Teacher(engine, Prompts(style="chat"), NoProgress())
    clauses, dropped = extract_clauses(
        [document(text)], [passage(text)], teacher, ClausesSettings(min_support=least)
    )
    said = [drop for drop in dropped if drop.reason == "not supported by its span"]
    return [one.statement for one in clauses], [(drop.record_id, drop.detail) for drop in said]


@pytest.mark.parametrize(
    ("wording", "least", "problem"),
    [
        ("Be kind to everyone.", 0.0, None),
        ("Be kind to everyone.", 2.5, None),
        ("Be kind to everyone.", 2.6, "leaning 2.50, clauses.min_support 2.60"),
        ("Buy cheese.", 0.0, "leaning -2.50, clauses.min_support 0.00"),
        ("Buy cheese.", -2.5, None),
        ("You may be kind.", 0.0, "the sentence comes to required, the statement to permitted"),
    ],
)
def test_a_rewriting_that_does_not_follow_is_dropped_aloud(
    wording: str, least: float, problem: str | None
) -> None:
    text = "Kindness is a duty here."
    engine = ScriptedEngine([(".", f"you must | {wording}")], scores=NO_CHEESE)
    statements, dropped = weighed(engine, text, least)
    assert statements == ([] if problem else [wording])
    assert dropped == ([(f"p0:0-{len(text)}", f"{problem}: {wording}")] if problem else [])


@pytest.mark.parametrize(
    ("value", "is_echo"),
    [
        ("looking after someone who is left alone, even when your own shift is over", True),
        ("looking after someone who is left alone", False),
    ],
)
def test_a_worked_example_of_the_prompt_is_not_what_a_story_shows(
    value: str, is_echo: bool
) -> None:
    assert value in Prompts().bare("implied")
    clauses, dropped = extract(
        [passage(STORY)],
        lambda prompt: value if prompt.endswith("It values:") else "nothing is asked",
    )
    assert [clause.statement for clause in clauses] == ([] if is_echo else [value])
    echoes = [drop for drop in dropped if drop.reason == "echo of a worked example"]
    assert [(drop.record_id, drop.detail) for drop in echoes] == (
        [("p0", value)] if is_echo else []
    )


def test_a_statement_is_weighed_with_its_own_text_once_for_each_word() -> None:
    engine = FakeEngine("teacher", lambda prompt: "you must | Be kind.")
    weighed(engine, "Kindness is a duty here. The sea is grey.")
    asked = [(request.prefix + request.prompt, request.answer) for request in engine.scored]
    assert sorted(answer for _, answer in asked) == [" No", " No", " Yes", " Yes"]
    for one, other in ("Kindness is", "The sea"), ("The sea", "Kindness is"):
        assert sum(one in prompt and other not in prompt for prompt, _ in asked) == 2


def test_what_could_not_be_scored_is_dropped_aloud() -> None:
    engine = FakeEngine("teacher", lambda prompt: "you must | Be kind.")
    engine.unscorable = "yes"
    statements, dropped = weighed(engine, "Kindness is a duty here.")
    assert not statements
    assert dropped == [("p0:0-24", "could not be scored: Be kind.")]


def test_the_texts_own_words_cost_no_request() -> None:
    engine = FakeEngine("teacher", lambda prompt: "you must")
    text = "Nobody may:\n- sell cheese;"
    assert weighed(engine, text) == (["Nobody may: sell cheese;"], [])
    assert not engine.scored


def test_what_a_story_shows_is_not_weighed() -> None:
    engine = FakeEngine("teacher", lambda prompt: "honesty" if "values" in prompt else "nothing")
    assert weighed(engine, STORY) == (["honesty"], [])
    assert not engine.scored


def test_what_a_story_shows_is_asked_where_nothing_is_said() -> None:
    asked: list[str] = []

    def reply(prompt: str) -> str:
        asked.append(prompt)
        if not prompt.endswith("It values:"):
            return "nothing is asked"
        return "honesty." if "purse" in prompt.rsplit("Text:", 1)[1] else "nothing"

    shown = passage("The purse\n\n" + STORY, 0, ("The purse",))
    empty = passage("The station has two platforms and a kiosk. " * 4, 500)
    short = passage("The sea is grey.", 900)
    clauses, dropped = extract([shown, empty, short], reply)
    [clause] = clauses
    assert (clause.statement, clause.stance, clause.polarity) == (
        "honesty",
        "implicit",
        "aspired to",
    )
    assert (clause.start, clause.end) == (shown.start, shown.end)
    assert clause.origin.prompt == Prompts().tag("implied")
    silent = [drop.record_id for drop in dropped if drop.reason == "passage without value content"]
    assert silent == ["p500", "p900"]
    questions = [prompt for prompt in asked if prompt.endswith("It values:")]
    assert len(questions) == 2  # the short one shows nothing
    assert any(f"Text: {STORY}\nIt values:" in question for question in questions)


def test_a_passage_that_says_something_is_not_asked_what_it_shows() -> None:
    clauses, _ = extract(
        [passage(f"Crew must rest. {STORY}")],
        lambda prompt: "honesty" if prompt.endswith("It values:") else "nothing is asked",
    )
    assert [clause.stance for clause in clauses] == ["explicit"]


def test_a_strong_teacher_is_asked_what_the_rest_of_a_passage_shows() -> None:
    def reply(prompt: str) -> str:
        if "states no rule" not in prompt:
            asked = prompt.split('sentence alone: "')[1]
            return "you must" if asked.startswith("Crew must rest.") else "nothing is asked"
        return "nothing" if "Crew must rest" in prompt or "purse" not in prompt else "honesty"

    passages = [
        passage(f"The purse\nCrew must rest. {STORY}", 0, ("The purse",)),
        passage("Crew must rest. The sea is grey.", 500),
    ]
    clauses, dropped = extract(passages, reply, style="chat")
    assert [(one.passage, one.stance, one.statement) for one in clauses] == [
        ("p0", "implicit", "honesty"),
        ("p0", "explicit", "Crew must rest."),
        ("p500", "explicit", "Crew must rest."),
    ]
    assert not [drop for drop in dropped if drop.reason == "passage without value content"]


@pytest.mark.parametrize(
    ("language", "nothing", "value"),
    [("fr", "rien", "l'honnêteté"), ("zh", "没有", "诚实"), ("ja", "なし", "正直であること")],
)
def test_what_is_shown_is_asked_in_the_language_of_the_document(
    language: str, nothing: str, value: str
) -> None:
    label = Prompts().bare("implied", language).rstrip().splitlines()[-1]

    def reply(prompt: str) -> str:
        if not prompt.endswith(label):
            return "nothing is asked"
        return value if "purse" in prompt else nothing

    engine = FakeEngine("teacher", reply)
    clauses, dropped = extract_clauses(
        [document(STORY, language)],
        [passage(STORY), passage("The station has two platforms. " * 5, 500)],
        Teacher(engine, Prompts(), NoProgress()),
        ClausesSettings(),
    )
    assert [(one.statement, one.origin.prompt.split("@")[0]) for one in clauses] == [
        (value, f"{language}/implied")
    ]
    assert [one.record_id for one in dropped if one.reason.startswith("passage without")] == [
        "p500"
    ]


def test_a_story_whose_request_fails_is_dropped_with_the_engines_words() -> None:
    _, dropped = extract(
        [passage(STORY)],
        lambda prompt: None if prompt.endswith("It values:") else "nothing is asked",
    )
    last = dropped[-1]
    assert (last.record_id, last.reason, last.detail) == ("p0", "unreadable reply", "out of paper")


def test_a_clause_has_its_reason_its_exceptions_and_its_people() -> None:
    text = (
        "Members must not sell boats unless the board agrees. This is because boats are scarce.\n"
        "Guests may row.\nThis is because rowing is free.\n"
        "Coaches must: \n- carry a light, because the night is dark;"
    )
    clauses, _ = extract(
        [passage(text)],
        lambda prompt: "nothing is asked" if "This is" in sentence_asked(prompt) else "you may",
    )
    assert [(one.binds, one.rationale, one.exceptions) for one in clauses] == [
        ("Members", "This is because boats are scarce.", ("unless the board agrees",)),
        ("Guests", "", ()),  # the line below is another paragraph
        ("Coaches", "because the night is dark", ()),
    ]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("Members may row alone.", ("permitted", "", (), "Members")),
        (
            "Guests must not row, except with a coach.",
            ("forbidden", "", ("except with a coach",), "Guests"),
        ),
        ("Rowing alone is fun.", ("required", "", (), "")),
    ],
)
def test_an_edited_statement_is_read_anew(statement: str, expected: tuple[object, ...]) -> None:
    [clause], _ = extract(
        [passage("Members must row, because it is fun.")], lambda prompt: "you must"
    )
    found = reread(replace(clause, statement=statement), "en")
    assert (found.polarity, found.rationale, found.exceptions, found.binds) == expected
    assert (found.id, found.start, found.end) == (clause.id, clause.start, clause.end)


def test_an_edited_value_that_a_passage_shows_stays_an_aim() -> None:
    [clause], _ = extract([passage("Members must row.")], lambda prompt: "you must")
    shown = replace(clause, statement="One must help.", stance="implicit", polarity="aspired to")
    assert reread(shown, "en") == shown


def test_a_reason_in_another_passage_is_of_another_rule() -> None:
    passages = [passage("Crew must rest."), passage("This is because hands tire.", 100)]
    clauses, _ = extract(passages, lambda prompt: "you must")
    assert clauses[0].rationale == ""


def test_a_clause_that_was_written_before_it_had_parts_is_still_read(tmp_path: Path) -> None:
    [clause], _ = extract([passage("The sea is grey.")], lambda prompt: "you must")
    write_records(tmp_path / "clauses.jsonl", [clause])
    old = json.loads((tmp_path / "clauses.jsonl").read_text(encoding="utf-8"))
    del old["rationale"], old["exceptions"], old["binds"]
    (tmp_path / "clauses.jsonl").write_text(json.dumps(old) + "\n", encoding="utf-8")
    assert read_records(tmp_path / "clauses.jsonl", Clause) == [clause]


def test_the_id_of_a_clause_does_not_depend_on_its_parts() -> None:
    [clause], _ = extract(
        [passage("Crew must rest, because hands tire.")], lambda prompt: "you must"
    )
    assert clause.rationale
    assert clause.id == record_id("clause", clause.statement)


def test_over_the_cap_rules_come_before_aims_and_the_rest_is_dropped_aloud() -> None:
    text = "We aim to shine. Crew must rest. Guests may row. Nobody may smoke."
    clauses, dropped = extract([passage(text)], lambda prompt: "you must", most=2)
    assert [clause.statement for clause in clauses] == ["Crew must rest.", "Guests may row."]
    assert sorted(drop.detail for drop in dropped) == [
        "clauses.max_per_passage is reached: Nobody may smoke.",
        "clauses.max_per_passage is reached: We aim to shine.",
    ]
    assert {drop.reason for drop in dropped} == {"over the cap"}


def test_ids_come_from_content_and_not_from_the_order() -> None:
    one, two = passage("Crew must rest."), passage("Guests may row.", 100)
    straight, _ = extract([one, two], lambda prompt: "you must")
    turned, _ = extract([two, one], lambda prompt: "you must")
    assert {clause.id for clause in straight} == {clause.id for clause in turned}
    assert len({clause.id for clause in straight}) == 2


def test_ids_do_not_depend_on_where_a_clause_stands() -> None:
    words = "Crew must rest."
    near, _ = extract([passage(words)], lambda prompt: "you must")
    far, _ = extract([passage(words, 700)], lambda prompt: "you must")
    assert [clause.id for clause in near] == [clause.id for clause in far]


def test_the_same_sentence_twice_is_two_clauses() -> None:
    said = [passage("Crew must rest."), passage("Crew must rest.", 100)]
    clauses, _ = extract(said, lambda prompt: "you must")
    assert len({clause.id for clause in clauses}) == 2
