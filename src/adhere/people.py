"""People as judges: from a run to a sheet, and from filled sheets back into its summary."""

import json
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from adhere.errors import InputError
from adhere.evaluate.agreement import agreement
from adhere.evaluate.exam import exam_pairs
from adhere.evaluate.judges import comparisons
from adhere.evaluate.matches import aligned
from adhere.evaluate.sheet import (
    CHOICES,
    KEY,
    PEOPLE,
    VOTED,
    BlindPair,
    Votes,
    blind_pairs,
    people_alpha,
    people_exam,
    people_verdicts,
)
from adhere.evaluate.summary import judge_row
from adhere.evaluate.wins import win_rates
from adhere.evaluated import require_evaluated
from adhere.progress import Progress
from adhere.prompts import Prompts
from adhere.records import Answer, Verdict
from adhere.review import decided
from adhere.run_files import ANSWERS, CLAUSES, GENERATED_PROBES, PASSAGES, PROBES, VERDICTS
from adhere.settings import RunSettings
from adhere.sheets import Column, Sheet, read_sheets, write_sheets
from adhere.store import (
    folder_hashes,
    fresh_folder,
    read_manifest,
    write_json,
    write_manifest,
)

_VOTES = "people/votes.json"
"""Who chose what."""
_COLUMNS = (
    *map(Column, ("id", "text", "rule", "question", "answer 1", "answer 2")),
    Column("better", editable=True, choices=tuple(CHOICES)),
)


def export_sheet(
    run: Path, settings: RunSettings, out: Path, *, against: Sequence[str], pairs: int, exam: int
) -> int:
    """Write a sheet of anonymous pairs, and its key into the run's folder; returns how many.

    At most `pairs` of the aligned system's answers beside those of the systems
    `against`, each once, and `exam` pairs with a known winner. Raises InputError where the run is
    not evaluated as it is now, a system is not among those evaluated, or `out` is there already.
    """
    summary = require_evaluated(run)
    names = list(summary["systems"])
    ours = aligned(names)
    others = [name for name in names if name != ours]
    unknown = [name for name in against if name not in others]
    if unknown:
        raise InputError(
            f"no system '{unknown[0]}' to set against {ours}; evaluated are: {', '.join(others)}."
        )
    probes = PROBES.read(run)
    clauses = CLAUSES.read(run)
    text = {one.id: one.text for one in PASSAGES.read(run)}
    passages = {clause.id: text[clause.passage] for clause in clauses}
    statements = {clause.id: clause.statement for clause in clauses}
    answers = ANSWERS.read(run)
    matches = [(ours, other) for other in dict.fromkeys(against)]
    found = comparisons(matches, answers, probes, passages, statements)
    seed = settings.evaluate.seed
    found.sort(key=lambda pair: Random(f"{seed}:{pair[0]}:{pair[1].probe}").random())
    generic = Prompts(run / "prompts").render("judge_generic").splitlines()
    written = GENERATED_PROBES.read(run)
    held_out = decided(run, "probes", written)
    known = exam_pairs(held_out, passages, statements, generic, count=exam, seed=seed)
    blind = blind_pairs(found[:pairs], known, seed)
    write_sheets(out, [Sheet("pairs", _COLUMNS, [pair.cells() for pair in blind])])
    with _renewed(run / "people") as folder:
        KEY.write(folder, blind)
    return len(blind)


def import_sheets(run: Path, settings: RunSettings, files: Sequence[Path]) -> dict[str, Any]:
    """Read filled sheets, one a person, into the run's verdicts and summary.

    Returns the judge's row of the summary. Raises InputError naming the file and its
    row for a sheet that is not the one exported last, or not filled in, for one that is given
    twice, and where the run is not evaluated as it is now.
    """
    for place, path in enumerate(files):
        if path.resolve() in {other.resolve() for other in files[:place]}:
            raise InputError(f"{path}: is given twice; give each person's sheet once.")
    measured = require_evaluated(run)
    if not (run / KEY.name).exists():
        raise InputError(f"{run}: no sheet was exported; `adhere judge-export {run} --out FILE`.")
    pairs = KEY.read(run)
    answers = ANSWERS.read(run)
    if _changed(pairs, answers):
        raise InputError(
            f"{run}: evaluated again since the sheet was exported, with other answers; "
            "export a new sheet."
        )
    votes = [_votes(path, pairs) for path in files]
    summary, verdicts = _heard(run, run / "evaluate", measured, settings, pairs, votes)
    with _renewed(run / "people") as folder:
        VOTED.write(folder, pairs)
        write_json(folder / Path(_VOTES).name, votes)
    _write_back(run, summary, verdicts)
    return summary["judges"][-1]


