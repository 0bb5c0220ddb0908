"""`adhere export`: everything that comes out, under its name only when all of it is right."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from adhere.bench import ADAPTERS, Bench
from adhere.engines.transformers import end_tokens
from adhere.errors import EngineError, InputError, MissingExtraError, SettingsError
from adhere.evaluated import require_evaluated
from adhere.export.card import Card, repository
from adhere.export.gguf_file import Kind, write_gguf
from adhere.export.merge import load_trained, write_merged
from adhere.export.modelfile import Chat, Shape, chat_shape, modelfile
from adhere.export.parity import Asked, Check, Parity, openvino_tokens
from adhere.licences import read_licences
from adhere.progress import Progress
from adhere.records import Probe
from adhere.run_files import DOCUMENTS, PROBES
from adhere.settings import RunSettings
from adhere.store import (
    file_sha256,
    folder_hashes,
    fresh_folder,
    made_with,
    read_manifest,
    read_object,
    refuse_strangers,
    write_json,
)

PROMPTS = 12
"""Probes of a parity check."""
KINDS: tuple[Kind, ...] = ("f16", "q8_0")
FIRST_GGUF = f"model-{KINDS[0]}.gguf"
"""The one that is closest to the checkpoint; the Modelfile names it."""
DEFAULT = "export"
"""In the run's folder."""
MARK = "parity.json"
"""By this file a folder is known for an export."""
_FILES = "files"
"""In it, the checksums of the others."""
SPLIT_BY_OPENVINO = ("qwen2", "smollm")
"""The ways to split text that GenAI 2026.4 knows (`gguf_tokenizer.cpp`); it uses one of its own
for all others."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What came out."""

    folder: Path
    parities: list[Parity]
    remarks: list[str]
    """What was left out or could not be checked, and why, in sentences."""


def export_run(
    run: Path,
    settings: RunSettings,
    out: Path,
    system: str,
    licence: Sequence[str],
    progress: Progress,
) -> Exported:
    """Write the merged checkpoint, GGUF files, Modelfile and model card of a run to `out`.

    `licence`: of the documents, read by `read_licences`. An earlier export at `out` is replaced
    when the new one is whole. Raises InputError for a run that is not finished or not evaluated
    as it is now, a licence of no document or an `out` that holds something else or an export that
    was touched since, SettingsError for an unknown system, EngineError where an exported file
    does not answer as the trained model does, MissingExtraError without the packages.
    """
    bench = Bench(run, settings, progress)
    summary = _require(bench, out, system)
    name = run.resolve().name if out == run / DEFAULT else out.resolve().name
    card = _card(bench, name, system, licence, summary)
    with fresh_folder(out) as folder:
        check, shape, stops = _merge(bench, ADAPTERS[system], folder)
        progress.note("asking the exported checkpoint")
        merged = check.checkpoint(folder)
        merged.require()
        parities, remarks = _ggufs(folder, name, check, progress)
        if (folder / FIRST_GGUF).exists():
            text = modelfile(FIRST_GGUF, shape, stops)
            (folder / "Modelfile").write_text(text, encoding="utf-8")
        exported = Exported(out, [merged, *parities], remarks)
        _describe(folder, replace(card, parities=exported.parities, remarks=exported.remarks))
    return exported


def _merge(bench: Bench, stage: str, folder: Path) -> tuple[Check, Shape | None, list[str]]:
    """Write what the stage trained as one checkpoint.

    Gives the answers of what was trained, the chat's shape and its stops.
    """
    from transformers import AutoTokenizer

    (checkpoint, adapter), base = bench.trained(stage), bench.settings.models.student
    tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)

    def render(chat: Chat, more: bool) -> str:
        return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=more)

    asked = asked_of(bench.read(PROBES), tokenizer, PROMPTS)
    bench.progress.note("asking the trained model")
    model = load_trained(checkpoint, adapter)
    ends = end_tokens(model, tokenizer)
    check = Check(model, tokenizer, ends, asked, bench.settings.evaluate.max_tokens)
    bench.progress.note("merging" if adapter else "writing")
    write_merged(model, checkpoint, folder, repository(base) or Path(base).name)
    bos = tokenizer.bos_token if tokenizer.encode("a")[:1] == [tokenizer.bos_token_id] else None
    return check, chat_shape(render, bos or ""), [tokenizer.decode([end]) for end in ends]


