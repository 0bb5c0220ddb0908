"""General ability by the tasks of lm-evaluation-harness, from a folder of the user's.

The harness asks and marks (no chat template, as is its default); each question's marks are
then compared like everything else here: paired, with intervals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from adhere.errors import InputError, MissingExtraError
from adhere.evaluate.tables import Row, Table
from adhere.progress import Progress

_BATCH = 8
"""Requests at a time."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of a folder: their names, and the harness's own manager of them."""

    names: tuple[str, ...]
    manager: Any


def read_tasks(folder: Path) -> Tasks:
    """Every task of a folder of YAML files, their data loaded once to see that they can be.

    Raises MissingExtraError where lm_eval is not installed, and InputError for a folder
    without tasks or a task that the harness cannot load.
    """
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise MissingExtraError(
            "Tasks of lm-evaluation-harness need lm_eval: pip install 'adhere[harness]'."
        ) from error
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of lm-evaluation-harness tasks.")
    try:
        manager = TaskManager(include_path=folder, include_defaults=False)
        names = tuple(manager.all_subtasks)
        manager.load(list(names))
    except Exception as error:  # a task may run any code, and fail in any way
        raise InputError(f"{folder}: lm-evaluation-harness cannot load it: {error}") from error
    if not names:
        raise InputError(f"{folder}: holds no task, which is a YAML file with `task: NAME`.")
    return Tasks(names, manager)


def harness(
    students: Mapping[str, tuple[Path, Path | None]], tasks: Tasks, progress: Progress
) -> Row:
    """`tasks`: name -> how each system did on its questions, and their paired differences.

    `students`: system -> a checkpoint, and the adapter to lay over it, if any. What a task
    measures only as a whole, and not for each question, is left out and named in `notes`.
    Raises InputError where the harness fails.
    """
    found = {system: _asked(system, *paths, tasks, progress) for system, paths in students.items()}
    parts = {task: _compared(task, found) for task in tasks.names}
    notes = {task: "It gives no numbers for each question." for task in parts if not parts[task]}
    return {"tasks": {task: part for task, part in parts.items() if part}, "notes": notes}


def _asked(system: str, model: Path, adapter: Path | None, tasks: Tasks, progress: Progress) -> Row:
    """What the harness returns for one system."""
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    load: Any = HFLM  # both are decorated, and their parameters not to be seen
    ask: Any = simple_evaluate
    progress.note(f"{system}: tasks of lm-evaluation-harness: {', '.join(tasks.names)}")
    try:
        student = load(
            pretrained=str(model),
            peft=str(adapter) if adapter else None,
            device="cuda" if torch.cuda.is_available() else "cpu",
            batch_size=_BATCH,
        )
        found = ask(student, tasks=list(tasks.names), task_manager=tasks.manager, bootstrap_iters=0)
    except Exception as error:  # whatever the task's own code raises
        raise InputError(f"{system}: lm-evaluation-harness failed: {error}") from error
    return dict(found or {})


def _compared(task: str, found: Mapping[str, Row]) -> Row:
    """One task's table; empty where no question has a number."""
    values = [
        (system, str(sample["doc_id"]), _marks(sample))
        for system, results in found.items()
        for sample in results["samples"][task]
    ]
    metrics = sorted({metric for _, _, marks in values for metric in marks})
    if not metrics:
        return {}
    counted = {
        metric
        for metric in metrics
        if {marks.get(metric, 0.0) for _, _, marks in values} <= {0.0, 1.0}
    }
    table = Table.of(
        values,
        systems=list(found),
        metrics=metrics,
        rates=frozenset(counted),
        cluster_of={question: question for _, question, _ in values},
    )
    better = next(iter(found.values()))["higher_is_better"][task]
    return {
        "systems": table.estimates(),
        "differences": table.differences(),
        "higher_is_better": {metric: better.get(metric.split(",")[0]) for metric in metrics},
    }


def _marks(sample: Row) -> dict[str, float]:
    """Metric -> mark of one question; a filter of the task's is named after a comma."""
    end = "" if sample["filter"] == "none" else f",{sample['filter']}"
    return {
        f"{metric}{end}": float(sample[metric])
        for metric in sample["metrics"]
        if isinstance(sample[metric], Real)
    }
