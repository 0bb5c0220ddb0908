import json
from dataclasses import asdict
from unittest.mock import ANY

import numpy as np
import pytest
from fakes import FakeEngine, clause, passage, probe
from pydantic import TypeAdapter

from adhere.errors import EngineError, InputError, NoLikelihoodError
from adhere.evaluate import METRICS, Evaluation, Material, System, evaluate
from adhere.evaluate.coverage import clause_evidence, clause_result
from adhere.evaluate.matches import aligned, matches
from adhere.evaluate.pooled import clause_gains
from adhere.evaluate.reading import Reading, ReadOwn
from adhere.evaluate.statistics import holm
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.records import ProbeScore, Verdict
from adhere.settings import EvaluateSettings

COUNT = 12
RULES = [f"rule{i} demands candour{i} always{i}" for i in range(COUNT)]
PASSAGES = [passage(f"s{i}", text) for i, text in enumerate(RULES)]
CLAUSES = [clause(f"c{i}", f"s{i}") for i in range(COUNT)] + [clause("unprobed", "s0")]
PROBES = [
    probe(
        f"p{i}-{j}",
        f"c{i}",
        f"Situation {i} number {j}?",
        f"candour{i} always{i}",
        f"whatever{i} pays{i}" if j == 0 else None,
    )
    for i in range(COUNT)
    for j in range(2)
]
QUESTION_OF = {probe.question: probe for probe in PROBES}
TRAINING = {f"c{i}": (i, 2 * i) for i in range(COUNT)}
LADDER = ("base", "base+rag", "sft", "dpo", "sft+dpo")


def embed(texts):
    """One dimension a rule number: texts about the same rule are the same."""
    counts = np.array([[text.count(f"{i} ") + 1e-6 for i in range(COUNT)] for text in texts])
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def faithful(text: str) -> str:
    return QUESTION_OF[text.split("\n")[-1]].reference


def unfaithful(text: str) -> str:
    return "Money talks, always takes."


def judged(text: str) -> str:
    """A teacher that says A whatever it is shown."""
    return "A"


def settings(**changes) -> EvaluateSettings:
    return EvaluateSettings(**{"resamples": 200, "exam_pairs": 40, **changes})


def ladder() -> list[System]:
    base, aligned = FakeEngine("student", unfaithful), FakeEngine("aligned", faithful)
    aligned.favourites = {word for rule in RULES for word in rule.split()}
    rule_of = {f"c{i}": text for i, text in enumerate(RULES)}
    own = ReadOwn(
        own={
            probe.id: Reading(text=f"{rule_of[probe.clause]}\n\n", passages=(probe.clause,))
            for probe in PROBES
        }
    )
    return [
        System(name="base", engine=base),
        System(name="base+rag", engine=base, read=own, note="It reads the rule."),
        System(name="sft", engine=aligned),
        System(name="dpo", engine=base),
        System(name="sft+dpo", engine=aligned),
    ]


def run(reply=judged, systems=None, teacher=None, judges=(), chosen=None, **changes) -> Evaluation:
    given = {
        "probes": PROBES,
        "exam": PROBES,
        "clauses": CLAUSES,
        "passages": PASSAGES,
        "training": TRAINING,
        "languages": {clause.id: "en" for clause in CLAUSES},
    }
    return evaluate(
        Material(**{**given, **changes}),
        systems or ladder(),
        teacher=teacher or FakeEngine("teacher", reply),
        judges=judges,
        embed=embed,
        prompts=Prompts(),
        settings=chosen or settings(),
        progress=NoProgress(),
    )


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return run()


@pytest.fixture(scope="module")
def summary(found):
    return json.loads(json.dumps(found.summary(), allow_nan=False))


def test_every_system_has_every_metric_with_its_interval(summary):
    assert list(summary["systems"]) == list(LADDER)
    for metrics in summary["systems"].values():
        assert list(metrics) == [one for one in METRICS if one != "yes_no_accuracy"]
        for metric, cell in metrics.items():
            assert set(cell) == {"value", "low", "high", "n"}
            assert cell["low"] <= cell["value"] <= cell["high"]
            assert cell["n"] == (COUNT if metric.startswith("preference_") else 2 * COUNT)


