"""Which training does what? `ablation.py OUT RUN [NAME=RUN ...] [--seeds 0 1] [--only PART ...]`.

Trains the student on the data of a finished RUN once for each recipe and seed, and asks of
each how likely it finds the held-out references, whether it prefers them to their contrasts,
whether it finds their yes or no likelier than the other, and how likely it still finds good
answers to general instructions, which training on one document makes less so. `NAME=RUN` adds
a recipe, "pairs: NAME", that takes its pairs from another run of the same clauses (one of
another `generate.strategy`). Rewritings are read by one recipe alone, from where
`adhere rewrite RUN --midtrain.rewritings 4` put them; without them it is left out.
What stands in OUT is not done again while the data and the settings are the same, so the
command may be stopped and given again. Prints a Markdown table.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from adhere.assess import material
from adhere.bench import ADAPTERS, Bench
from adhere.engines.base import Engine
from adhere.evaluate.extras import read_extras
from adhere.evaluate.likelihood import reference_likelihoods
from adhere.evaluate.metrics import likelihood_values
from adhere.evaluate.statistics import Clustered, Estimate, FloatArray
from adhere.evaluate.systems import System
from adhere.grounding import score_all, score_request
from adhere.pipeline import run_stages
from adhere.progress import ConsoleProgress, Progress
from adhere.records import Probe
from adhere.run_files import PROBES
from adhere.settings import EvaluateSettings, RunSettings
from adhere.store import file_sha256, write_json
from adhere.text import side

DATA = ("ingest", "clauses", "generate", "curate", "rewrite")
SHARED = ("midtrain", "sft")
"""Trained once for a seed; trained anew, as out of date, where a recipe has other settings."""
TRAININGS = (*SHARED, "dpo")
WITHOUT_TEXT = {"midtrain": {"enabled": False}}
AS_THEY_CAME = {"sft": {"balance": False}, "dpo": {"balance": False}}
REWRITINGS = "the text and rewritings"
METRICS = ("reference_nll", "preference_accuracy")
GENERAL = "general"
Values = dict[str, dict[str, float]]
"""Probe id -> metric -> value; under GENERAL, question -> nats a token of its good answer."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and by which settings where they are not the run's."""

    name: str
    system: str = "sft+dpo"
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    pairs: Path | None = None
    """The run whose pairs are taken."""


RECIPES = (
    Recipe("base", system="base"),
    Recipe("SFT", system="sft"),
    Recipe("DPO alone", system="dpo"),
    Recipe("SFT + DPO (default)"),
    Recipe("SFT, without the text", system="sft", settings=WITHOUT_TEXT),
    Recipe("SFT + DPO, without the text", settings=WITHOUT_TEXT),
    Recipe("the text, 6 epochs", settings={"midtrain": {"epochs": 6}}),
    Recipe(REWRITINGS, settings={"midtrain": {"rewritings": 4}}),
    Recipe("SFT, unbalanced", system="sft", settings=AS_THEY_CAME),
    Recipe("SFT + DPO, unbalanced", settings=AS_THEY_CAME),
    Recipe("SFT + DPO, unbalanced pairs", settings={"dpo": {"balance": False}}),
    Recipe("SFT + DPO, unbalanced examples", settings={"sft": {"balance": False}}),
    Recipe("without the likelihood term", settings={"dpo": {"method": "dpo"}}),
    Recipe("IPO", settings={"dpo": {"method": "ipo"}}),
    Recipe("KTO", settings={"dpo": {"method": "kto"}}),
    Recipe("DPO at 3e-5", settings={"dpo": {"learning_rate": 3e-5}}),
    Recipe("DPO at 1e-4", settings={"dpo": {"learning_rate": 1e-4}}),
    Recipe("DPO at 1e-3", settings={"dpo": {"learning_rate": 1e-3}}),
    Recipe("DPO, 8 epochs", settings={"dpo": {"epochs": 8}}),
)


