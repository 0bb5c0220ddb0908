"""Is our training faster than TRL's own scripts, at equal final loss? `training.py [RUN]`.

    make setup
    .venv/bin/python benchmarks/training.py | tee training.md

Trains the same model on the same rows by `adhere.train` and by `trl/scripts/sft.py` and `dpo.py`,
in turns, and prints a Markdown table: tokens a second, and the final loss of both. RUN is a
finished run, whose `curate/` gives the rows; without it they are made from the example code of
conduct. The first time the student is fetched. Nothing else should run on the machine.

The same for both: rows, epochs, batch, steps, LoRA, peak learning rate and its schedule, seed,
and the plain DPO loss. All else is each side's own, such as the checkpoints, of which we save up
to ten and TRL one in so short a training: TRL's scripts are given nothing but what is printed
below the table, and `--use_cpu` where there is no GPU, because they refuse to start without it.

Tokens are those that are no padding. Seconds are of the training with, in DPO, the reference's
log-likelihoods; `whole call` adds loading, tokenising and saving. Before the turns that count,
each side takes a step that warms up. Final losses are computed alike, by TRL in float32, over all
rows; a target of speed counts as met only where our loss is at most 2 % above TRL's.
"""

import argparse
import io
import os
import platform
import random
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from adhere.errors import EngineError
from adhere.models import checkpoint_folder
from adhere.progress import NoProgress
from adhere.records import Example, Origin, PreferencePair
from adhere.run_files import EXAMPLES, PAIRS
from adhere.settings import DPOSettings, SFTSettings, TrainSettings
from adhere.train import Task, train_dpo, train_sft
from adhere.train.libraries import training_libraries
from adhere.train.loading import load_tokenizer
from adhere.train.plan import SMALL
from adhere.train.rates import peak_rate
from adhere.train.rows import Row, answer_row, fit

EXAMPLE = Path(__file__).parent.parent / "examples" / "code-of-conduct.md"
TARGETS = {"sft": 3.0, "dpo": 2.0}
HIGHER = 0.02
"""What our final loss may be above TRL's and count as equal: as far as bfloat16 may move a loss in
tests/test_train_fast.py."""
WARM_UP = 0.01
"""Epochs: one step."""
_OWN = ("bf16", "gradient_checkpointing", "train_sampling_strategy", "max_length")
OWN_DEFAULTS = {"sft": (*_OWN, "packing"), "dpo": (*_OWN, "precompute_ref_log_probs")}
"""Of TRL's settings, those that make the difference; printed as they were found."""
Record = Example | PreferencePair


@dataclass(frozen=True)
class Race:
    """One kind of training, and what both sides are told."""

    stage: str
    model: Path
    settings: TrainSettings
    records: list[Record]
    """Shortest first."""
    rows: list[Row]
    """The same, as TRL reads them."""


@dataclass
class Turn:
    """One training by one side."""

    training: float = 0.0
    """Seconds in the trainer, the reference's log-likelihoods included."""
    whole: float = 0.0
    """Seconds of the whole call."""
    loss: float = 0.0
    steps: int = 0
    tokens: int = 0
    own: dict[str, Any] = field(default_factory=dict[str, Any])
    """TRL's own defaults, as its script read them."""


def examples(run: Path | None) -> list[Example]:
    if run:
        return EXAMPLES.read(run)
    return [Example(answer=pair.chosen, **_shared(pair.id, pair.question)) for pair in pairs(None)]


