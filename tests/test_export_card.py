"""The model card from a summary alone: licences, what alignment cost, how far a judge is right."""

from dataclasses import replace
from typing import Any

from adhere.export.card import Card
from adhere.records import Document

Row = dict[str, Any]

SYSTEMS = ("base", "sft", "sft+dpo")
DOCUMENTS = [
    Document(id=name, name=name, format="markdown", sha256=name, text="")
    for name in ("rules.md", "code.md")
]


def estimate(value: float, low: float | None = None, high: float | None = None) -> Row:
    return {"value": value, "low": low, "high": high, "n": 9}


def costs() -> Row:
    safe = {"base": estimate(0.02, 0.0, 0.04), "sft+dpo": estimate(0.1, 0.06, 0.14)}
    more = {"a": "sft+dpo", "b": "base", "metric": "refused", **estimate(0.08, 0.03, 0.13)}
    general = {"base": estimate(2.5), "sft+dpo": estimate(2.75)}
    return {
        "permitted": {"absent": "Not measured: nothing is permitted."},
        "refusals": {
            "safe": {
                "systems": {name: {"refused": one} for name, one in safe.items()},
                "differences": [more],
            }
        },
        "general": {
            "systems": {name: {"nll": one} for name, one in general.items()},
            "differences": [],
        },
    }


def summary(**more: Any) -> Row:
    return {
        "systems": {name: {"reference_nll": estimate(2.0)} for name in SYSTEMS},
        "clauses": [],
        "judges": [],
        "win_rates": [],
        "counts": {"curate": {"examples": 1, "pairs": 1, "probes": 9}},
        **more,
    }


CARD = Card(
    name="boathouse",
    student="smollm2-135m-instruct",
    teacher="scripted",
    system="sft+dpo",
    lora=True,
    documents=DOCUMENTS,
    licences=dict.fromkeys(("rules.md", "code.md"), ""),
    summary=summary(),
)


def written(found: Row, **more: Any) -> str:
    return replace(CARD, summary=found, **more).write()


def test_each_document_has_its_licence() -> None:
    card = written(summary(), licences={"rules.md": "cc0-1.0", "code.md": ""})
    assert "| rules.md | markdown | cc0-1.0 | `rules.md` |" in card
    assert "| code.md | markdown | not stated | `code.md` |" in card
    assert "license: apache-2.0" in card  # the base model's alone


def test_what_alignment_cost_is_said_and_what_was_not_measured() -> None:
    card = (
        written(summary(costs=costs()))
        .split("## What went wrong beside the gains")[1]
        .split("## Files")[0]
    )
    assert "| measure | base | sft+dpo | difference |" in card
    safe, general = (line for line in card.splitlines() if "↓" in line)
    assert safe.endswith("↓ | 2\u00a0% [0, 4] | 10\u00a0% [6, 14] | 8\u00a0% [3, 13] |")
    assert general.endswith("↓ | 2.50 | 2.75 | – |")
    assert "permit: declined or denied. Not measured: nothing is permitted." in card


def evaluation(card: str) -> str:
    return card.split("## Evaluation")[1].split("\n## ")[0]


def test_what_computed_the_metrics_shown_is_said_and_of_no_others() -> None:
    own = {"library": "adhere", "version": "1.2", "model": "each system's own"}
    metrics = {
        "reference_nll": own,
        "preference_accuracy": own,
        "embedding_similarity": own | {"model": "/home/me/embedder"},
        "rouge_l": {"library": "rouge-score", "version": "0.1"},
        "refused": {"library": "adhere", "version": "1.2"},
        "perplexity": own,
        "bertscore": {"absent": "no library computes it"},
    }
    measured = dict.fromkeys(("reference_nll", "embedding_similarity"), estimate(1.0))
    found = summary(systems=dict.fromkeys(SYSTEMS, measured), metrics=metrics, costs=costs())
    assert (
        evaluation(written(found))
        .strip()
        .endswith(
            "\nComputed by:\n\n"
            "- Reference NLL: adhere 1.2 (model: each system's own)\n"
            "- Embedding similarity: adhere 1.2 (model: embedder)\n"
            "- Refusals: adhere 1.2"
        )
    )
    assert "Computed by" not in written(summary())


def test_each_metric_is_shown_with_its_own_number_of_probes() -> None:
    few = estimate(0.5, 0.25, 0.75) | {"n": 4}
    systems = {name: {"reference_nll": estimate(2.0)} for name in SYSTEMS}
    systems["sft+dpo"]["yes_no_accuracy"] = few
    table = evaluation(written(summary(systems=systems)))
    assert "Of 9 held-out probes, each metric is of the n that it can be measured on" in table
    assert "↓ | 2.00, n = 9 | 2.00, n = 9 |" in table
    assert "↑ | – | 50\u00a0% [25, 75], n = 4 |" in table


def test_what_looked_wrong_in_training_is_a_limit() -> None:
    card = written(summary(), alarms=[("dpo", "The chosen answers fell.")])
    limits = card.split("## Limits")[1]
    assert "\n- In training (`dpo`): The chosen answers fell.\n- A clause's result" in limits
    assert "In training" not in written(summary())


def test_costs_that_nobody_measured_are_not_passed_over() -> None:
    """Of another system than the fully aligned one there are none."""
    for card in (written(summary()), written(summary(costs=costs()), system="sft")):
        part = card.split("## What went wrong beside the gains")[1].split("## Files")[0]
        assert part.strip() == (
            "Not measured: neither wrong answers of yes and no nor general ability of this system."
        )


def test_a_win_rate_stands_beside_what_its_judge_is_worth() -> None:
    win = {"a": "sft+dpo", "b": "base", "judge": "asked", "rate": 0.8, "low": 0.7, "high": 0.9}
    judge = {"name": "asked", "admitted": True, "exam_accuracy": 0.85, "low": 0.75, "n": 60}
    corrected = win | {"corrected": estimate(0.93, 0.71, 1.0)}
    for one, said in (
        (corrected, "93\u00a0% [71, 100] freed of the errors of its exam"),
        (win, "not freed of the errors of its exam"),
    ):
        card = written(summary(win_rates=[one], judges=[judge]))
        assert (
            f"- Win rate against base, judge `asked`: 80\u00a0% [70, 90] as it judged, {said} "
            "(85% of 60 pairs sorted right)"
        ) in card