def test_a_system_takes_the_side_whose_word_it_finds_likelier():
    aligned = FakeEngine("aligned", faithful)
    aligned.favourites = {"no"}
    probes = [
        probe("p0", "c0", "Situation 0 number 0?", "No, candour0."),
        probe("p1", "c1", "Situation 1 number 0?", "Yes, candour1."),
        probe("p2", "c2", "Situation 2 number 0?", "Candour2."),
    ]
    systems = [
        System(name="base", engine=FakeEngine("student", unfaithful)),
        System(name="sft+dpo", engine=aligned),
    ]
    found = run(probes=probes, systems=systems)
    values = {(one.system, one.probe): one.values for one in found.scores}
    words = [values["sft+dpo", name].get("yes_no_accuracy") for name in ("p0", "p1", "p2")]
    assert words == [1, 0, None]
    assert values["base", "p0"]["yes_no_accuracy"] == 0.5


def test_the_aligned_system_comes_out_better_and_intervals_do_not_touch(summary):
    base, aligned = summary["systems"]["base"], summary["systems"]["sft+dpo"]
    for metric in ("preference_accuracy", "rouge_l", "grounding_gain"):
        assert aligned[metric]["low"] > base[metric]["high"]
    assert aligned["reference_nll"]["high"] < base["reference_nll"]["low"]
    assert aligned["reference_nll"]["value"] == 0.5
    assert aligned["rouge_l"]["value"] == 1.0
    assert base["preference_accuracy"]["value"] == 0.5  # it knows neither side


def test_what_a_system_reads_reaches_its_references_and_no_other_system(found):
    values = {(score.system, score.probe): score.values for score in found.scores}
    by_rag = [values["base+rag", probe.id]["reference_nll"] for probe in PROBES]
    alone = [values["base", probe.id]["reference_nll"] for probe in PROBES]
    assert np.mean(by_rag) < np.mean(alone)
    assert set(alone) == {3.0}


def test_differences_are_paired_corrected_and_say_what_could_be_seen(summary):
    rows = {(row["a"], row["b"], row["metric"]): row for row in summary["differences"]}
    row = rows["sft+dpo", "base", "grounding_gain"]
    assert row["low"] > 0
    assert row["p_value"] <= row["p_holm"] < 0.1
    assert row["detectable"] >= 0
    same = rows["sft+dpo", "sft", "rouge_l"]
    assert (same["value"], same["p_value"], same["p_holm"]) == (0.0, 1.0, 1.0)
    assert {(a, b) for a, b, _ in rows} == set(matches(LADDER))


def test_the_likelihood_judge_passes_and_the_asked_one_is_withheld_in_words(summary):
    likelihood, asked, pointwise = summary["judges"]
    assert (likelihood["name"], likelihood["admitted"], likelihood["withheld"]) == (
        "likelihood",
        True,
        None,
    )
    assert (asked["name"], asked["admitted"], asked["exam_accuracy"]) == ("asked", False, 0.0)
    assert asked["withheld"].startswith("withheld: the judge `asked` sorted 0 of 20 exam pairs")
    assert asked["flipped"] == asked["n"] == 20
    assert (pointwise["name"], pointwise["admitted"]) == ("pointwise", False)
    kinds = dict(likelihood["kinds"])
    assert kinds.pop("itself") == {"right": 3, "n": 3, "low": ANY, "high": 1.0}
    assert set(kinds) == {"contrast", "other clause", "generic"}
    for rows in (kinds, likelihood["lengths"]):
        assert sum(row["n"] for row in rows.values()) == likelihood["n"] == 32
        assert sum(row["right"] for row in rows.values()) == likelihood["right"]
    assert set(likelihood["lengths"]) == {"longer is wrong", "longer is right"}


def test_only_admitted_judges_have_win_rates_and_they_add_up(found, summary):
    assert {verdict.judge for verdict in found.verdicts} == {"likelihood"}
    assert [(row["a"], row["b"]) for row in summary["win_rates"]] == matches(LADDER)
    for row in summary["win_rates"]:
        n = row["wins"] + row["ties"] + row["losses"]
        assert n == row["n"] == len(PROBES)
        assert row["rate"] == (row["wins"] + row["ties"] / 2) / n
        assert row["low"] <= row["rate"] <= row["high"]
        assert row["worst"] == row["best"] == row["rate"]
        assert 0 <= row["p_mcnemar"] <= 1
        for other in (row["corrected"], row["length_controlled"]):
            assert 0 <= other["low"] <= other["rate"] <= other["high"] <= 1
        assert row["corrected"]["value"] == row["corrected"]["rate"] >= row["rate"] - 1e-9
    first = summary["win_rates"][0]
    assert (first["b"], first["rate"]) == ("base", 1.0)
    assert first["low"] < 1.0  # all wins, yet no certainty
    alike = summary["win_rates"][2]
    assert (alike["b"], alike["ties"], alike["rate"]) == ("sft", len(PROBES), 0.5)


