"""Sentences, languages and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.text import (
    YES_NO,
    detect_language,
    first_word,
    printable,
    says_no,
    says_yes,
    sentence_spans,
    side,
    text_size,
)

PROSE = st.text(
    alphabet=st.one_of(
        st.sampled_from(
            list("abcXYZ .!?,;:\n\t-1.()\"'“”。！？、人权第条ééü\u0600مادة؟\u2028\x85\u00a0")
        ),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=200,
)
LANGUAGES = st.sampled_from(["en", "fr", "es", "ar", "zh", "ja", "de", "xx"])


def sentences(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text, language)]


@given(PROSE, LANGUAGES)
def test_every_character_but_space_lies_in_exactly_one_span(text: str, language: str) -> None:
    covered = [0] * len(text)
    for start, end in sentence_spans(text, language):
        assert start < end
        for index in range(start, end):
            covered[index] += 1
    for character, times in zip(text, covered, strict=True):
        assert times <= 1
        assert times == 1 or character.isspace()


@given(PROSE, LANGUAGES)
def test_spans_have_no_space_at_their_ends_and_cross_no_line(text: str, language: str) -> None:
    spans = sentence_spans(text, language)
    assert spans == sorted(spans)
    for start, end in spans:
        sentence = text[start:end]
        assert sentence == sentence.strip()
        assert len(sentence.splitlines()) == 1


def test_abbreviations_do_not_end_a_sentence() -> None:
    assert sentences("Ask Dr. Smith first. Then act.") == ["Ask Dr. Smith first.", "Then act."]


def test_headings_and_list_items_without_a_stop_stand_alone() -> None:
    text = "Our Values\n\nWe act:\n\n- with care\n- openly. Always so.\n1. Be honest."
    assert sentences(text) == [
        "Our Values",
        "We act:",
        "- with care",
        "- openly.",
        "Always so.",
        "1. Be honest.",
    ]


def test_a_bare_list_marker_is_a_span() -> None:
    assert sentences("- \n1. \nBe fair.") == ["-", "1.", "Be fair."]


def test_scripts_without_spaces_and_right_to_left() -> None:
    assert sentences("人人生而自由。人人平等！", "zh") == ["人人生而自由。", "人人平等！"]
    assert sentences("هل هذا حق؟ نعم.", "ar") == ["هل هذا حق؟", "نعم."]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("All human beings are born free and equal in dignity and rights.", "en"),
        ("Tous les êtres humains naissent libres et égaux en dignité et en droits.", "fr"),
        ("Todos los seres humanos nacen libres e iguales en dignidad y derechos.", "es"),
        ("人人生而自由，在尊严和权利上一律平等。", "zh"),
    ],
)
def test_language_is_told(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_wide_characters_count_three_times() -> None:
    assert text_size("abc") == 3
    assert text_size("人权 a") == 8


def test_a_terminal_is_told_nothing_by_a_text() -> None:
    assert printable("a\tb\nc\x1b[31md\x07\x9b\r") == "a\tb\nc\ufffd[31md\ufffd\ufffd\ufffd"
    assert printable("人人 · é ok") == "人人 · é ok"


@pytest.mark.parametrize("language", YES_NO)
def test_an_answer_says_yes_by_its_first_word_in_its_own_language(language: str) -> None:
    yes, no = YES_NO[language]
    for after in (",", "،", "，", ".", " –", ""):
        assert says_yes(f" {yes.lower()}{after}", language)
        assert not says_yes(f"{no}{after}", language)
        assert says_no(f"{no}{after}", language)
        assert first_word(f"{no}{after}", language) == (no, yes)
    assert not says_yes(f"{no}, {yes}", language)


def test_no_one_is_not_an_answer_of_no() -> None:
    assert not says_no("No one may be held in slavery.", "en")
    assert first_word("No one may be held in slavery.", "en") is None
    assert first_word("Nobody may.", "en") is None
    assert first_word("No.", "en") == ("No", "Yes")
    assert says_yes("Yes you may.", "en")
    assert [side(text) for text in ("No one may.", "No, never.", "Yes you may.")] == [
        None,
        "no",
        "yes",
    ]


@pytest.mark.parametrize("marks", ["**{}**", '"{}"', "- {}", "“{}”", "¡{}!", " _{}_"])
def test_marks_before_the_first_word_are_no_part_of_it(marks: str) -> None:
    yes, no = (marks.format(word) + ", you may." for word in ("Yes", "No"))
    assert says_yes(yes, "en")
    assert says_no(no, "en")
    assert (first_word(no, "en"), side(yes)) == (("No", "Yes"), "yes")


def test_a_word_that_only_begins_like_yes_does_not_say_it() -> None:
    assert not says_yes("Yesterday it was allowed.", "en")
    assert not says_yes("Januar ist richtig.", "de")
    assert not says_yes("Ja, gern.", "en")
    assert says_yes("Yes", "a language that we do not know")
