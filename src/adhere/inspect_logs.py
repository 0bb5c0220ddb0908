"""A run's evaluation as logs that Inspect's viewer opens, one for each system.

Nothing is computed here: what `evaluate` wrote down is laid out in Inspect's records, which
inspect_ai itself writes (https://inspect.aisi.org.uk/eval-logs.html).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from adhere.errors import InputError, MissingExtraError
from adhere.evaluate.agreement import CREDIT
from adhere.evaluate.statistics import LEVEL
from adhere.evaluate.tables import Row
from adhere.evaluated import require_evaluated
from adhere.records import Probe, Verdict, record_id
from adhere.settings import RunSettings
from adhere.store import MANIFEST, Manifest, made_with, read_manifest, refuse_file
from adhere.trace import ClauseTrail, RowTrail, RunRecords, clause_trail, read_run

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalResults, EvalSample, EvalScore, EvalSpec
    from inspect_ai.scorer import Score

DEFAULT = "inspect"
"""In the run's folder."""
_ENDING = ".eval"
_BOUNDS = ("low", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluated:
    """A run whose evaluation is done."""

    name: str
    settings: RunSettings
    """As the run file has them now."""
    manifest: Manifest
    """Of `evaluate`."""
    generated: Manifest | None
    """Of `generate`, which wrote the probes."""
    finished: datetime
    """When the stage ended; it measures all systems together."""
    summary: Row
    probes: Mapping[str, tuple[ClauseTrail, RowTrail]]
    """Id of each held-out probe -> its clause, and all that was said of the probe."""


def export_logs(run: Path, settings: RunSettings, out: Path) -> list[Path]:
    """Write `SYSTEM.eval` for each system evaluated into `out`, each under its name when whole.

    A log of the same name is replaced; whatever else is in `out` stays. Raises InputError for
    a run that is not evaluated, or not as it is now, and where `out` is no folder;
    MissingExtraError where inspect_ai is not installed.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError as error:
        raise MissingExtraError(
            "Logs for Inspect need inspect_ai: pip install 'adhere[inspect]'."
        ) from error
    refuse_file(out)
    evaluated = _read(run, settings)
    out.mkdir(parents=True, exist_ok=True)
    logs: list[Path] = []
    for system in evaluated.summary["systems"]:
        log = out / (quote(system, safe="+ ") + _ENDING)
        partial = log.with_name(log.name + ".partial")
        write_eval_log(_log(evaluated, system), partial, format="eval")
        logs.append(partial.replace(log))
    return logs


def _read(run: Path, settings: RunSettings) -> _Evaluated:
    summary, manifest = require_evaluated(run), read_manifest(run / "evaluate")
    if manifest is None:
        raise InputError(f"{run}: not evaluated yet; `adhere run {run}` first.")
    records = read_run(run)
    probes = dict(_held_out(records))
    if not records.answers.keys() <= probes.keys():
        raise InputError(
            f"{run}: some answers are about probes that are no longer there; "
            f"`adhere run {run}` first."
        )
    return _Evaluated(
        name=run.resolve().name,
        settings=settings,
        manifest=manifest,
        generated=read_manifest(run / "generate"),
        finished=datetime.fromtimestamp((run / "evaluate" / MANIFEST).stat().st_mtime, UTC),
        summary=summary,
        probes=probes,
    )


def _held_out(records: RunRecords) -> Iterator[tuple[str, tuple[ClauseTrail, RowTrail]]]:
    for clause in records.clauses.values():
        trail = clause_trail(records, clause)
        yield from ((row.row.id, (trail, row)) for row in trail.probes if row.kept)


def _log(run: _Evaluated, system: str) -> "EvalLog":
    from inspect_ai.log import EvalLog, EvalStats

    started = run.finished - timedelta(seconds=run.manifest.seconds)
    samples = [_sample(clause, probe, system) for clause, probe in run.probes.values()]
    return EvalLog(
        status="success",
        eval=_spec(run, system),
        results=_results(run, system, sum(sample.error is None for sample in samples)),
        stats=EvalStats(started_at=_time(started), completed_at=_time(run.finished)),
        samples=samples,
    )


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _spec(run: _Evaluated, system: str) -> "EvalSpec":
    """Inspect's ids are made of the stage's key, so that the same evaluation keeps them."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec
    from inspect_ai.model import GenerateConfig

    own = record_id(run.manifest.key, system)
    models, chosen = run.settings.models, run.settings.evaluate
    limit = made_with(run.manifest, "evaluate.max_tokens", chosen.max_tokens)
    seed = made_with(run.manifest, "evaluate.seed", chosen.seed)
    return EvalSpec(
        eval_id=own,
        task_id=own,
        run_id=run.manifest.key,
        created=_time(run.finished),
        task=run.name,
        model=system,
        model_generate_config=GenerateConfig(max_tokens=limit, temperature=0.0, seed=seed),
        dataset=EvalDataset(
            name="held-out probes", samples=len(run.probes), sample_ids=list(run.probes)
        ),
        config=EvalConfig(epochs=1),
        packages=run.manifest.versions,
        metadata={
            "student": made_with(run.manifest, "models.student", models.student),
            "teacher": made_with(run.generated, "models.teacher", models.teacher),
            "note": run.summary["notes"].get(system, ""),
        },
    )


def _sample(clause: ClauseTrail, tested: RowTrail, system: str) -> "EvalSample":
    """A probe; one that the system did not answer has the reason as its error."""
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageUser, ModelOutput

    probe = tested.row
    assert isinstance(probe, Probe)
    answer = next((one for one in tested.answers if one.system == system), None)
    asked = ChatMessageUser(content=probe.question)
    sample = EvalSample(
        id=probe.id,
        epoch=1,
        input=probe.question,
        target=probe.reference,
        messages=[asked],
        scores=_scores(tested, system, answer and answer.text),
        metadata=_about(clause, probe) | {"read": list(answer.passages) if answer else []},
    )
    if answer is None:
        reasons = [drop.detail for drop in tested.dropped if drop.detail.startswith(f"{system}:")]
        message = "; ".join(reasons) or f"{system}: no answer"
        sample.error = EvalError(message=message, traceback="", traceback_ansi="")
        return sample
    stopped = "stop" if answer.finish == "stop" else "max_tokens"
    sample.output = ModelOutput.from_content(system, answer.text, stop_reason=stopped)
    sample.messages = [asked, sample.output.message]
    return sample


def _about(clause: ClauseTrail, probe: Probe) -> dict[str, Any]:
    """What the probe tests, and the sentence of the document that it leads back to."""
    place = clause.place
    return {
        "kind": probe.kind,
        "contrast": probe.contrast,
        "clause": clause.clause.id,
        "statement": clause.clause.statement,
        "polarity": clause.clause.polarity,
        "stance": clause.clause.stance,
        "result": clause.result.get("result"),
        "document": place.name,
        "headings": list(place.headings),
        "page": place.page,
        "passage": place.passage,
        "start": place.start,
        "end": place.end,
        "text": place.text,
    }


def _scores(tested: RowTrail, system: str, answer: str | None) -> "dict[str, Score]":
    """Metrics, each with the answer, which the viewer's table takes from there; and verdicts."""
    from inspect_ai.scorer import Score

    found = {
        metric: Score(value=value, answer=answer)
        for score in tested.scores
        if score.system == system
        for metric, value in score.values.items()
    }
    for verdict in tested.verdicts:
        if system in (verdict.a, verdict.b):
            found[_match(verdict.judge, verdict.a, verdict.b, system)] = _verdict(verdict, system)
    return found


def _match(judge: str, a: str, b: str, system: str) -> str:
    """`pairwise against base`: the name of a judge's verdicts, as they are seen by one system."""
    return f"{judge} against {b if system == a else a}"


def _verdict(verdict: Verdict, system: str) -> "Score":
    """1 for a win, 0.5 for a tie, 0 for a loss of `system`."""
    from inspect_ai.scorer import Score

    first = system == verdict.a
    credit = CREDIT[verdict.winner]
    winners = {"a": verdict.a, "b": verdict.b}
    said = [
        f"{winners[verdict.winner]} is better." if verdict.winner != "tie" else "A tie.",
        "The judge changed its mind when the order was swapped." if verdict.flipped else "",
        "The judge's reply could not be read." if verdict.unreadable else "",
    ]
    return Score(
        value=credit if first else 1 - credit,
        explanation=" ".join(filter(None, said)),
        metadata={
            "margin": verdict.margin if first else -verdict.margin,
            "flipped": verdict.flipped,
            "unreadable": verdict.unreadable,
        },
    )


def _results(run: _Evaluated, system: str, completed: int) -> "EvalResults":
    """The tables of `summary.json`, as far as they speak of `system`."""
    from inspect_ai.log import EvalResults

    summary = run.summary
    scores = [
        _score(run, metric, "mean", estimate, summary["metrics"].get(metric))
        for metric, estimate in summary["systems"][system].items()
    ]
    exams = {exam["name"]: exam for exam in summary["judges"]}
    for row in summary["win_rates"]:
        if system in (row["a"], row["b"]):
            name = _match(row["judge"], row["a"], row["b"], system)
            scores.append(
                _score(run, name, "win rate", _win_rate(row, system), exams[row["judge"]])
            )
    differences = [row for row in summary["differences"] if system in (row["a"], row["b"])]
    return EvalResults(
        total_samples=len(run.probes),
        completed_samples=completed,
        scores=scores,
        metadata={"differences": differences},
    )


def _score(
    run: _Evaluated, name: str, value: str, estimate: Mapping[str, Any], made_by: Row | None
) -> "EvalScore":
    """An estimate with its interval, where it has one; `value` is the name of its middle."""
    from inspect_ai.log import EvalMetric, EvalScore

    found = {value: estimate["value"]} | {bound: estimate[bound] for bound in _BOUNDS}
    return EvalScore(
        name=name,
        scorer=name,
        scored_samples=estimate["n"],
        unscored_samples=len(run.probes) - estimate["n"],
        metrics={
            metric: EvalMetric(
                name=metric, value=number, params={"level": LEVEL} if metric in _BOUNDS else {}
            )
            for metric, number in found.items()
            if number is not None
        },
        metadata=made_by,
    )


def _win_rate(row: Row, system: str) -> Row:
    if system == row["a"] or row["rate"] is None:
        return {"value": row["rate"], "low": row["low"], "high": row["high"], "n": row["n"]}
    low, high = (None if row[bound] is None else 1 - row[bound] for bound in ("high", "low"))
    return {"value": 1 - row["rate"], "low": low, "high": high, "n": row["n"]}
