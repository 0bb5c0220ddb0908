"""What several tests share: a scripted teacher, two tiny models, and one whole run."""

import shutil
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from adhere.cli import main
from adhere.settings import RunSettings
from adhere.stages import STAGES, is_on

# A busy machine is no fault of the code: an example may take as long as it needs.
hypothesis_settings.register_profile("adhere", deadline=None)
hypothesis_settings.load_profile("adhere")

# A shell has its background jobs ignore Ctrl-C, and so would the programs that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(__file__).parent / "data"
SCRIPT = DATA / "teacher.toml"
DOCUMENT = DATA / "boathouse.md"

ON = [name for name in STAGES if is_on(name, RunSettings())]
"""The stages of a run in which nothing is switched on or off."""

_CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_CONTEXT = 2048


@pytest.fixture(scope="session")
def tiny_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights that reads letters, with a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=special[0],
        pad_token=special[0],
        additional_special_tokens=special[1:],
        model_max_length=_CONTEXT,
    )
    fast.chat_template = _CHAT
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=_CONTEXT,
            bos_token_id=None,
            eos_token_id=0,
            pad_token_id=0,
            initializer_range=0.2,
        )
    )
    folder = tmp_path_factory.mktemp("models") / "student"
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder with a random BERT that reads letters."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    parts = tmp_path_factory.mktemp("models")
    letters = [chr(code) for code in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{x}" for x in letters)]
    (parts / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertModel(config).save_pretrained(parts / "bert")
    BertTokenizerFast(str(parts / "vocab.txt")).save_pretrained(parts / "bert")
    transformer = Transformer(str(parts / "bert"), max_seq_length=128)
    pooling = Pooling(transformer.get_embedding_dimension())
    SentenceTransformer(modules=[transformer, pooling]).save(str(parts / "embedder"))
    return parts / "embedder"


@pytest.fixture(scope="session")
def adapted_run(tiny_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which nothing is left but three adapters; each of them changes every answer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    run = tmp_path_factory.mktemp("adapted") / "run"
    RunSettings.parse({"models": {"student": str(tiny_student)}}, "test").write(run / "run.toml")
    for seed, stage in enumerate(("sft", "dpo", "dpo-alone")):
        torch.manual_seed(seed)
        lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
        base = AutoModelForCausalLM.from_pretrained(tiny_student)
        adapted = get_peft_model(base, lora)
        adapted.save_pretrained(run / stage / "adapter", save_embedding_layers=False)
    return run


@pytest.fixture(scope="session")
def tuned_run(
    tiny_student: Path, adapted_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run as full tuning leaves it: two checkpoints; and an adapter on the student."""
    run = tmp_path_factory.mktemp("tuned") / "run"
    shutil.copytree(adapted_run / "dpo-alone", run / "dpo-alone")
    shutil.copy(adapted_run / "run.toml", run)
    for seed, stage in enumerate(("sft", "dpo")):
        save_tuned(tiny_student, run / stage / "model", seed)
    return run


def save_tuned(student: Path, folder: Path, seed: int) -> None:
    """A checkpoint as full tuning leaves it, in float32, with every weight moved at random."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.1)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(student).save_pretrained(folder)


@pytest.fixture(scope="session")
def run_settings(tiny_student: Path, tiny_embedder: Path) -> RunSettings:
    """A whole run in seconds."""
    return RunSettings.parse(
        {
            "documents": [str(DOCUMENT)],
            "models": {
                "teacher": f"scripted:{SCRIPT}",
                "student": str(tiny_student),
                "embedder": str(tiny_embedder),
            },
            # A random embedder finds all clauses alike.
            "clauses": {"max_per_passage": 4, "same_act": 1.0, "same_rule": 1.0},
            "generate": {"min_relevance": -1.0},
            "curate": {"semantic_duplicate": 1},
            "midtrain": {"epochs": 1, "lora_rank": 4},
            "sft": {"epochs": 1, "lora_rank": 4},
            "dpo": {"epochs": 1, "lora_rank": 4},
            "evaluate": {"max_tokens": 8, "resamples": 100, "retrieved": 2},
        },
        "test",
    )


def flags(settings: RunSettings) -> list[str]:
    """The settings, but for the documents, as flags."""
    chosen = settings.model_dump(mode="json", exclude_unset=True, exclude={"documents"})
    return [
        f"--{section}.{name.replace('_', '-')}={value}"
        for section, values in chosen.items()
        for name, value in values.items()
    ]


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


def adhere(*arguments: str, columns: int = 200) -> Said:
    """The command `adhere`, in this process."""
    out, err, code = StringIO(), StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["adhere", *arguments])
        patch.setenv("COLUMNS", str(columns))
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def journey(
    run_settings: RunSettings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Said]:
    """A run of all stages by one command, and what the command said."""
    folder = tmp_path_factory.mktemp("journey") / "run"
    said = adhere("run", str(DOCUMENT), "--out", str(folder), *flags(run_settings))
    assert said.code == 0, said.err
    return folder, said


@pytest.fixture(scope="session")
def finished(journey: tuple[Path, Said]) -> Path:
    """A run of all stages, for reading; take `run` to change it."""
    return journey[0]


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return shutil.copytree(finished, tmp_path / "run")
