"""Prompts: rendered by name and style, tagged by content, overridden by the user."""

from pathlib import Path

import pytest

from adhere import prompts
from adhere.errors import SettingsError
from adhere.generate import KINDS
from adhere.generate.stance import opening
from adhere.prompts import Prompts
from adhere.records import Message, Sampling
from adhere.text import yes_no

VALUES = {
    "value": {"sentence": "Crew must rest.", "passage": "Crew must rest. The sea is grey."},
    "implied": {"passage": "Ana ran after the tram."},
    "support": {"text": "Crew must rest.", "statement": "Rest is a duty."},
    "opposite": {"statement": "Crew must rest."},
    "question": {
        "kind": "rule",
        "statement": "Crew must rest.",
        "place": "Code, Rest",
        "opening": "Someone is tempted",
    },
    "situation": {"kind": "rule"},
    "answer": {"text": "Crew must rest.", "question": "May I go on?", "start": "No,"},
    "against": {"text": "Crew must rest.", "question": "May I go on?", "start": "Yes,"},
    "rewrite": {"text": "Crew must rest.", "angle": "plain"},
    "critique": {"text": "Crew must rest.", "question": "May I go on?", "draft": "Go on."},
    "revise": {
        "text": "Crew must rest.",
        "question": "May I go on?",
        "draft": "Go on.",
        "fault": "It sends you on.",
        "start": "No,",
    },
    "judge_pairwise": {"passage": "P.", "question": "Q?", "first": "1.", "second": "2."},
    "judge_pointwise": {"statement": "Crew must rest.", "question": "Q?", "answer": "Yes."},
    "judge_generic": {},
    "retrieved": {"passages": ["One.", "Two."]},
}
OPTIONAL = {
    "value": {"passage"},
    "question": {"place", "kind"},
    "situation": {"kind"},
    "rewrite": {"angle"},
    "rewrite.chat": {"angle"},
}
"""What a prompt is given and need not hold in the same words."""
STYLED = tuple(
    name
    for name in VALUES
    if name not in ("situation", "support", "judge_pairwise", "judge_generic", "retrieved")
)
LANGUAGES = ("ar", "es", "fr", "ja", "zh")
TRANSLATED = ("situation", "question", "opposite", "answer", "implied")
OURS = Path(prompts.__file__).parent


def test_every_prompt_has_its_values_here() -> None:
    names = {path.stem for path in OURS.glob("*.md")}
    assert names == set(VALUES) | {f"{name}.chat" for name in STYLED}
    places = {(path.parent.name, path.stem) for path in OURS.glob("*/*.md")}
    assert places == {(language, name) for language in LANGUAGES for name in TRANSLATED}


@pytest.mark.parametrize("name", [*VALUES, *(f"{name}.chat" for name in STYLED)])
def test_a_prompt_holds_what_it_was_given(name: str) -> None:
    text = Prompts().render(name, **VALUES[name.removesuffix(".chat")])
    given = VALUES[name.removesuffix(".chat")]
    optional = OPTIONAL.get(name, set())
    for key, value in given.items():
        for one in [value] if isinstance(value, str) else value:
            assert key in optional or one in text
    assert "{{" not in text
    assert "{%" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_its_own_worked_examples(language: str) -> None:
    ours = Prompts()
    for name in TRANSLATED:
        text = ours.styled(name, language, **VALUES[name])
        assert text != ours.styled(name, "en", **VALUES[name])
        assert ours.styled_tag(name, language).startswith(f"{language}/{name}@")
        if name != "situation":
            assert text.replace(" :", ":").endswith((":", "：", "No,"))
    said = {ours.render("situation", language, kind=kind) for kind in KINDS}
    assert len(said) == len(KINDS)
    asked = ours.bare("question", language)
    assert all(one in asked for one in said)  # each is shown in a worked example
    answered = ours.bare("answer", language)
    assert all(opening(word, language) in answered for word in yes_no(language))


def test_a_language_without_prompts_has_the_english_ones() -> None:
    ours = Prompts()
    assert ours.bare("question", "de") == ours.bare("question", "en") == ours.bare("question")
    assert ours.styled_tag("question", "de") == ours.tag("question")
    assert Prompts(style="chat").bare("question", "fr") == Prompts(style="chat").bare("question")