def asked_of(probes: Sequence[Probe], tokenizer: Any, wanted: int) -> list[Asked]:
    """At most `wanted` of the probes, evenly over all of them, as chats in tokens."""
    count = min(wanted, len(probes))
    chosen = [probes[place * len(probes) // count] for place in range(count)]
    chats = [[{"role": "user", "content": probe.question}] for probe in chosen]
    texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
    return [
        Asked(probe.id, probe.question, tokenizer.encode(text, add_special_tokens=False))
        for probe, text in zip(chosen, texts, strict=True)
    ]


def _ggufs(
    folder: Path, name: str, check: Check, progress: Progress
) -> tuple[list[Parity], list[str]]:
    """Write and check the GGUF files; what cannot be written or checked is said in words."""
    progress.note("writing GGUF files")
    files: dict[Kind, Path] = {kind: folder / f"model-{kind}.gguf" for kind in KINDS}
    try:
        splits = [write_gguf(folder, file, kind, name) for kind, file in files.items()]
    except EngineError as error:
        for file in files.values():
            file.unlink(missing_ok=True)
        return [], [f"No GGUF file was written: {error}."]
    parities: list[Parity] = []
    remarks: list[str] = []
    for kind, file in files.items():
        progress.note(f"asking {file.name}")
        try:
            parity = check.gguf(file, kind)
        except EngineError as error:
            remarks.append(f"{file.name} is written but was not checked: {error}.")
            continue
        if parity.fault and kind != KINDS[0]:  # coarse weights may really be another model
            file.unlink()
            remarks.append(f"{file.name} was left out: {parity.fault}.")
        else:
            parity.require()
            parities.append(parity)
    if parities:
        remarks += _text_remarks(folder / parities[0].file, splits[0], check)
    return parities, remarks


def _text_remarks(gguf: Path, pre: str, check: Check) -> list[str]:
    """Whether OpenVINO GenAI makes the same tokens of a text; EngineError where it should."""
    try:
        found = openvino_tokens(gguf, [one.question for one in check.asked])
    except EngineError as error:
        return [
            "GGUF files are checked token by token, but not how they split text, since "
            f"{error}. Use them with llama.cpp or Ollama and not as openvino:FILE."
        ]
    differ = [
        one.question for one, tokens in zip(check.asked, found, strict=True) if one.tokens != tokens
    ]
    if not differ:
        return []
    if pre in SPLIT_BY_OPENVINO:
        raise EngineError(
            f"{gguf.name} makes other tokens of the probe “{differ[0]}” than the checkpoint's "
            "tokenizer does. Nothing was exported."
        )
    return [
        f"GGUF files are checked token by token. Their way to split text, '{pre}', is not known "
        "to OpenVINO GenAI, so use them with llama.cpp or Ollama and not as openvino:FILE."
    ]


def _card(
    bench: Bench, name: str, system: str, licence: Sequence[str], summary: dict[str, Any]
) -> Card:
    """The model card, but for what comes out."""
    documents = bench.read(DOCUMENTS)
    return Card(
        name=name,
        student=bench.settings.models.student,
        teacher=made_with(
            read_manifest(bench.run / "generate"), "models.teacher", bench.settings.models.teacher
        ),
        system=system,
        lora=bench.trained(ADAPTERS[system])[1] is not None,
        documents=documents,
        licences=read_licences(licence, documents),
        summary=summary,
        alarms=_alarms(bench, ADAPTERS[system]),
    )


def _alarms(bench: Bench, stage: str | None) -> list[tuple[str, str]]:
    """What looked wrong in a training, and in those that it went on from, the first first."""
    made = {name: read_manifest(bench.run / name) for name in bench.up_to(stage)}
    return [
        (name, said)
        for name, manifest in made.items()
        if manifest
        for said in manifest.facts.get("alarms", ())
    ]


def _describe(folder: Path, card: Card) -> None:
    """Write the model card, then the check and the checksum of every file, for machines."""
    (folder / "README.md").write_text(card.write(), encoding="utf-8")
    checks = [asdict(parity) for parity in card.parities]
    write_json(folder / MARK, {"checks": checks, _FILES: folder_hashes(folder)})


def _require_untouched(out: Path) -> None:
    """Raise InputError where replacing an older export would lose what the user has put there.

    One from before checksums were written is known by its file alone; all of it counts as touched.
    """
    refuse_strangers(out, lambda folder: (folder / MARK).is_file())
    if not (out / MARK).exists():
        return
    remedy = "Move it away, or give another --out."
    written = _written(out / MARK)
    if written is None:
        raise InputError(
            f"{out}: an export without checksums in {MARK}, so what was changed in it since "
            f"cannot be told. {remedy}"
        )
    for path in sorted(out.iterdir()):
        name = path.name
        if name not in (*written, MARK):
            raise InputError(f"{path}: not of the export that a new one would replace. {remedy}")
        if name != MARK and not (path.is_file() and file_sha256(path) == written[name]):
            raise InputError(f"{path}: changed since it was exported. {remedy}")


def _written(mark: Path) -> dict[str, str] | None:
    """Name -> SHA-256 of each file that the export wrote; None where that is not recorded."""
    try:
        return TypeAdapter(dict[str, str]).validate_python(read_object(mark).get(_FILES))
    except (InputError, ValidationError):
        return None


def _require(bench: Bench, out: Path, system: str) -> dict[str, Any]:
    """The run's summary; raises what can be said before anything is loaded."""
    run = bench.run
    if system not in ADAPTERS:
        raise SettingsError(f"'{system}' is no system to export; known are {', '.join(ADAPTERS)}.")
    summary = require_evaluated(run)  # the card's numbers are to be this model's
    if system not in summary["systems"] or system not in bench.finished:
        raise InputError(f"{run}: '{system}' is not evaluated yet; `adhere run {run}` first.")
    _require_untouched(out)
    needed = ("torch", "transformers", "peft", "gguf", "openvino_genai")
    missing = [package for package in needed if find_spec(package) is None]
    if missing:
        raise MissingExtraError(f"export needs {missing[0]}: pip install 'adhere[openvino,train]'")
    return summary