def settings_of(run: Path, recipe: Recipe, seed: int) -> RunSettings:
    plain = {stage: {"seed": seed} for stage in TRAININGS}
    plain["midtrain"]["rewritings"] = 0
    settings = RunSettings.read(run / "run.toml")
    for changes in (plain, recipe.settings):
        settings = settings.merge(dict(changes), source=str(run))
    return settings


def trained(run: Path, recipe: Recipe, seed: int, out: Path) -> Bench:
    """The run's data in a folder of the recipe's own, with its trainings up to date."""
    folder = out / f"{recipe.name}-{seed}"
    settings = settings_of(run, recipe, seed)
    for name in (*DATA, *SHARED):
        source = (run if name in DATA else out / f"SFT-{seed}") / name
        if name in DATA:
            shutil.rmtree(folder / name, ignore_errors=True)
        if source.exists() and not (folder / name).exists():
            aside = folder / f"{name}.copied"
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(source, aside).rename(folder / name)
    if recipe.pairs:
        shutil.copy(recipe.pairs / "curate/pairs.jsonl", folder / "curate/pairs.jsonl")
    settings.write(folder / "run.toml")
    bench = Bench(folder, settings, ConsoleProgress())
    run_stages(folder, settings, bench.progress, bench.up_to(ADAPTERS.get(recipe.system)))
    return bench


def made_of(run: Path, recipe: Recipe, seed: int) -> dict[str, Any]:
    """What a measurement depends on; where it has changed, the measurement is made again."""
    data = {name: run / f"curate/{name}.jsonl" for name in ("examples", "pairs", "probes")}
    if recipe.pairs:
        data["pairs"] = recipe.pairs / "curate/pairs.jsonl"
    settings = settings_of(run, recipe, seed).model_dump(mode="json")
    return {
        "system": recipe.system,
        "data": {name: file_sha256(path) for name, path in data.items()},
        "settings": {name: settings[name] for name in ("models", *TRAININGS)},
    }


def values(run: Path, recipe: Recipe, seed: int, out: Path) -> Values:
    """Each probe's likelihoods under the recipe's model; read where they were measured."""
    known, ingredients = out / f"{recipe.name}-{seed}.json", made_of(run, recipe, seed)
    if known.exists():
        before = json.loads(known.read_text(encoding="utf-8"))
        if before["made of"] == ingredients and GENERAL in before["values"]:
            return before["values"]
        if before["made of"] != ingredients:
            shutil.rmtree(out / f"{recipe.name}-{seed}", ignore_errors=True)
    bench = trained(run, recipe, seed, out)
    engine = bench.student_engine(ADAPTERS.get(recipe.system))
    probes = bench.read(PROBES)
    system = System(name=f"{recipe.name}, seed {seed}", engine=engine)
    found, _ = reference_likelihoods(system, probes, {}, material(bench).languages, bench.progress)
    measured = {probe: likelihood_values(one) for probe, one in found.items()}
    measured[GENERAL] = general(engine, bench.progress)
    engine.close()
    aside = known.with_suffix(".partial")
    write_json(aside, {"made of": ingredients, "values": measured})
    aside.replace(known)
    return measured


def general(engine: Engine, progress: Progress) -> dict[str, float]:
    """Nats a token of the good answer to each general instruction that adhere brings."""
    instructions = read_extras(EvaluateSettings()).instructions
    requests = {
        one.question: score_request("", one.question, one.answer, chat=True) for one in instructions
    }
    scores = score_all(engine, list(requests.values()), "general instructions", progress)
    return {question: -scores[request.id].mean for question, request in requests.items()}


def over_seeds(measured: list[Values], metric: str, probes: list[Probe]) -> FloatArray:
    """Each probe's mean over the seeds; NaN where the metric does not apply."""
    return np.array(
        [mean(one[probe.id].get(metric, float("nan")) for one in measured) for probe in probes]
    )


def over_instructions(measured: list[Values]) -> FloatArray:
    """Each general instruction's mean over the seeds."""
    return np.array([list(one[GENERAL].values()) for one in measured]).mean(axis=0)


