"""Run the stages of a run folder in order, skip what is up to date, say where things stand."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from adhere.bench import STUDENT, Bench
from adhere.data_stages import Outcome
from adhere.engines.cached import CacheStats
from adhere.errors import EngineError, InputError, UnreachableError, in_words
from adhere.files import files_in
from adhere.ingest import require_documents
from adhere.ladder import check_systems
from adhere.models import weights_mark
from adhere.processes import from_first, is_first, process_count, unkept_folder
from adhere.progress import NoProgress, Progress
from adhere.review import decisions_key
from adhere.settings import RunSettings
from adhere.stages import (
    STAGES,
    files_of,
    is_on,
    needs_likelihoods,
    needs_models,
    parents,
    prompts_of,
    settings_of,
    switched_off,
)
from adhere.store import (
    Manifest,
    alone_in,
    content_key,
    file_sha256,
    folder_hashes,
    fresh_folder,
    has_outputs,
    read_manifest,
    require_current,
    write_manifest,
)

State = Literal["up to date", "out of date", "unfinished", "not yet", "off"]
MOST_FAILED = 0.05
"""Share of a stage's requests that may fail, and the stage be finished; each is said."""
_GOES_ON = "The same command then goes on; what was answered is kept."
_PACKAGES = (
    "adhere",
    "openvino-genai",
    "torch",
    "transformers",
    "trl",
    "peft",
    "sentence-transformers",
    "rouge-score",
    "bm25s",
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one stage of a run stands."""

    stage: str
    state: State
    manifest: Manifest | None


def run_stages(
    run: Path,
    settings: RunSettings,
    progress: Progress,
    wanted: Sequence[str] = tuple(STAGES),
    *,
    again: bool = False,
) -> None:
    """Bring the wanted stages of a run up to date, in the order of the table.

    A stage whose inputs, settings and prompts are unchanged, and whose files are all there,
    is skipped, unless `again`. Raises InputError when another adhere works in the folder,
    when a stage's input is not there yet, or was made from what has been replaced since, and
    whatever AdhereError a stage raises; finished stages and cached completions stay. Under
    `accelerate launch` only trainings can be wanted.
    """
    bench = Bench(run, settings, progress)
    from_first(partial(_require_one_process, run, wanted))
    if "ingest" in wanted:
        require_documents(run, [Path(name) for name in settings.documents])
    with alone_in(run):
        _bring_up_to_date(bench, wanted, again=again)


def _bring_up_to_date(bench: Bench, wanted: Sequence[str], *, again: bool) -> None:
    settings, progress, checked = bench.settings, bench.progress, False
    if "evaluate" in wanted:
        check_systems(settings.evaluate.systems)
    for name in [stage for stage in STAGES if stage in wanted]:
        if why := switched_off(name, settings):
            progress.stage(name, f"off ({why})")
            continue
        todo = from_first(partial(_todo, bench, name, again=again))
        if not todo:
            continue
        if not checked and needs_models(name):
            trains = [STAGES[stage].resumes for stage in wanted]
            asking, training = not all(trains), any(trains)
            from_first(
                partial(
                    bench.check,
                    asking=asking,
                    scoring=any(needs_likelihoods(stage, settings) for stage in wanted),
                    training=training,
                    evaluating="evaluate" in wanted,
                )
            )
            checked = True
        progress.stage(name, STAGES[name].does)
        try:
            manifest = _run_stage(bench, name, *todo)
        except OSError as error:
            raise InputError(f"{in_words(error)} Finished stages are kept.") from error
        progress.done(name, describe(manifest), manifest.seconds)


def _todo(bench: Bench, name: str, *, again: bool) -> tuple[str, dict[str, str]] | None:
    """The key and the inputs of a stage that there is to do; None where it is up to date."""
    _require(bench, name)
    key, inputs = _key(bench, name)
    done = read_manifest(bench.run / name)
    if again or not done or done.key != key or not has_outputs(bench.run / name, done):
        return key, inputs
    made = f"up to date ({describe(done)})" if done.counts else "up to date"
    bench.progress.stage(name, made)
    return None


def standings(run: Path, settings: RunSettings) -> list[Standing]:
    """Every stage's state, without running anything."""
    bench = Bench(run, settings, NoProgress())
    found: list[Standing] = []
    fresh: dict[str, bool] = {}
    for name in STAGES:
        manifest = read_manifest(run / name)
        before = all(fresh[other] for other in parents(name, settings))
        whole = manifest if manifest and has_outputs(run / name, manifest) else None
        fresh[name] = bool(whole and before and whole.key == _key(bench, name)[0])
        if not is_on(name, settings):
            state: State = "off"
        elif fresh[name]:
            state = "up to date"
        elif (run / f"{name}.partial").exists():
            state = "unfinished"
        else:
            state = "out of date" if manifest else "not yet"
        found.append(Standing(name, state, manifest))
    return found


def _run_stage(bench: Bench, name: str, key: str, inputs: dict[str, str]) -> Manifest:
    stage, started = STAGES[name], time.perf_counter()
    before = replace(bench.asked)
    kept = fresh_folder(bench.run / name, keep_partial=stage.resumes)
    with kept if is_first() else unkept_folder() as folder:
        outcome = _outcome(bench, name, folder, before)
        manifest = Manifest(
            stage=name,
            key=key,
            settings=settings_of(stage, bench.settings),
            inputs=inputs,
            outputs=folder_hashes(folder),
            counts=outcome.counts,
            dropped=outcome.dropped,
            versions=_versions(),
            seconds=round(time.perf_counter() - started, 1),
            facts={
                **outcome.facts,
                "prompts": prompts_of(stage, bench.prompts),
                "requests": _requests(bench, before),
            },
        )
        write_manifest(folder, manifest)
    return manifest


def _outcome(bench: Bench, name: str, folder: Path, before: CacheStats) -> Outcome:
    """What the stage has to say; where it finds nothing, requests that failed may be why."""
    try:
        outcome = STAGES[name].work(bench, folder)
    except UnreachableError as error:
        raise UnreachableError(f"{name}: {error} {_GOES_ON}") from error
    except InputError:
        _say_failures(bench, name, before)
        raise
    _say_failures(bench, name, before)
    return outcome


def _say_failures(bench: Bench, name: str, before: CacheStats) -> None:
    """Raises EngineError where so much failed since `before` that the stage is not finished.

    A refusal lies in the request and would come again, so it only counts where nothing was
    answered. Of the others MOST_FAILED may fail, unless a model is out of reach now. The share
    is that of all requests of the stage: those known by now were asked by the same command.
    """
    now = bench.asked
    failed, new = now.errors - before.errors, now.misses - before.misses
    if not failed:
        return
    said = f"{failed:,} of {new:,} requests failed (the last: {now.last_error})"
    asked = new + now.hits - before.hits
    passing = failed - (now.refused - before.refused)
    away = _out_of_reach(bench, name) if passing else ""
    if away or failed == asked or passing > MOST_FAILED * asked:
        remedy = away or "Mend that."
        raise EngineError(f"{name}: {said}. {remedy} {_GOES_ON}")
    bench.progress.note(f"{said}; `adhere {name} {bench.run} --again` asks them anew.")


def _out_of_reach(bench: Bench, stage: str) -> str:
    """What is wrong with a model of the stage's that cannot be asked now; empty where all can."""
    try:
        bench.check_engines(evaluating=stage == "evaluate")
    except EngineError as error:
        return str(error)
    return ""


def _requests(bench: Bench, before: CacheStats) -> dict[str, int]:
    """What was answered since `before`: from the cache, anew, and the tokens of all of it."""
    reused, new = bench.asked.hits - before.hits, bench.asked.misses - before.misses
    if reused + new:
        bench.progress.note(f"requests: {reused:,} reused, {new:,} new")
    return {
        "reused": reused,
        "new": new,
        "failed": bench.asked.errors - before.errors,
        "tokens": bench.asked.tokens - before.tokens,
    }


def _require_one_process(run: Path, wanted: Sequence[str]) -> None:
    alone = [name for name in wanted if not STAGES[name].resumes]
    if alone and process_count() > 1:
        raise InputError(
            f"'{alone[0]}' works in one process; of this run, start only the trainings by "
            f"`accelerate launch`, one at a time: `accelerate launch -m adhere sft {run}`."
        )


def _require(bench: Bench, name: str) -> None:
    run, needed = bench.run, parents(name, bench.settings)
    missing = [other for other in needed if not read_manifest(run / other)]
    if missing:
        raise InputError(
            f"{run}: '{name}' needs what '{missing[0]}' makes; run `adhere {missing[0]} {run}` "
            f"first, or `adhere run {run}` for everything."
        )
    behind = _behind(name, bench.settings)
    require_current(run, [other for other in STAGES if other in behind])


def _behind(name: str, settings: RunSettings) -> set[str]:
    """All stages that a stage rests on, at whatever distance."""
    found: set[str] = set()
    for other in reversed(list(STAGES)):
        if other == name or other in found:
            found.update(parents(other, settings))
    return found


def _key(bench: Bench, name: str) -> tuple[str, dict[str, str]]:
    """Hash of all that a stage depends on, and its inputs by name and hash."""
    stage = STAGES[name]
    given = files_of(stage, bench.settings)
    inputs = {str(path): file_sha256(path) for path in _files(given)}
    for other in parents(name, bench.settings):
        manifest = read_manifest(bench.run / other)
        inputs[other] = content_key(manifest.outputs) if manifest else ""
    if stage.reviewed and (decisions := decisions_key(bench.run, stage.reviewed)):
        inputs["review"] = decisions
    if {"models", STUDENT}.intersection(stage.settings):
        inputs |= _student_weights(bench.settings.models.student)
    prompts = prompts_of(stage, bench.prompts)
    parts: list[Any] = [name, settings_of(stage, bench.settings), inputs, prompts]
    return content_key(*parts, version("adhere")), inputs


def _student_weights(student: str) -> dict[str, str]:
    """Of a student in a local folder, whose weights can be others under the same name."""
    weights = weights_mark(student)
    return {STUDENT: weights} if weights else {}


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += files_in(path) if path.is_dir() else []
        found += [path] if path.is_file() else []
    return found


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe(manifest: Manifest) -> str:
    """What a stage made, in words: `812 clauses, 31 dropped`."""
    parts = [
        f"{count:,} {what.removesuffix('s') if count == 1 else what}"
        for what, count in manifest.counts.items()
    ]
    drops = sum(manifest.dropped.values())
    return ", ".join(parts + ([f"{drops:,} dropped"] if drops else []))
