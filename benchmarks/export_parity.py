"""How exported files part from the adapter: what the bounds of `adhere.export.parity` rest on.

    python benchmarks/export_parity.py RUN [PROBES]

For each format of a run's export: how many greedy answers are the trained model's to the last
token, and the gap (nats by which it preferred its own token) at every parting. All is computed
in float32, so what is seen is the rounding of weights; `bf16 kernels` is the trained model once
more with activations rounded, as engines compute where the hardware can.
"""

import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer

from adhere.bench import ADAPTERS, Bench
from adhere.engines.transformers import end_tokens
from adhere.export.gguf_file import write_gguf
from adhere.export.merge import load_trained, write_merged
from adhere.export.parity import Check, Parity
from adhere.export.run import KINDS, asked_of
from adhere.progress import NoProgress
from adhere.run_files import PROBES
from adhere.settings import RunSettings


def show(name: str, parity: Parity) -> None:
    gaps = sorted((round(one.gap, 4) for one in parity.partings), reverse=True)
    print(f"{name:14} {parity.same:3} of {parity.prompts} the same, gaps: {gaps}", flush=True)


def main(run: Path, probes: int) -> None:
    bench = Bench(run, RunSettings.read(run / "run.toml"), NoProgress())
    checkpoint, adapter = bench.trained(ADAPTERS["sft+dpo"])
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    asked = asked_of(bench.read(PROBES), tokenizer, probes)
    model = load_trained(checkpoint, adapter)
    limit = bench.settings.evaluate.max_tokens
    check = Check(model, tokenizer, end_tokens(model, tokenizer), asked, limit)
    with tempfile.TemporaryDirectory() as name, torch.autocast("cpu", enabled=False):
        folder = Path(name)
        with torch.autocast("cpu", torch.bfloat16):
            show("bf16 kernels", check.model("trained", model))
        write_merged(model, checkpoint, folder, "base")
        show("safetensors", check.checkpoint(folder))
        for kind in KINDS:
            write_gguf(folder, folder / f"{kind}.gguf", kind, "measured")
            show(kind, check.gguf(folder / f"{kind}.gguf", kind))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