def rows(found: Mapping[str, list[Values]], probes: list[Probe]) -> Iterator[str]:
    clustered = Clustered([probe.clause for probe in probes])
    sft = {metric: over_seeds(found["SFT"], metric, probes) for metric in METRICS}
    elsewhere = {name: over_instructions(measured) for name, measured in found.items()}
    by_instruction = Clustered([str(number) for number in range(len(elsewhere["SFT"]))])
    yield (
        "| | reference NLL | against SFT | preference accuracy | against SFT | by seed "
        "| margin | yes right | no right | yes from no | general NLL | against SFT |"
    )
    yield "|---" * 12 + "|"
    for name, measured in found.items():
        nll, preferred = (over_seeds(measured, metric, probes) for metric in METRICS)
        margin, word, leaning = (
            over_seeds(measured, metric, probes)
            for metric in ("preference_margin", "yes_no_accuracy", "yes_no_margin")
        )
        seeds = [over_seeds([one], "preference_accuracy", probes) for one in measured]
        cells = [
            _shown(clustered.mean(nll), "{:.2f}"),
            _shown(clustered.mean(nll - sft["reference_nll"]), "{:+.2f}"),
            _shown(clustered.rate(preferred), "{:.0%}"),
            _shown(clustered.rate_difference(preferred - sft["preference_accuracy"]), "{:+.0%}"),
            ", ".join(f"{np.nanmean(one):.0%}" for one in seeds),
            f"{np.nanmean(margin):.2f}",
            *(_counted(word, probes, answered) for answered in ("yes", "no")),
            f"{_told_apart(leaning, probes):.2f}",
            f"{elsewhere[name].mean():.2f}",
            _shown(by_instruction.mean(elsewhere[name] - elsewhere["SFT"]), "{:+.2f}"),
        ]
        if name == "SFT":
            cells[1] = cells[3] = cells[-1] = "–"
        yield f"| {name} | " + " | ".join(cells) + " |"


def _told_apart(margins: FloatArray, probes: list[Probe]) -> float:
    """Area under the ROC curve of leaning to yes, of probes of yes against those of no.

    It does not move with a leaning to one side everywhere: 0.5 is what a guess has.
    """
    sides = [side(probe.reference) for probe in probes]
    yes, no = (
        [
            sign * margin
            for margin, own in zip(margins, sides, strict=True)
            if own == answered and not np.isnan(margin)
        ]
        for answered, sign in (("yes", 1), ("no", -1))
    )
    if not yes or not no:
        return float("nan")
    return float(mannwhitneyu(yes, no).statistic) / (len(yes) * len(no))


def _counted(values: FloatArray, probes: list[Probe], answered: str) -> str:
    """For how many probes with this answer it holds, on average over the seeds."""
    asked = [side(probe.reference) == answered for probe in probes]
    known = values[asked & ~np.isnan(values)]
    return f"{known.sum():g} of {len(known)}"


def _shown(estimate: Estimate | None, form: str) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "–"
    value, low, high = map(form.format, (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("pairs", nargs="*", help="NAME=RUN")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", default=[""], help="parts of recipes' names")
    given = parser.parse_args()
    strategies = [one.partition("=") for one in given.pairs]
    recipes = [
        *(
            recipe
            for recipe in RECIPES
            if recipe.name == "SFT" or any(part in recipe.name for part in given.only)
        ),
        *(Recipe(f"pairs: {name}", pairs=Path(run)) for name, _, run in strategies),
    ]
    if not (given.run / "rewrite/manifest.json").exists():
        print(f"{given.run} has no rewritings, so {REWRITINGS!r} is left out.", file=sys.stderr)
        recipes = [recipe for recipe in recipes if recipe.name != REWRITINGS]
    given.out.mkdir(parents=True, exist_ok=True)
    found = {
        recipe.name: [values(given.run, recipe, seed, given.out) for seed in given.seeds]
        for recipe in recipes
    }
    probes = PROBES.read(given.run)
    print("\n".join(rows(found, probes)))


if __name__ == "__main__":
    main()