def test_a_fair_asked_judge_is_admitted_too():
    def fair(text: str) -> str:
        first, second = text.index("Answer A:"), text.index("Answer B:")
        rule = text.split("\n")[1].split()[1:]
        return "A" if sum(word in text[first:second] for word in rule) else "B"

    evaluation = run(reply=fair)
    assert [exam.admitted for exam in evaluation.judges] == [True, True, False]
    assert {verdict.judge for verdict in evaluation.verdicts} == {"likelihood", "asked"}
    [row] = evaluation.summary()["agreement"]
    assert row["judges"] == ["likelihood", "asked"]
    assert row["n"] == len(PROBES) * len(matches(LADDER))
    assert row["alpha"] > 0.5


def test_only_the_engines_given_judge_and_each_under_its_own_name():
    class Closing(FakeEngine):
        closed = False

        def close(self):
            self.closed = True

    class Speechless(Closing):
        def score(self, requests):
            raise EngineError("big gives no log-probabilities.")

    big, small = Speechless("big", judged), Closing("small", judged)
    teacher = Closing("teacher", judged)
    evaluation = run(teacher=teacher, judges=[big, small])
    assert [exam.name for exam in evaluation.judges] == [
        "likelihood big",
        "asked big",
        "pointwise big",
        "likelihood small",
        "asked small",
        "pointwise small",
    ]
    assert teacher.asked == []  # never the teacher when others are given
    assert (big.closed, small.closed, teacher.closed) == (True, True, False)
    likelihood = evaluation.summary()["judges"][0]
    assert likelihood["withheld"] == (
        "withheld: the judge `likelihood big` could not sit the exam: "
        "big gives no log-probabilities."
    )
    assert {verdict.judge for verdict in evaluation.verdicts} == {"likelihood small"}


def rates_of(found, verdicts):
    own = {name: getattr(found, name) for name in found.__slots__}
    (row,) = Evaluation(**{**own, "verdicts": verdicts}).summary()["win_rates"]
    return row


def mute(found, probes):
    one = asdict(found.verdicts[0])
    return [
        Verdict(**{**one, "probe": probe.id, "winner": "tie", "unreadable": True})
        for probe in probes
    ]


def test_unreadable_verdicts_are_in_no_rate_and_open_the_range_from_best_to_worst(found):
    one = asdict(found.verdicts[0])
    rest = [
        Verdict(**{**one, "probe": probe.id, "winner": "a" if place % 3 else "b"})
        for place, probe in enumerate(PROBES[6:])
    ]
    row, alone = rates_of(found, mute(found, PROBES[:6]) + rest), rates_of(found, rest)
    assert (row["unreadable"], row["worst"], row["best"]) == (6, 12 / 24, 18 / 24)
    assert (row["wins"], row["ties"], row["losses"], row["n"]) == (12, 0, 6, 18)
    assert row["rate"] == 12 / 18
    assert {name for name in row if row[name] != alone[name]} == {"unreadable", "worst", "best"}


def test_where_no_verdict_could_be_read_there_is_no_rate(found):
    row = rates_of(found, mute(found, PROBES))
    assert (row["unreadable"], row["worst"], row["best"], row["n"]) == (24, 0.0, 1.0, 0)
    assert (row["wins"], row["ties"], row["losses"]) == (0, 0, 0)
    for name in ("rate", "low", "high", "corrected", "length_controlled", "flip_rate"):
        assert row[name] is None


def test_each_clause_has_a_row_and_a_result(summary):
    rows = {row["id"]: row for row in summary["clauses"]}
    assert list(rows) == [clause.id for clause in CLAUSES]
    row = rows["c3"]
    assert (row["examples"], row["pairs"], row["probes"], row["result"]) == (3, 6, 2, "cannot tell")
    assert row["evidence"] == (
        "sft+dpo finds the reference 2.50 nats a token likelier than base (over 2 probes), "
        "and is right on 1 of 1 (base: 0.5)."
    )
    assert (rows["unprobed"]["result"], rows["unprobed"]["examples"]) == ("untested", 0)
    assert {"document", "statement", "polarity", "stance"} <= set(row)


