"""Several processes train together, and one of them decides, writes and speaks."""

import atexit
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import SCRIPT, Said, adhere
from test_train import EXAMPLES, PAIRS, PROBES

from adhere import processes
from adhere.bench import Bench
from adhere.errors import AdhereError, EngineError, InputError
from adhere.processes import (
    count_here,
    from_first,
    in_all,
    is_first,
    is_sharded,
    place,
    process_count,
    unkept_folder,
    wait_for_all,
)
from adhere.progress import NoProgress
from adhere.settings import DPOSettings, RunSettings, SFTSettings
from adhere.store import Manifest, read_manifest, write_manifest, write_records
from adhere.train import Task, loading, preferences, session, train_dpo, train_sft
from adhere.train.memory import Needed, of_each

ROOT = Path(__file__).parent.parent
CONFIGURATIONS = sorted((ROOT / "examples" / "accelerate").glob("*.yaml"))


class Group:
    """`torch.distributed` as it is to one of two processes; the other has done its part."""

    def __init__(self, first_said: Any, failures: list[Any]) -> None:
        self.first_said, self.failures, self.waits = first_said, failures, 0

    def broadcast_object_list(self, said: list[Any], src: int) -> None:
        if not is_first():
            said[0] = self.first_said

    def all_gather_object(self, found: list[Any], own: Any) -> None:
        found[:] = self.failures
        found[int(os.environ["RANK"])] = own

    def barrier(self) -> None:
        self.waits += 1


Placed = Callable[..., Group]


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> Placed:
    """Make this process one of two: its rank, what the first said, what has failed."""

    def place(rank: int, first_said: Any = None, failures: tuple[Any, ...] = (None, None)) -> Group:
        for name, value in {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "LOCAL_RANK": rank}.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("RANK", str(rank))
        group = Group(first_said, list(failures))
        monkeypatch.setattr(processes, "_group", lambda: group)
        monkeypatch.setattr(atexit, "register", lambda call: group.__dict__.update(last=call))
        return group

    return place


def fail() -> str:
    raise EngineError("Too small.")


def test_a_process_that_no_launcher_started_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")  # as a cluster may set it for every job
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert (process_count(), count_here(), is_first(), is_sharded()) == (1, 1, True, False)
    assert (from_first(lambda: "a"), in_all(lambda: "b"), place()) == ("a", "b", "")
    wait_for_all()
    for agreed in (from_first, in_all):
        with pytest.raises(EngineError, match=r"^Too small\.$"):
            agreed(fail)


