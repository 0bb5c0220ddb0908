"""Situations with answers marked by people: read, kept apart from training, scored, judged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SCRIPT, adhere
from fakes import ORIGIN, FakeEngine

from adhere.assess import write_official
from adhere.cli.evaluate import show_official
from adhere.errors import InputError, NoLikelihoodError
from adhere.evaluate.judges import Judgement
from adhere.evaluate.matches import matches
from adhere.evaluate.official import (
    Official,
    Situation,
    Turn,
    read_situations,
    without_leaks,
)
from adhere.evaluate.reading import ReadDocument
from adhere.evaluate.systems import System
from adhere.progress import NoProgress
from adhere.records import ALIGNED, Answer, Example, PreferencePair, ProbeScore, Verdict
from adhere.settings import EvaluateSettings, RunSettings
from adhere.store import read_records

SETTINGS = EvaluateSettings(resamples=200)


def situation(name: str, good: list[str], bad: list[str], section: str = "") -> Situation:
    return Situation(
        id=name,
        turns=(Turn(role="user", text=f"What about {name}?"),),
        good=tuple(good),
        bad=tuple(bad),
        section=section,
    )


def line(**changes: object) -> str:
    whole = {
        "id": "one",
        "section": "Gifts",
        "title": "a key that we do not know",
        "turns": [{"role": "user", "text": "A watch?", "time": "noon"}],
        "good": ["Give it back."],
        "bad": ["Keep it."],
    }
    return json.dumps({**whole, **changes})


def written(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_file_is_read_with_what_others_keep_in_it(tmp_path: Path) -> None:
    [found] = read_situations(written(tmp_path, line(), ""))
    assert (found.id, found.section, found.question) == ("one", "Gifts", "A watch?")
    assert (found.good, found.bad) == (("Give it back.",), ("Keep it.",))


def test_a_conversation_becomes_one_text_with_its_roles() -> None:
    talk = Situation(
        id="talk",
        turns=(Turn(role="system", text="Be brief."), Turn(role="user", text="Why?")),
        good=("So.",),
        bad=("No.",),
    )
    assert talk.question == "System: Be brief.\n\nUser: Why?"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{}"], "line 1: id: Field required"),
        ([line(), "nonsense"], "line 2: Invalid JSON"),
        ([line(good=[])], "line 1: Value error, turns, good and bad must each hold something"),
        ([line(bad=[" "])], "line 1: Value error, an answer is empty"),
        ([line(good="Give it back.")], "line 1: good: "),
        ([line(), line()], "the id 'one' occurs twice"),
        ([""], "nothing in it; one Situation a line is expected"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, lines: list[str], message: str) -> None:
    path = written(tmp_path, *lines)
    with pytest.raises(InputError) as error:
        read_situations(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl: no such file"):
        read_situations(tmp_path / "none.jsonl")
    (tmp_path / "pairs.jsonl").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_situations(tmp_path / "pairs.jsonl")


LONG = (
    "Please give the watch back at once, because a gift of that worth makes the tender look bought."
)


def example(question: str, answer: str) -> Example:
    return Example(
        id="e1", clause="c", kind="rule", question=question, answer=answer, origin=ORIGIN
    )


def pair(question: str, rejected: str) -> PreferencePair:
    return PreferencePair(
        id="p1",
        clause="c",
        kind="rule",
        question=question,
        chosen="Something else.",
        rejected=rejected,
        origin=ORIGIN,
    )


@pytest.mark.parametrize(
    ("row", "left_out"),
    [
        (example("What about gifts, then?", "x"), True),  # nearly the situation's own words
        (example("May I paint the boat?", LONG.replace("at once", "now")), True),
        (pair("May I paint the boat?", LONG), True),
        (pair("May I paint the boat?", "Keep it."), False),  # a phrase that anybody may use
        (example("May I paint the boat?", "Ask the warden."), False),
    ],
)
def test_what_resembles_a_training_row_is_left_out_and_written_down(row, left_out) -> None:
    given = [situation("gifts then", [LONG], ["Keep it."]), situation("boats", ["Ask."], ["Go."])]
    kept, dropped = without_leaks(given, [row], 0.6)
    assert [one.id for one in kept] == (["boats"] if left_out else ["gifts then", "boats"])
    assert [drop.reason for drop in dropped] == ["near twin of a training row"] * left_out
    assert all(drop.detail.startswith(row.id) for drop in dropped)


GIVEN = [
    situation("a", ["good honest"], ["bad lie", "good lie"], "one"),
    situation("b", ["good"], ["good"], "two"),
    situation("c", ["good", "bad"], ["worse"], "three"),
]


def fond(*words: str) -> FakeEngine:
    engine = FakeEngine("fond", lambda text: "good" if words else "bad")
    engine.favourites = set(words)
    return engine


def test_every_pairing_counts_and_a_tie_is_half() -> None:
    found = Official(GIVEN, [System(name="base", engine=fond("good"))], SETTINGS)
    found.score(NoProgress())
    values = {name: measured for _, name, measured in found.values}
    # -1.75 against -3.0 and -1.75; one tie; -0.5 and -3.0 against -3.0.
    assert values["a"] == {"accuracy": 0.75, "margin": 0.625}
    assert values["b"] == {"accuracy": 0.5, "margin": 0.0}
    assert values["c"] == {"accuracy": 0.75, "margin": 1.25}
    report = found.report()
    assert (report["situations"], report["sections"]) == (3, 3)
    cell = report["systems"]["base"]["accuracy"]
    assert cell["value"] == pytest.approx(2 / 3)
    assert cell["low"] <= cell["value"] <= cell["high"]
    assert cell["n"] == 3


def test_systems_are_compared_with_the_aligned_one() -> None:
    systems = [
        System(name="base", engine=fond()),
        System(name="sft+dpo", engine=fond("good")),
        System(name="other", engine=fond("lie")),
    ]
    found = Official(GIVEN, systems, SETTINGS)
    found.score(NoProgress())
    rows = {(row["a"], row["b"], row["metric"]): row for row in found.report()["differences"]}
    assert rows["sft+dpo", "base", "margin"]["value"] == pytest.approx(0.625)
    assert rows["sft+dpo", "other", "accuracy"]["value"] > 0
    assert {(a, b) for a, b, _ in rows} == {("sft+dpo", "base"), ("sft+dpo", "other")}


def test_what_a_system_reads_is_read_here_too() -> None:
    engine = fond()
    read = System(name="rag", engine=engine, read=ReadDocument(text="Text. "))
    Official(GIVEN[:1], [read], SETTINGS).score(NoProgress())
    assert {request.prefix for request in engine.scored} == {"Text. "}
    assert all(request.chat for request in engine.scored)


def test_an_answer_that_cannot_be_scored_takes_its_situation_out_of_that_system() -> None:
    given = [*GIVEN, situation("d", ["unscorable"], ["bad"])]
    found = Official(given, [System(name="base", engine=fond("good"))], SETTINGS)
    found.score(NoProgress())
    assert {name for _, name, _ in found.values} == {"a", "b", "c"}
    assert [(drop.record_id, drop.detail) for drop in found.dropped] == [("d", "base: no logits")]


class Silent(FakeEngine):
    def score(self, requests):
        raise NoLikelihoodError("none here.")


def test_an_engine_without_likelihoods_is_said_to_have_none() -> None:
    found = Official(GIVEN, [System(name="cloud", engine=Silent("cloud"))], SETTINGS)
    found.score(NoProgress())
    assert found.report()["systems"] == {"cloud": {}}
    assert found.report()["notes"] == {"cloud": "No likelihoods: none here."}


class Knowing:
    """Prefers what begins with "good", or always a."""

    def __init__(self, name: str, *, blind: bool = False) -> None:
        self.name = name
        self._blind = blind

    def compare(self, items):
        return [
            Judgement(winner="a" if self._blind or item.a.startswith("good") else "b")
            for item in items
        ]


MANY = [
    situation(f"s{n}", [f"good {n}"], [f"{'very ' * (n % 2)}bad {n}"], f"part {n % 20}")
    for n in range(24)
]
PASSAGES = {one.id: "Be good." for one in MANY}


def test_a_judge_that_sorts_as_people_did_compares_the_systems_answers() -> None:
    base, ours = fond(), fond("good")
    systems = [System(name="base", engine=base), System(name="sft+dpo", engine=ours)]
    judges = [Knowing("knowing"), Knowing("blind", blind=True)]
    found = Official(MANY, systems, SETTINGS)
    found.judge(judges, PASSAGES, NoProgress())
    report = found.report()
    assert {row["name"]: row["admitted"] for row in report["judges"]} == {
        "knowing": True,
        "blind": False,
    }
    [row] = report["win_rates"]
    assert (row["a"], row["b"], row["judge"], row["rate"]) == ("sft+dpo", "base", "knowing", 1.0)
    assert len(base.asked) == len(ours.asked) == len(MANY)


class Longer:
    """Prefers the longer answer."""

    name = "longer"

    def compare(self, items):
        return [Judgement(winner="a" if len(item.a) > len(item.b) else "b") for item in items]


def test_a_judge_of_length_sorts_half_though_most_good_answers_are_longer() -> None:
    longer = [situation(f"l{n}", [f"good and long {n}"], [f"bad {n}"]) for n in range(40)]
    shorter = [situation(f"k{n}", [f"good {n}"], [f"bad and long {n}"]) for n in range(10)]
    alike = [situation(f"e{n}", [f"good {n}"], [f"evil {n}"]) for n in range(5)]
    given = [*longer, *shorter, *alike]
    found = Official(given, [System(name="base", engine=fond())], SETTINGS)
    found.judge([Longer()], {one.id: "" for one in given}, NoProgress())
    [exam] = found.judges
    assert (exam.right, exam.n, exam.pairs) == (10, 20, 20)
    assert not exam.admitted
    seats = {(item.pair.longer_is_wrong, item.pair.better) for item in exam.items}
    assert len(seats) == 4  # neither seat goes with a length


def test_scores_answers_and_verdicts_are_written_with_the_situations_ids(tmp_path: Path) -> None:
    systems = [System(name="base", engine=fond()), System(name="sft+dpo", engine=fond("good"))]
    found = Official(MANY, systems, SETTINGS)
    found.score(NoProgress())
    found.judge([Knowing("knowing")], PASSAGES, NoProgress())
    write_official(tmp_path, found)
    ids = {one.id for one in MANY}
    assert {
        one.id for one in read_records(tmp_path / "official_situations.jsonl", Situation)
    } == ids
    asked = {(name, one) for name in ("base", "sft+dpo") for one in ids}
    scores = read_records(tmp_path / "official_scores.jsonl", ProbeScore)
    assert {(one.system, one.probe) for one in scores} == asked
    assert all(set(one.values) == {"accuracy", "margin"} for one in scores)
    answers = read_records(tmp_path / "official_answers.jsonl", Answer)
    assert {(one.system, one.probe) for one in answers} == asked
    verdicts = read_records(tmp_path / "official_verdicts.jsonl", Verdict)
    assert {(one.a, one.b, one.judge, one.probe) for one in verdicts} == {
        ("sft+dpo", "base", "knowing", one) for one in ids
    }
    table = json.loads((tmp_path / "official.json").read_text(encoding="utf-8"))
    accuracy = [one.values["accuracy"] for one in scores if one.system == "sft+dpo"]
    cell = table["systems"]["sft+dpo"]["accuracy"]
    assert cell["value"] == pytest.approx(sum(accuracy) / len(accuracy))


def test_an_answer_that_was_cut_is_known_to_be() -> None:
    class Cut(FakeEngine):
        def complete(self, requests):
            return (replace(one, finish="length") for one in super().complete(requests))

    found = Official(MANY, [System(name="base", engine=Cut("cut", lambda text: "bad"))], SETTINGS)
    found.judge([Knowing("knowing")], PASSAGES, NoProgress())
    assert {answer.finish for answer in found.answers} == {"length"}


def test_win_rates_are_shown_with_their_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    systems = [System(name="base", engine=fond()), System(name="sft+dpo", engine=fond("good"))]
    found = Official(MANY, systems, SETTINGS)
    found.judge([Knowing("knowing")], PASSAGES, NoProgress())
    report = found.report()
    show_official(report)
    [row] = report["win_rates"]
    said = " ".join(capsys.readouterr().out.split())
    assert "sft+dpo base knowing 100\xa0%".replace("\xa0", " ") in said
    assert f"{100 * row['low']:.0f} to {100 * row['high']:.0f}" in said


def test_where_no_judge_passes_nothing_is_generated() -> None:
    engine = fond()
    found = Official(MANY, [System(name="base", engine=engine)], SETTINGS)
    found.judge([Knowing("blind", blind=True)], PASSAGES, NoProgress())
    assert engine.asked == []
    assert found.report()["win_rates"] == []
    assert found.report()["judges"][0]["withheld"].startswith("withheld: the judge `blind`")


def test_where_every_situation_was_left_out_the_tables_are_empty() -> None:
    found = Official([], [System(name="base", engine=fond())], SETTINGS)
    found.score(NoProgress())
    found.judge([Knowing("knowing")], {}, NoProgress())
    report = found.report()
    assert (report["situations"], report["systems"], report["differences"]) == (0, {"base": {}}, [])
    assert "no exam pairs" in report["judges"][0]["withheld"]


def test_the_command_scores_a_file_and_shows_a_table(run: Path, tmp_path: Path) -> None:
    path = written(
        tmp_path,
        line(),
        line(id="two", section="Press", turns=[{"role": "user", "text": "A call from the press?"}]),
    )
    said = adhere("evaluate", str(run), "--pairs", str(path))
    assert said.code == 0, said.err
    assert "2 situations" in said.out
    assert "sft+dpo+rag" in said.out
    report = json.loads((run / "evaluate/official.json").read_text(encoding="utf-8"))
    assert set(report["systems"]) == {
        "base",
        "base+rag",
        "document-lm",
        "sft",
        "dpo",
        "sft+dpo",
        "sft+dpo+rag",
    }
    kept = read_records(run / "evaluate/official_situations.jsonl", Situation)
    assert [one.id for one in kept] == ["one", "two"]
    scores = read_records(run / "evaluate/official_scores.jsonl", ProbeScore)
    assert {one.probe for one in scores} == {"one", "two"}
    assert RunSettings.read(run / "run.toml").evaluate.pairs == str(path)
    assert "up to date" in adhere("evaluate", str(run)).err
    written(tmp_path, line())
    assert "out of date" in adhere("status", str(run)).out
    assert "1 situation" in adhere("evaluate", str(run)).out


def test_a_wrong_file_changes_nothing(run: Path, tmp_path: Path) -> None:
    before = (run / "run.toml").read_bytes()
    for path in (tmp_path / "none.jsonl", written(tmp_path, "{}")):
        said = adhere("evaluate", str(run), "--pairs", str(path))
        assert said.code == 2
        assert f"adhere: {path}: " in said.err
    assert (run / "run.toml").read_bytes() == before


def test_models_are_scored_without_a_run(tmp_path: Path) -> None:
    path = written(tmp_path, line(), line(id="two", section="Press"))
    script = tmp_path / "honest.toml"
    script.write_text(
        "rules = []\n[[scores]]\nmatch = 'back'\nmean = -0.5\n"
        "[[scores]]\nmatch = 'Keep'\nmean = -2.0\n",
        encoding="utf-8",
    )
    out = tmp_path / "no folder yet" / "official.json"
    flags = ("--system", f"plain=scripted:{SCRIPT}", "--system", f"honest=scripted:{script}")
    said = adhere("official", str(path), *flags, "--out", str(out), "--quiet")
    assert said.code == 0, said.err
    assert "100%" in said.out
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["systems"]["honest"]["margin"]["value"] == 1.5
    assert {(row["a"], row["b"]) for row in report["differences"]} == {("honest", "plain")}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "no model to score; give one with --system NAME=ADDRESS"),
        (("--system", "one"), "write NAME=ADDRESS"),
        (
            ("--system", f"one=scripted:{SCRIPT}", "--system", "one=openvino:x"),
            "--system one=openvino:x: there is a 'one' already",
        ),
        (("--system", "one=nothing"), "'nothing' is no engine address"),
    ],
)
def test_without_a_run_a_mistake_is_one_sentence_too(
    tmp_path: Path, flags: tuple[str, ...], message: str
) -> None:
    said = adhere("official", str(written(tmp_path, line())), *flags)
    assert (said.code, "Traceback" in said.err) == (2, False)
    assert message in said.err


def test_the_help_names_the_model_that_is_compared_with_the_others() -> None:
    said = " ".join(adhere("official", "--help").out.split())
    order = ", or else ".join([*ALIGNED, "the last one"])
    assert f"The model named {order}, is compared with each of the others." in said
    others = ["base", *reversed(ALIGNED), "mine"]
    for name in ALIGNED:
        assert {a for a, b in matches(others) if b == "mine"} == {name}
        others.remove(name)
    assert matches(others) == [("mine", "base")]