def test_a_clauses_gain_has_a_p_that_is_corrected_over_the_clauses(found, summary):
    gains = clause_gains(found.probes, found.scores, "base", "sft+dpo")
    adjusted = holm([gain.p_differs() for gain in gains.values()])
    assert {row["id"]: row["p_holm"] for row in summary["clauses"] if "p_holm" in row} == dict(
        zip(gains, adjusted, strict=True)
    )
    assert len(gains) > 1


def test_the_same_run_gives_the_same_summary(summary):
    assert json.loads(json.dumps(run().summary())) == summary


def test_scores_survive_json(found):
    kind = TypeAdapter(ProbeScore)
    score = found.scores[0]
    assert kind.validate_json(json.dumps(asdict(score)), extra="forbid") == score


class Closing(FakeEngine):
    """Notes when it is asked and when it is closed."""

    def __init__(self, name: str, heard: list[str]) -> None:
        super().__init__(name, judged if name == "teacher" else faithful)
        self.heard = heard

    def complete(self, requests):
        self.heard.append(self.name)
        return super().complete(requests)

    def close(self) -> None:
        self.heard.append(f"{self.name} closed")


def test_an_engine_is_closed_after_the_last_system_that_has_it():
    heard: list[str] = []
    base, tuned, teacher = (Closing(name, heard) for name in ("base", "tuned", "teacher"))
    own = ReadOwn(own={})
    systems = [
        System(name="base", engine=base),
        System(name="base+rag", engine=base, read=own),
        System(name="teacher+passage", engine=teacher, read=own),
        System(name="sft+dpo", engine=tuned),
    ]
    run(systems=systems, teacher=teacher)
    asked = ["base", "base", "base closed", "teacher", "tuned", "tuned closed"]
    assert heard[: len(asked)] == asked
    assert "teacher closed" not in heard


def test_empty_answers_and_failed_requests_are_written_down():
    def moody(text: str) -> str | None:
        return None if "number 0" in text else "  \n"

    engine = FakeEngine("moody", moody)
    evaluation = run(systems=[System(name="base", engine=engine)])
    base = evaluation.summary()["systems"]["base"]
    assert (base["rouge_l"]["n"], base["rouge_l"]["value"]) == (COUNT, 0.0)
    assert "grounding_gain" not in base  # an answer without a word has none
    assert base["reference_nll"]["n"] == 2 * COUNT
    assert [drop.reason for drop in evaluation.dropped] == ["no answer"] * COUNT
    assert evaluation.dropped[0].detail == "base: out of paper"
    assert evaluation.summary()["win_rates"] == []


class Silent(FakeEngine):
    """Answers, and has no likelihoods to give."""

    def score(self, requests):
        raise NoLikelihoodError("no log-probabilities here; serve it with vLLM.")


def test_an_engine_without_likelihoods_has_the_other_metrics_and_it_is_said():
    added = System(name="cloud", engine=Silent("cloud", faithful), note="http://cloud/v1#m")
    summary = run(systems=[*ladder(), added]).summary()
    assert set(summary["systems"]["cloud"]) == set(METRICS) - {
        "yes_no_accuracy",
        "reference_nll",
        "preference_accuracy",
        "preference_margin",
    }
    assert summary["notes"] == {
        "base+rag": "It reads the rule.",
        "cloud": "http://cloud/v1#m No likelihoods: no log-probabilities here; serve it with vLLM.",
    }


def test_systems_added_after_the_aligned_one_do_not_take_its_place():
    added = System(name="other", engine=FakeEngine("other", unfaithful))
    before, after = run().summary(), run(systems=[*ladder(), added]).summary()
    assert after["clauses"] == before["clauses"]
    assert {row["a"] for row in after["win_rates"]} == {"sft+dpo", "sft"}
    assert ("sft+dpo", "other") in {(row["a"], row["b"]) for row in after["differences"]}


def test_matches_are_with_the_aligned_system_and_of_single_steps():
    names = ["base", "base+rag", "sft", "sft+dpo", "sft+dpo+rag", "other"]
    assert aligned(names) == "sft+dpo"
    assert matches(names) == [
        *(("sft+dpo", name) for name in names if name != "sft+dpo"),
        ("sft", "base"),
        ("sft+dpo+rag", "base+rag"),
    ]
    assert matches(["base", "sft"]) == [("sft", "base")]
    assert matches(["base"]) == []


