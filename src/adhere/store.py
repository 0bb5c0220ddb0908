"""A run on disk: records over JSONL, folders that appear only when they are whole, manifests."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from adhere.errors import InputError
from adhere.files import LOCK, RUN_FILE
from adhere.processes import from_first
from adhere.records import Dropped

MANIFEST = "manifest.json"
_BY_PEOPLE = ("review", "people")
"""The folders of a run that no stage writes."""

T = TypeVar("T")


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read_records(path: Path, kind: type[T]) -> list[T]:
    """Read one record a line.

    Raises InputError naming the file where it is missing or not UTF-8, and the line when a
    line is not such a record.
    """
    adapter = _adapter(kind)
    records: list[T] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = list(file)  # splitlines would cut at U+2028, which may stand in a record
    except FileNotFoundError as error:
        raise InputError(f"{path}: not there; run the stage that writes it.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text. {_remedy(path, 'Save it as UTF-8')}") from error
    for number, line in enumerate(lines, 1):
        try:
            records.append(adapter.validate_json(line, extra="forbid"))
        except ValidationError as error:
            problem = error.errors()[0]
            raise InputError(
                f"{path}: line {number} is not a {kind.__name__}: {problem['msg']}. "
                f"{_remedy(path, 'Mend the line')}"
            ) from error
    return records


def _remedy(path: Path, mend: str) -> str:
    """`mend`, or to have the file written again, where a stage would write it."""
    if path.parent.name in _BY_PEOPLE:
        return f"{mend}, and keep the file: no stage writes it, and what people decided is in it."
    return f"{mend}, or delete the folder and run the stage again."


def write_records(path: Path, records: Iterable[Any]) -> int:
    """Write one record a line (UTF-8, keys in the order of the fields); returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
            count += 1
    return count


def write_json(path: Path, value: Any) -> None:
    """Write one JSON document for people and programs; ValueError for NaN and infinity."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a finished stage was made from, and what it made."""

    stage: str
    key: str
    """Hash of everything that the stage depends on; equal keys mean "up to date"."""
    settings: dict[str, Any]
    inputs: dict[str, str]
    """Name -> SHA-256 of each input."""
    outputs: dict[str, str]
    counts: dict[str, int]
    dropped: dict[str, int]
    """Reason -> how many records."""
    versions: dict[str, str]
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    """What else the stage wants remembered (tokens, model, losses)."""


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a finished stage folder, or None where there is none."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        return _adapter(Manifest).validate_json(path.read_bytes(), extra="forbid")
    except ValidationError:
        return None


def is_begun(run: Path) -> bool:
    """Whether a run was started here, so that its run.toml is more than a file of settings."""
    return (run / RUN_FILE).exists() and read_manifest(run / "ingest") is not None


def made_with(manifest: Manifest | None, name: str, otherwise: Any) -> Any:
    """A setting (`sft.seed`) as a finished stage had it; the run file may be another since.

    A stage depends on all of a section or on some of its settings. `otherwise`: where the
    manifest has none of that name.
    """
    settings = manifest.settings if manifest else {}
    section, _, part = name.partition(".")
    return settings.get(name, settings.get(section, {}).get(part, otherwise))


def has_outputs(folder: Path, manifest: Manifest) -> bool:
    """Whether every file that the stage wrote is still there, whatever is in it by now."""
    return all((folder / name).exists() for name in manifest.outputs)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    write_json(folder / MANIFEST, asdict(manifest))


def made_since(run: Path, stage: str) -> str | None:
    """The first stage that `stage` was made from and that is no longer what it was then.

    By the manifests alone: what has none, as in a folder that is no whole run, counts as
    unchanged, and so do settings and the user's files.
    """
    manifest = read_manifest(run / stage)
    for name, read in (manifest.inputs if manifest else {}).items():
        made = read_manifest(run / name)
        if made and content_key(made.outputs) != read:
            return name
    return None