def judged_before(
    run: Path, folder: Path, summary: dict[str, Any], settings: RunSettings, progress: Progress
) -> tuple[dict[str, Any], dict[str, int]]:
    """The summary of a new evaluation in `folder`, with what people said of the last one.

    Their verdicts are added to those in `folder`, and the counts that changed come with
    the summary. Where the answers that they judged are others now, a note says so.
    """
    if not (run / _VOTES).exists():
        return summary, {}
    pairs = VOTED.read(run)
    if _changed(pairs, ANSWERS.read_from(folder)):
        progress.note(
            "People's verdicts are left out, since the answers that they judged changed; "
            f"`adhere judge-export {run}` writes a new sheet."
        )
        return summary, {}
    votes: list[Votes] = json.loads((run / _VOTES).read_text(encoding="utf-8"))
    summary, verdicts = _heard(run, folder, summary, settings, pairs, votes)
    VERDICTS.write(folder, verdicts)
    return summary, {"verdicts": len(verdicts)}


def _heard(
    run: Path,
    evaluated: Path,
    summary: dict[str, Any],
    settings: RunSettings,
    pairs: Sequence[BlindPair],
    votes: Sequence[Votes],
) -> tuple[dict[str, Any], list[Verdict]]:
    """The summary and all verdicts of an evaluation, with people as its last judge."""
    result = people_exam(pairs, votes, settings.evaluate.exam_floor)
    row = judge_row(result) | {"persons": len(votes), "alpha": people_alpha(pairs, votes)}
    said = people_verdicts(pairs, votes) if result.admitted else []
    before = VERDICTS.read_from(evaluated)
    verdicts = [one for one in before if one.judge != PEOPLE] + said
    answers = ANSWERS.read_from(evaluated)
    clause_of = {probe.id: probe.clause for probe in PROBES.read(run)}
    rates = win_rates(said, [result], clause_of, answers, settings.evaluate)
    judges = [one for one in summary["judges"] if one["name"] != PEOPLE]
    others = [one for one in summary["win_rates"] if one["judge"] != PEOPLE]
    return summary | {
        "judges": [*judges, row],
        "win_rates": [*others, *rates],
        "agreement": agreement(verdicts),
    }, verdicts


def _changed(pairs: Sequence[BlindPair], answers: Sequence[Answer]) -> bool:
    """Whether the answers that the pairs show are not those that the systems give now."""
    said = {(answer.system, answer.probe): answer.text for answer in answers}
    return any(
        (pair.comparison.a, pair.comparison.b)
        != tuple(said.get((name, pair.comparison.probe)) for name in pair.match)
        for pair in pairs
        if pair.match
    )


def _votes(path: Path, pairs: Sequence[BlindPair]) -> Votes:
    """Id of the pair -> the choice of the person who filled in this sheet."""
    known = {pair.id for pair in pairs}
    votes: dict[str, str] = {}
    for line in read_sheets(path):
        for column in ("id", "better"):
            if column not in line.cells:
                names = ", ".join(column.name for column in _COLUMNS)
                raise InputError(
                    f"{path}: there is no column '{column}'; the first row must hold {names}."
                )
        place, pair = f"{path}: row {line.number}", line.cells["id"].strip()
        if pair not in known:
            raise InputError(
                f"{place}: '{pair}' is no id of the sheet that was exported last; import that "
                "one, or export a new one (`adhere judge-export`)."
            )
        if pair in votes:
            raise InputError(f"{place}: the id '{pair}' stands in the sheet twice.")
        votes[pair] = line.cells["better"].strip().lower()
        if votes[pair] not in CHOICES:
            raise InputError(f"{place}: under 'better' stands '{votes[pair]}'; write 1, 2 or tie.")
    if lost := known - set(votes):
        raise InputError(
            f"{path}: {len(lost)} of {len(known)} rows are missing, {min(lost)} among them; "
            "every row of the exported sheet must be there."
        )
    return votes


@contextmanager
def _renewed(target: Path) -> Generator[Path]:
    """A copy of a folder, to write into, that takes its place when the block succeeds."""
    with fresh_folder(target) as folder:
        if target.exists():
            shutil.copytree(target, folder, dirs_exist_ok=True)
        yield folder


def _write_back(run: Path, summary: dict[str, Any], verdicts: Sequence[Verdict]) -> None:
    """Into a copy of the stage's folder that then takes its place, manifest included."""
    target = run / "evaluate"
    manifest = read_manifest(target)
    with _renewed(target) as folder:
        VERDICTS.write(folder, verdicts)
        write_json(folder / "summary.json", summary)
        if manifest:
            counts = manifest.counts | {"verdicts": len(verdicts)}
            write_manifest(folder, replace(manifest, counts=counts, outputs=folder_hashes(folder)))