def pairs(run: Path | None) -> list[PreferencePair]:
    """Without a run: each sentence of the example against one of another section."""
    if run:
        return PAIRS.read(run)
    said = [
        (heading.strip(), sentence)
        for heading, body in re.findall(r"^## (.+)\n([^#]+)", EXAMPLE.read_text("utf-8"), re.M)
        for sentence in re.split(r"(?<=\.)\s+", body.strip())
    ]
    others = said[len(said) // 2 :] + said[: len(said) // 2]
    return [
        PreferencePair(
            chosen=sentence,
            rejected=other,
            **_shared(f"p{number}", f"What does our code of conduct say on {heading.lower()}?"),
        )
        for number, ((heading, sentence), (_, other)) in enumerate(zip(said, others, strict=True))
    ]


def _shared(key: str, question: str) -> dict[str, Any]:
    origin = Origin(parents=(), prompt="benchmark@0", model="none")
    return {"id": key, "clause": "c", "kind": "k", "question": question, "origin": origin}


def race(stage: str, model: Path, records: list[Any], count: int, settings: Any) -> Race:
    """`count` of the records that fit, drawn by seed."""
    made = {
        record.id: (
            answer_row(record.question, completion=record.answer)
            if stage == "sft"
            else answer_row(record.question, chosen=record.chosen, rejected=record.rejected)
        )
        for record in random.Random(settings.seed).sample(records, min(count, len(records)))
    }
    with training_libraries():
        rows, dropped = fit(stage, list(made.items()), load_tokenizer(model), settings.max_length)
    gone = {drop.record_id for drop in dropped}
    kept = [record for record in records if record.id in made and record.id not in gone]
    rows = [{name: row[name] for name in row if name != "length"} for row in rows]
    return Race(stage, model, settings, kept, rows)


def by_adhere(race: Race, folder: Path, turn: Turn) -> None:
    task: Any = Task(
        stage=race.stage,
        model=race.model,
        settings=race.settings,
        folder=folder,
        progress=NoProgress(),
    )
    stage: Any = train_sft if race.stage == "sft" else train_dpo
    turn.tokens = stage(race.records, [], task).tokens


def by_trl(race: Race, folder: Path, turn: Turn) -> None:
    """The script itself, in this process, so that neither side pays for the imports."""
    import torch
    from datasets import Dataset
    from trl.scripts import dpo, sft

    script: Any = sft if race.stage == "sft" else dpo
    data = folder / "data"
    Dataset.from_list(race.rows).to_json(data / "train.jsonl")
    told = {
        "model_name_or_path": race.model,
        "dataset_name": data,
        "output_dir": folder / "trained",
        "seed": race.settings.seed,
        **same_for_both(race.settings),
    }
    words = [str(word) for name, value in told.items() for word in (f"--{name}", value)]
    cpu = [] if torch.cuda.is_available() else ["--use_cpu"]
    parsed = script.make_parser().parse_args_and_config([*words, "--use_peft", *cpu])
    turn.own = {name: getattr(parsed[1], name) for name in OWN_DEFAULTS[race.stage]}
    turn.own["dtype"] = parsed[2].dtype
    script.main(*parsed)


def same_for_both(settings: TrainSettings) -> dict[str, Any]:
    """What `adhere` trains with, as options of TRL's scripts."""
    return {
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size,
        "learning_rate": peak_rate(settings, SMALL),
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,
        "lora_r": settings.lora_rank,
        "lora_alpha": settings.lora_alpha,
        "lora_dropout": 0.0,
        "lora_target_modules": "all-linear",
    }


SIDES: dict[str, tuple[Callable[[Race, Path, Turn], None], str]] = {
    "TRL": (by_trl, "trained"),
    "adhere": (by_adhere, "adapter"),
}
"""How each trains, and where in its folder the adapter then is."""


@contextmanager
def clock(turn: Turn) -> Iterator[None]:
    """Seconds in TRL's trainers, whoever called them, and their optimiser steps."""
    from transformers import Trainer
    from trl.trainer.dpo_trainer import DPOTrainer

    def timed(owner: type, name: str) -> Callable[[], None]:
        original = getattr(owner, name)

        def measured(self: Any, *args: Any, **options: Any) -> Any:
            started = time.monotonic()
            try:
                return original(self, *args, **options)
            finally:
                turn.training += time.monotonic() - started
                turn.steps = self.state.global_step

        setattr(owner, name, measured)
        return partial(setattr, owner, name, original)

    undo = [timed(Trainer, "train"), timed(DPOTrainer, "_precompute_ref_logps")]
    try:
        yield
    finally:
        for back in undo:
            back()


def train(name: str, race: Race, folder: Path) -> Turn:
    import torch

    turn = Turn()
    torch.manual_seed(race.settings.seed)  # the adapter begins alike
    with clock(turn), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        started = time.monotonic()
        SIDES[name][0](race, folder, turn)
        turn.whole = time.monotonic() - started
    return turn


def take_turn(name: str, race: Race) -> Turn:
    with tempfile.TemporaryDirectory() as folder:
        turn = train(name, race, Path(folder))
        turn.loss = final_loss(race, Path(folder) / SIDES[name][1])
    print(f"{race.stage}, {name}: {turn.whole:.0f} s, loss {turn.loss:.4f}", file=sys.stderr)
    return turn


def final_loss(race: Race, adapter: Path) -> float:
    """TRL's loss over all rows, in float32; for DPO relative to the bare model."""
    import torch
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    def load() -> Any:
        return AutoModelForCausalLM.from_pretrained(race.model, dtype=torch.float32)

    with training_libraries(), tempfile.TemporaryDirectory() as folder:
        trained: Any = PeftModel.from_pretrained(load(), str(adapter)).merge_and_unload()
        told: Any = {"output_dir": folder, "bf16": False, "report_to": "none"}
        told["use_cpu"] = not torch.cuda.is_available()
        rows = Dataset.from_list(race.rows)
        data: Any = {"train_dataset": rows, "eval_dataset": rows}
        data["processing_class"] = AutoTokenizer.from_pretrained(race.model)
        with redirect_stdout(io.StringIO()):
            if race.stage == "sft":
                return SFTTrainer(trained, SFTConfig(**told), **data).evaluate()["eval_loss"]
            judge = DPOTrainer(trained, load(), DPOConfig(**told), **data)
            return judge.evaluate()["eval_loss"]


def compare(race: Race, repeats: int) -> dict[str, list[Turn]]:
    """Turn by turn, each side first in every other repeat."""
    turns: dict[str, list[Turn]] = defaultdict(list)
    for name in SIDES:
        with tempfile.TemporaryDirectory() as folder:
            train(name, changed(race, epochs=WARM_UP), Path(folder))
    for seed in range(repeats):
        names = list(SIDES) if seed % 2 else list(reversed(SIDES))
        pair = {name: take_turn(name, changed(race, seed=seed)) for name in names}
        if len({turn.steps for turn in pair.values()}) != 1:
            raise EngineError(f"{race.stage}: unequal optimiser steps: {pair}")
        for name, turn in pair.items():
            turn.tokens = pair["adhere"].tokens  # the same rows as often: the same tokens
            turns[name].append(turn)
    return turns


def changed(race: Race, **changes: Any) -> Race:
    return replace(race, settings=race.settings.model_copy(update=changes))


def report(race: Race, turns: dict[str, list[Turn]]) -> None:
    for name, taken in turns.items():
        speed, whole = (
            [turn.tokens / getattr(turn, part) for turn in taken] for part in ("training", "whole")
        )
        losses = [turn.loss for turn in taken]
        print(
            f"| {race.stage} | {name} | {taken[0].steps} | {taken[0].tokens} | {spread(speed, 0)} "
            f"| {spread(whole, 0)} | {spread(losses, 4)} |"
        )
    ratios = {
        part: [
            getattr(theirs, part) / getattr(ours, part)
            for theirs, ours in zip(turns["TRL"], turns["adhere"], strict=True)
        ]
        for part in ("training", "whole", "loss")
    }
    higher = 1 / median(ratios["loss"]) - 1
    target = TARGETS[race.stage]
    met = median(ratios["training"]) >= target and higher <= HIGHER
    print(
        f"| {race.stage} | **times as fast** | | | **{spread(ratios['training'], 2)}** "
        f"| {spread(ratios['whole'], 2)} | {abs(higher):.1%} {'higher' if higher > 0 else 'lower'};"
        f" target {target:g} at equal loss: {'met' if met else 'missed'} |",
        flush=True,
    )


def spread(values: list[float], digits: int) -> str:
    """The median, and between what the values lie."""
    low, middle, high = (
        f"{value:.{digits}f}" for value in (min(values), median(values), max(values))
    )
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def machine() -> str:
    import torch

    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    able = [name for name, has in torch.cpu.get_capabilities().items() if has is True]
    kinds = ", ".join(name for name in able if "bf16" in name) or "no bfloat16 in hardware"
    names = ("torch", "transformers", "trl", "peft")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores ({kinds}), "
        f"{torch.get_num_threads()} threads, {device}; {versions}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", type=Path, help="a finished run that gives the rows")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="the student")
    parser.add_argument("--rows", type=int, default=32, help="of each kind, drawn by seed")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2, help="turns of each side that count")
    parser.add_argument("--stages", nargs="+", choices=("sft", "dpo"), default=("sft", "dpo"))
    given = parser.parse_args()
    model = checkpoint_folder(given.model, NoProgress())
    same: Any = {"epochs": given.epochs, "batch_size": given.batch_size}
    settings = {"sft": SFTSettings(**same), "dpo": DPOSettings(method="dpo", **same)}
    records = {"sft": examples(given.run), "dpo": pairs(given.run)}
    print(f"{given.model}, rows of {given.run or EXAMPLE.name}, {time.strftime('%Y-%m-%d')}")
    print(machine(), end="\n\n")
    print("| | by | steps | tokens | tokens a second | whole call | final loss |")
    print("|---" * 7 + "|")
    own: dict[str, dict[str, Any]] = {}
    for stage in given.stages:
        contest = race(stage, model, records[stage], given.rows, settings[stage])
        turns = compare(contest, given.repeats)
        report(contest, turns)
        own[stage] = turns["TRL"][0].own
    print(f"\nMedians of {given.repeats} turns (lowest to highest).")
    for stage in given.stages:
        print(f"\nTRL's {stage}.py was told {listed(same_for_both(settings[stage]))}.")
        print(f"Its own defaults: {listed(own[stage])}.")


if __name__ == "__main__":
    main()