def require_current(run: Path, stages: Iterable[str]) -> None:
    """Raise InputError where one of the stages was made from what has been replaced since."""
    for stage in stages:
        if other := made_since(run, stage):
            raise InputError(
                f"{run}: '{stage}' is out of date, since '{other}' is another now; run "
                f"`adhere {stage} {run}` first, or `adhere run {run}` for everything."
            )


def read_object(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object; empty where there is none.

    Raises InputError naming a file that holds something else.
    """
    if not path.exists():
        return {}
    try:
        return _adapter(dict[str, Any]).validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise InputError(
            f"{path}: not a JSON object: {problem}. {_remedy(path, 'Mend it')}"
        ) from error


def read_summary(run: Path) -> dict[str, Any]:
    """`evaluate/summary.json` (see `adhere.evaluate.Evaluation`); empty where there is none.

    Raises InputError where it is not what the stage wrote.
    """
    return read_object(run / "evaluate" / "summary.json")


def refuse_file(folder: Path) -> None:
    """Raise InputError where a folder is wanted and there is a file."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give --out a folder.")


def refuse_strangers(out: Path, is_ours: Callable[[Path], bool]) -> None:
    """Raise InputError where `out` is no free name, no empty folder and no older export of ours.

    So it does where the user stands in it: the folder would be replaced under the shell's feet.
    """
    refuse_file(out)
    if Path.cwd().is_relative_to(out.resolve()):
        raise InputError(
            f"{out}: you are in this folder, and it would be replaced; give --out a folder of its "
            "own, or go to another place first."
        )
    if not out.exists() or not any(out.iterdir()) or is_ours(out):
        return
    raise InputError(f"{out}: holds something else; give --out a folder of its own.")


@contextmanager
def fresh_folder(target: Path, *, keep_partial: bool = False) -> Generator[Path]:
    """A folder to write into that takes the name `target` only when the block succeeds.

    Work happens in `NAME.partial`. An older `target` stays until the new one is
    whole. With `keep_partial`, what an interrupted block left is kept to resume from.
    """
    if target.name in ("", ".."):  # `.` and `..`, which have no name to put `.partial` behind
        target = target.resolve()
    partial = target.with_name(target.name + ".partial")
    if partial.exists() and not keep_partial:
        shutil.rmtree(partial)
    partial.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
    except BaseException:
        if not keep_partial:
            _remove(partial)
        raise
    stale = target.with_name(target.name + ".stale")
    shutil.rmtree(stale, ignore_errors=True)
    if target.exists():
        target.replace(stale)
    partial.replace(target)
    shutil.rmtree(stale, ignore_errors=True)


@contextmanager
def alone_in(run: Path) -> Generator[None]:
    """For the block, nobody else brings stages of this run up to date.

    Of several processes of one training, the first holds the lock for all. It ends with the
    process that holds it, however that ends. Raises InputError where another has it, and where
    the folder is a file or cannot be made.
    """
    lock = FileLock(run / LOCK)
    from_first(partial(_take, lock, run))
    try:
        yield
    finally:
        if lock.is_locked:
            _leave(run)
        lock.release()


def _leave(run: Path) -> None:
    """A folder in which nothing was made goes, with its lock."""
    if [path.name for path in run.iterdir()] == [LOCK]:
        shutil.rmtree(run)


def _take(lock: FileLock, run: Path) -> None:
    refuse_file(run)
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{run}: the folder cannot be made: {error.strerror}; give --out another."
        ) from error
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(
            f"{run}: another adhere works in this folder (it holds {run / LOCK}); wait for it, "
            "or stop it."
        ) from error


def _remove(partial: Path) -> None:
    """The folder, and its parent where nothing else is in it."""
    shutil.rmtree(partial)
    with suppress(OSError):
        partial.parent.rmdir()


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hashes(folder: Path) -> dict[str, str]:
    """Relative name -> SHA-256 of every file of a stage's folder, its manifest left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def content_key(*parts: Any) -> str:
    """A hash over JSON-able values, for manifests and caches."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def count_reasons(dropped: Iterable[Dropped]) -> dict[str, int]:
    return dict(Counter(drop.reason for drop in dropped).most_common())