def test_a_launched_process_knows_its_place(
    placed: Placed, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed(1)
    assert (process_count(), count_here(), is_first(), is_sharded()) == (2, 2, False, False)
    assert place() == "process 2 of 2: "
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert is_sharded()
    placed(0)
    assert (is_first(), place()) == (True, "")


def test_what_the_first_makes_the_others_take(placed: Placed) -> None:
    placed(1, first_said="made")
    assert from_first(fail) == "made"  # which is not called here
    placed(0)
    assert from_first(lambda: "made") == "made"
    assert in_all(lambda: "own") == "own"


def test_the_first_says_what_stops_it_and_the_others_leave_after_it(placed: Placed) -> None:
    group = placed(0)
    with pytest.raises(EngineError, match=r"^Too small\.$"):
        from_first(fail)
    assert (group.waits, group.last) == (0, wait_for_all)  # it is waited for when it has spoken
    group = placed(1, first_said=EngineError("Too small."))
    with pytest.raises(SystemExit, match="2"):
        from_first(fail)
    assert group.waits == 1


def test_what_stops_another_process_is_said_by_the_first(placed: Placed) -> None:
    placed(0, failures=(None, InputError("No such file.")))
    with pytest.raises(InputError, match=r"^process 2 of 2: No such file\.$"):
        in_all(lambda: "own")
    placed(0, failures=(None, EngineError("Too small.")))
    with pytest.raises(EngineError, match=r"^Too small\.$"):
        in_all(fail)  # all of them say the same
    placed(1)
    with pytest.raises(SystemExit, match="2"):
        in_all(fail)


def test_what_nobody_keeps_is_gone() -> None:
    with unkept_folder() as folder:
        (folder / "file").touch()
    assert not folder.exists()


@pytest.mark.parametrize("command", ["run", "curate", "evaluate"])
def test_only_trainings_are_shared(
    begun: Path, placed: Placed, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    placed(0)
    before = contents(begun)
    said = adhere(command, str(begun))
    assert (said.code, said.out) == (2, "")
    assert "works in one process" in said.err
    assert f"`accelerate launch -m adhere sft {begun}`" in said.err
    assert contents(begun) == before


def test_a_process_that_fails_alone_says_which_it_is(
    begun: Path, placed: Placed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adhere import pipeline

    def out_of_memory(*_: Any, **__: Any) -> None:
        raise EngineError("The training ran out of memory.")

    placed(1, first_said=RunSettings.read(begun / "run.toml"))
    monkeypatch.setattr(pipeline, "run_stages", out_of_memory)
    before = contents(begun)
    said = adhere("sft", str(begun))
    assert (said.code, said.err) == (2, "adhere: process 2 of 2: The training ran out of memory.\n")
    assert contents(begun) == before


def test_the_rows_of_a_step_are_shared_evenly(placed: Placed) -> None:
    def each(batch: int, micro: int | None = None) -> int:
        return session.rows_each(SFTSettings(batch_size=batch, micro_batch_size=micro))

    assert (each(5), each(8, 2)) == (5, 8)
    placed(1)
    assert (each(8), each(8, 2)) == (4, 4)
    with pytest.raises(InputError, match="batch_size = 5 cannot be shared by 2 processes; make it"):
        each(5)
    with pytest.raises(InputError, match="micro_batch_size = 8 does not divide the 4 rows that"):
        each(8, 8)


def test_memory_is_that_of_one_process() -> None:
    need = Needed(weights=8.0, training=4.0, activations=2.0)
    assert of_each(need, 1) == need
    assert of_each(need, 2) == Needed(weights=4.0, training=2.0, activations=2.0)


def test_processes_of_one_machine_share_its_memory(
    placed: Placed, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil
    import torch

    from adhere.train.memory import free_bytes

    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    alone = free_bytes(torch)
    placed(0)
    assert free_bytes(torch) == alone // 2


def test_full_tuning_under_fsdp_cannot_go_on_from_an_adapter(
    placed: Placed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """TRL would take the model without the adapter as the reference, without a word."""

    def check(adapter: Path | None, tuning: str) -> None:
        settings = DPOSettings.model_validate({"tuning": tuning})
        preferences.check_reference(
            Task(
                stage="dpo",
                model=tmp_path,
                adapter=adapter,
                settings=settings,
                folder=tmp_path,
                progress=NoProgress(),
            )
        )

    placed(0)
    check(tmp_path, "full")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    check(None, "full")
    check(tmp_path, "lora")
    with pytest.raises(InputError, match="dpo: under FSDP, full tuning cannot go on from an"):
        check(tmp_path, "full")


def test_four_bits_are_stored_as_what_fsdp_can_spread(
    placed: Placed, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    placed(0)
    assert loading._four_bits().bnb_4bit_quant_storage == torch.uint8
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert loading._four_bits().bnb_4bit_quant_storage == torch.bfloat16


def test_one_process_takes_one_gpu_of_several() -> None:
    class Seen(NoProgress):
        said = ""

        def note(self, message: str) -> None:
            self.said += message

    from transformers import TrainingArguments

    seen = Seen()
    arguments = TrainingArguments(use_cpu=True)
    assert session.one_gpu(arguments, seen).n_gpu == arguments.n_gpu
    assert seen.said == ""
    arguments._n_gpu = 4  # as the trainer counts them, and what TRL asks for
    assert session.one_gpu(arguments, seen).n_gpu == 1
    assert "4 GPUs are visible, and this training takes the first" in seen.said
    assert "`accelerate launch`" in seen.said


@pytest.mark.parametrize("stage", ["sft", "dpo", "kto"])
def test_trl_takes_the_one_gpu(
    stage: str, tiny_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its trainers refuses several, so that each has to be told."""
    from transformers import TrainingArguments

    seen: list[int] = []
    counted = TrainingArguments.__post_init__

    def four_gpus(self: TrainingArguments) -> None:
        counted(self)
        self._n_gpu = 4

    def look(trainer: Any, work: Any) -> None:
        seen.append(trainer.args.n_gpu)
        raise EngineError("seen")

    monkeypatch.setattr(TrainingArguments, "__post_init__", four_gpus)
    monkeypatch.setattr("adhere.train.run", look)
    given: dict[str, Any] = {
        "stage": stage,
        "model": tiny_student,
        "folder": tmp_path,
        "progress": NoProgress(),
    }
    if stage == "sft":
        train = partial(train_sft, EXAMPLES, [], Task(settings=SFTSettings(lora_rank=4), **given))
    else:
        settings = DPOSettings.model_validate({"method": stage, "lora_rank": 4})
        train = partial(train_dpo, PAIRS, [], Task(settings=settings, **given))
    with pytest.raises(EngineError, match="seen"):
        train()
    assert seen == [1]


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.stem)
def test_the_shipped_configurations_are_read_by_accelerate(file: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    machines = {"one-gpu": 1, "several-gpus": 1, "several-machines": 2}[file.stem]
    read = load_config_from_file(str(file))
    assert read.num_machines == machines
    assert read.num_processes == (1 if file.stem == "one-gpu" else 8 * machines)
    told = launch_command_parser().parse_args([f"--config_file={file}", "-m", "adhere"])
    checked, _, _ = _validate_launch_command(told)
    assert bool(checked.use_fsdp) is (file.stem != "one-gpu")
    assert checked.mixed_precision == "bf16"
    if checked.use_fsdp:
        assert str(checked.fsdp_version) == "2"


def test_what_training_needs_does_not_include_the_teacher(begun: Path) -> None:
    """Its server may have made room on the GPU."""
    silent = {"models": {"teacher": "http://127.0.0.1:9/v1#m"}}
    settings = RunSettings.read(begun / "run.toml").merge(silent, "test")
    bench = Bench(begun, settings, NoProgress())
    bench.check(asking=False)
    with pytest.raises(EngineError):
        bench.check()


def test_what_generation_needs_does_not_include_what_an_evaluation_asks(begun: Path) -> None:
    away = {"evaluate": {"systems": {"gpt": "http://127.0.0.1:9/v1#m"}, "pairs": "none.jsonl"}}
    settings = RunSettings.read(begun / "run.toml").merge(away, "test")
    bench = Bench(begun, settings, NoProgress())
    bench.check(training=False, evaluating=False)
    with pytest.raises(AdhereError):
        bench.check(training=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


ROWS = 12
STEPS = 9  # three epochs in steps of four rows


@pytest.fixture
def begun(tiny_student: Path, tmp_path: Path) -> Path:
    """A run that has its data, and nothing trained."""
    folder = tmp_path / "run"
    training = {"epochs": 3, "batch_size": 4, "lora_rank": 4, "learning_rate": 1e-2}
    RunSettings.parse(
        {
            "models": {
                "teacher": f"scripted:{SCRIPT}",
                "student": str(tiny_student),
                "embedder": str(tiny_student),
            },
            "midtrain": {"enabled": False},
            "sft": {**training, "micro_batch_size": 1},  # of two rows in each of two processes
            "dpo": training,
        },
        "test",
    ).write(folder / "run.toml")
    (folder / "curate").mkdir()
    rows = {"examples": EXAMPLES[:ROWS], "pairs": PAIRS[:ROWS], "probes": PROBES}
    for name, some in rows.items():
        write_records(folder / "curate" / f"{name}.jsonl", some)
    empty = ("settings", "inputs", "outputs", "counts", "dropped", "versions")
    made: dict[str, Any] = {name: {} for name in empty}
    write_manifest(folder / "curate", Manifest(stage="curate", key="curate", seconds=0, **made))
    return folder


COMMANDS = """
import sys
from adhere.cli import main
from adhere.train import loading

loading.has_bfloat16 = lambda: False  # float32 can be compared
{first}
for command in {commands!r}:
    sys.argv = ["adhere", *command]
    main()
"""
FAILING = """
import torch
from adhere.progress import NoProgress

def track(self, items, what, total):
    for item in items:
        if item == 6:
            raise torch.OutOfMemoryError("here")
        yield item

NoProgress.track = track  # what all processes but the first report to
"""


def launch(script: Path, *commands: list[str], first: str = "") -> Said:
    """Two processes on the CPU; `--multi_gpu` is accelerate's word for its own launcher."""
    script.write_text(COMMANDS.format(commands=commands, first=first), encoding="utf-8")
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    told = ["--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    done = subprocess.run(
        [*launcher, *told, "--main_process_port=0", str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
            "HF_HOME": str(script.parent),  # accelerate's own configuration of this machine
        },
    )
    return Said(done.returncode, done.stdout, done.stderr)


def sentences(said: Said) -> list[str]:
    return [line for line in said.err.splitlines() if line.startswith("adhere: ")]


def curve(stage: Path, name: str) -> list[float]:
    points = [json.loads(line) for line in (stage / "curve.jsonl").read_text().splitlines()]
    return [point[name] for point in points if name in point]


def moved(adapter: Path) -> list[bool]:
    from safetensors.torch import load_file

    tensors: dict[str, Any] = load_file(adapter / "adapter_model.safetensors")
    return [bool(tensor.any()) for tensor in tensors.values()]


def test_a_short_last_step_is_filled_up_from_the_start_of_the_epoch() -> None:
    """As docs/training.md says it of 13 rows in steps of 4."""
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler

    batches = BatchSampler(range(13), batch_size=2, drop_last=False)
    shares = [list(BatchSamplerShard(batches, 2, index)) for index in range(2)]
    assert [share[-1] for share in shares] == [[12, 0], [1, 2]]


@pytest.mark.model
def test_two_processes_train_what_one_process_trains(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SFT fails in one of two processes, is taken up, and goes on to DPO; each step's loss and
    tokens are those of one process that takes all of the step's rows.

    In `dpo+nll` TRL takes the likelihood as a mean over each process's tokens, and then the mean
    of these: the same only where the chosen answers are equally long, as those of `level`."""
    level = shutil.copytree(begun, tmp_path / "level")
    pairs = [replace(pair, chosen=PAIRS[0].chosen) for pair in PAIRS[:ROWS]]
    write_records(level / "curate" / "pairs.jsonl", pairs)
    trainings = [
        ("sft", begun, []),
        ("dpo", begun, ["--dpo.method=dpo"]),
        ("dpo-alone", level, ["--dpo.method=dpo+nll"]),
    ]
    alone = {run: shutil.copytree(run, tmp_path / f"{run.name}-alone") for run in (begun, level)}
    script = tmp_path / "script.py"

    failed = launch(script, ["sft", str(begun)], first=FAILING)
    assert failed.code != 0
    [sentence] = sentences(failed)
    assert sentence.startswith("adhere: process 2 of 2: The training ran out of memory;")
    assert not (begun / "sft").exists()
    assert (begun / "sft.partial" / "checkpoints").exists()

    elsewhere = shutil.copytree(begun, tmp_path / "elsewhere")
    refused = ["sft", str(begun), "--sft.batch-size=5"]
    said = launch(script, *([stage, str(run), *flags] for stage, run, flags in trainings), refused)
    assert sentences(said) == [
        "adhere: batch_size = 5 cannot be shared by 2 processes; make it a multiple."
    ], said.err
    assert said.err.count(f"{ROWS} of {ROWS} rows to train on") == 4  # not eight: one speaks
    assert "Warning" not in said.err
    assert said.err.count("sft: resumed from step ") == 1

    monkeypatch.setattr(loading, "has_bfloat16", lambda: False)
    assert "sft: resumed from step " in adhere("sft", str(elsewhere)).err  # by one process
    assert curve(elsewhere / "sft", "loss") == pytest.approx(curve(begun / "sft", "loss"), rel=1e-4)
    for stage, run, flags in trainings:
        assert adhere(stage, str(alone[run]), *flags).code == 0
        together, single = read_manifest(run / stage), read_manifest(alone[run] / stage)
        assert together
        assert single
        assert together.counts == single.counts
        assert together.counts["steps"] == STEPS
        assert together.facts["tokens"] == single.facts["tokens"]
        assert set(together.outputs) == set(single.outputs)
        for name in ("loss", "eval_loss", *(["rewards/margins"] if stage != "sft" else [])):
            both = curve(run / stage, name)
            assert len(both) == STEPS or name == "eval_loss"
            assert both == pytest.approx(curve(alone[run] / stage, name), rel=1e-4, abs=1e-5)
        assert all(moved(run / stage / "adapter"))
    for run, other in alone.items():
        assert {path.name for path in run.iterdir()} >= {path.name for path in other.iterdir()}