def test_a_users_prompt_in_a_language_comes_first(tmp_path: Path) -> None:
    for place in ("de", "fr"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "opposite.md").write_text(f"{place} {{{{ statement }}}}")
    mine = Prompts(tmp_path)
    assert mine.render("opposite", "de", statement="x") == "de x"
    assert mine.render("opposite", "fr", statement="x") == "fr x"
    assert mine.render("opposite", "es", statement="x").endswith("Contraria:")
    assert mine.tags()["de/opposite"].startswith("de/opposite@")
    (tmp_path / "opposite.md").write_text("mine {{ statement }}")  # before ours in any language
    assert mine.render("opposite", "es", statement="x") == "mine x"
    assert mine.render("opposite", "de", statement="x") == "de x"
    (tmp_path / "de" / "oposite.md").write_text("x")
    with pytest.raises(SettingsError, match="did you mean"):
        Prompts(tmp_path)


@pytest.mark.parametrize("name", list(STYLED))
def test_a_continued_prompt_ends_where_the_teacher_goes_on(name: str) -> None:
    text = Prompts().render(name, **VALUES[name])
    assert text.endswith((":", ": No,", ": Yes,"))
    assert text == text.strip()


def test_a_value_that_we_do_not_give_is_named_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "answer.md").write_text("{{ passage }}")
    with pytest.raises(
        SettingsError, match=r"answer\.md: 'passage' is undefined.*question, start, text"
    ):
        Prompts(tmp_path).render("answer", **VALUES["answer"])


def test_broken_markup_is_named_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "answer.md").write_text("{% if %}")
    with pytest.raises(SettingsError, match=r"answer\.md: "):
        Prompts(tmp_path).render("answer", **VALUES["answer"])


def test_a_users_file_takes_the_place_of_ours_and_changes_its_tag(tmp_path: Path) -> None:
    (tmp_path / "answer.md").write_text("{{ text }}! {{ question }}")
    ours, mine = Prompts(), Prompts(tmp_path)
    assert mine.render("answer", **VALUES["answer"]) == "Crew must rest.! May I go on?"
    changed = {name for name in ours.tags() if ours.tags()[name] != mine.tags()[name]}
    assert changed == {"answer", *(f"{language}/answer" for language in LANGUAGES)}
    assert mine.tag("answer").startswith("answer@")


def test_the_style_chooses_the_file_and_the_form_of_the_request() -> None:
    plain = Prompts().request("opposite", Sampling(), **VALUES["opposite"])
    chat = Prompts(style="chat").request("opposite", Sampling(), **VALUES["opposite"])
    assert plain.prompt == Prompts().render("opposite", **VALUES["opposite"])
    [message] = chat.prompt
    assert message == Message(
        role="user", content=Prompts().render("opposite.chat", **VALUES["opposite"])
    )
    assert Prompts(style="chat").styled_tag("opposite") == Prompts().tag("opposite.chat")
    assert Prompts().styled_tag("opposite") == Prompts().tag("opposite")
    assert Prompts(style="chat").bare("opposite") != Prompts().bare("opposite")


def test_the_id_of_a_request_is_made_of_all_it_holds() -> None:
    ours = Prompts()
    ids = {
        ours.request("opposite", Sampling(), statement="a").id,
        ours.request("opposite", Sampling(), statement="b").id,
        ours.request("opposite", Sampling(seed=1), statement="a").id,
    }
    assert len(ids) == 3
    assert ours.request("opposite", Sampling(), statement="a").id in ids


def test_a_misspelt_override_is_refused(tmp_path: Path) -> None:
    (tmp_path / "anwser.md").write_text("Text: {{ text }}")
    with pytest.raises(SettingsError, match=r"anwser\.md: there is no such prompt; did you mean"):
        Prompts(tmp_path)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_prompt_in_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "question.md"
    path.write_text("Größe", encoding=encoding)
    with pytest.raises(SettingsError) as error:
        Prompts(tmp_path).tags()
    assert str(error.value) == f"{path}: not UTF-8 text; save it as UTF-8."
    path.write_text("Größe", encoding="utf-8-sig")
    assert Prompts(tmp_path).render("question") == "Größe"