def test_without_exam_probes_nothing_is_judged_and_the_rest_stands():
    evaluation = run(exam=[])
    assert evaluation.verdicts == []
    assert all("no exam pairs" in exam.withheld for exam in evaluation.judges)
    assert evaluation.summary()["systems"]["sft+dpo"]["rouge_l"]["value"] == 1.0


def test_bad_input_is_one_sentence():
    with pytest.raises(InputError, match="no held-out probes"):
        run(probes=[])
    with pytest.raises(InputError, match="probe p: its clause gone"):
        run(probes=[probe("p", "gone", "Q?", "R.")])


def nll(*values: float) -> list[dict[str, float]]:
    return [{"reference_nll": value} for value in values]


def preferring(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    return [{"reference_nll": value, "preference_accuracy": accuracy} for value, accuracy in pairs]


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        ([], [], "untested"),
        ([{}], nll(1), "untested"),
        (preferring((3, 0)), preferring((1, 1)), "cannot tell"),
        (preferring((3, 0), (3, 0)), preferring((1, 1), (1, 1)), "learned"),
        (preferring((3, 1), (3, 0)), preferring((1, 1), (1, 1)), "learned"),
        (preferring((3, 0), (3, 0)), preferring((4, 1), (4, 1)), "cannot tell"),
        (preferring((3, 1), (3, 1)), preferring((1, 1), (1, 1)), "already followed"),
        (preferring((3, 0), (3, 0)), preferring((1, 1), (1, 0)), "cannot tell"),
        (preferring((3, 1), (3, 1)), preferring((1, 0), (1, 0)), "not learned"),
        (preferring((3, 0)) + nll(3), preferring((1, 0)) + nll(1), "cannot tell"),
        (preferring((3, 0)) + nll(3), preferring((1, 1)) + nll(1), "cannot tell"),
        (nll(3, 3), nll(2, 2.5), "cannot tell"),  # likelier, as any text in this style is
        (nll(3, 3), nll(3, 3.5), "cannot tell"),
        (nll(3, 3), nll(2, 4), "cannot tell"),
    ],
)
def test_the_rule_for_a_clause(before, after, result):
    assert clause_result(before, after) == result
    assert clause_evidence(before, after, "base", "sft+dpo").endswith(".")


def sided(*pairs: tuple[float, float]) -> list[dict[str, float]]:
    """Probes of preference accuracy and yes_no_accuracy."""
    return [
        {"reference_nll": 1, "preference_accuracy": preferred, "yes_no_accuracy": word}
        for preferred, word in pairs
    ]


@pytest.mark.parametrize(
    ("after", "result"),
    [
        (sided((1, 1), (1, 1)), "already followed"),
        (sided((1, 0), (1, 0)), "not learned"),  # it prefers the faithful text, and says the other
        (sided((0, 1), (1, 0)), "not learned"),
        (sided((1, 0), (1, 1)), "cannot tell"),
    ],
)
def test_who_would_say_the_other_word_follows_nothing(after, result):
    before = sided((1, 1), (1, 1))
    assert clause_result(before, after) == result
    assert "is right on" in clause_evidence(before, after, "base", "sft+dpo")


def test_evidence_without_a_contrast_or_a_probe():
    assert clause_evidence(nll(1), nll(3), "base", "dpo") == (
        "dpo finds the reference 2.00 nats a token less likely than base "
        "(over 1 probe, none with a side to take)."
    )
    assert clause_evidence([], [], "base", "dpo") == "No held-out probe of this clause was scored."


def test_without_judges_the_teacher_is_asked_nothing_and_the_rest_is_measured() -> None:
    teacher = FakeEngine("teacher", judged)
    found = run(teacher=teacher, chosen=settings(judged=False)).summary()
    assert not teacher.asked
    assert not teacher.scored
    assert (found["judges"], found["win_rates"], found["agreement"]) == ([], [], [])
    for metrics in found["systems"].values():
        assert {"reference_nll", "rouge_l", "length"} <= set(metrics)
        assert "grounding_gain" not in metrics
    assert [row["id"] for row in found["clauses"]] == [clause.id for clause in CLAUSES]
