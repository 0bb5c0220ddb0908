"""Every choice that a user can make: one frozen, closed class a stage.

`RunSettings` is their union and the layout of `run.toml`. The CLI's flags are
made from these classes, so a setting is described here and nowhere else.
"""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from adhere.errors import SettingsError


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelSettings(Settings):
    """Which models do the work."""

    teacher: str = "openvino:qwen2.5-coder-1.5b-instruct"
    """Address of the engine that writes and scores data, e.g. http://localhost:8000/v1#NAME."""
    style: Literal["continue", "chat"] = "continue"
    """How the teacher is prompted: to continue a pattern (small ones) or by chat (strong ones)."""
    student: str = "smollm2-135m-instruct"
    """The model to align: a catalogue name, a local folder, or a hub repository."""
    embedder: str = "all-minilm-l6-v2"
    """The sentence-embedding model: a catalogue name, a local folder, or a hub repository."""


class IngestSettings(Settings):
    """How documents become passages."""

    passage_chars: Annotated[int, Field(ge=200, le=20_000)] = 900
    """Aim for passages of this many characters; a sentence is never cut."""


class ClausesSettings(Settings):
    """How passages become clauses."""

    max_per_passage: Annotated[int, Field(ge=1, le=50)] = 4
    """Keep at most this many clauses of one passage: rules before aims, then as in the text."""
    min_support: float = 0.0
    """Least leaning of the teacher to a wording of its own following from its sentence, in nats
    (docs/decisions.md)."""
    same_act: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Least cosine of two acts for contrary duties to contradict each other (MiniLM's scale)."""
    same_rule: Annotated[float, Field(ge=0, le=1)] = 0.88
    """Least cosine of two acts under one duty to be the same rule, or one with another figure."""
    precedence: tuple[str, ...] = ()
    """Names of documents; where two contradict each other, the one named earlier wins."""
    settle: dict[str, Literal["wins", "loses"]] = {}
    """Clause id -> "wins" or "loses", for contradictions and duplicates that `precedence` does not
    settle (`--clauses.settle.ID loses`); one that loses makes no data."""


Strategy = Literal["counterfactual", "instructed", "revised", "onpolicy"]
"""How the two answers of a preference pair are come by; `adhere.generate.pairs` has them all."""
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


class GenerateSettings(Settings):
    """How many rows are generated for each clause, and how."""

    examples: Annotated[int, Field(ge=1, le=100)] = 3
    """SFT questions a clause."""
    pairs: Annotated[int, Field(ge=1, le=100)] = 3
    """Preference pairs a clause."""
    strategy: Strategy | Literal["mix"] = "counterfactual"
    """How the two answers of a pair are made (docs/data.md); `mix` draws one for each pair."""
    samples: Annotated[int, Field(ge=2, le=64)] = 4
    """Answers of the student's that an `onpolicy` pair is chosen from."""
    probes: Annotated[int, Field(ge=1, le=3)] = 2
    """Held-out questions a clause; their kinds of situation are kept from training. With one alone
    every tested clause ends as "cannot tell"."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    """Of the questions; answers are greedy."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """How often a question is sampled before its situation is given up; twice as often where its
    clause would stay untested."""
    max_sentences: Annotated[int, Field(ge=1)] = 2
    """Longest answer; what a small teacher writes after that runs on."""
    min_relevance: Annotated[float, Field(ge=-1, le=1)] = 0.35
    """Least cosine similarity of a question to its clause."""
    min_turn: Annotated[float, Field(ge=0)] = 1.0
    """Least change of the teacher's leaning between yes and no, in nats, when the clause that a
    question is about is turned round."""
    min_turn_of_wrongs: Annotated[float, Field(ge=0)] = 0.4
    """The same where somebody saw a wrong, asks whether it was right, and the clause says no:
    the word *right* moves less (docs/data-quality.md)."""
    seed: int = 0
    """Of what is sampled and drawn."""


class CurateSettings(Settings):
    """What is kept."""

    min_grounding: float = 0.0
    """Least grounding gain of an answer, in nats a token (docs/method.md); a large negative number,
    such as -1000, switches this off."""
    min_margin: float = 0.1
    """Least difference in grounding gain between chosen and rejected, in nats a token, where the
    question was not shown to turn on its clause (generate.min_turn)."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Jaccard similarity of character 5-grams from which two questions are the same."""
    semantic_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.82
    """Cosine of sentence embeddings from which two questions are the same (read by eye with
    all-minilm-l6-v2: 8 of 11 pairs at or over it were the same); 1 switches this off."""
    max_length_ratio: Annotated[float, Field(ge=1)] = 2.5
    """Largest ratio of the longer to the shorter answer of a pair."""


class TrainSettings(Settings):
    """What every training has to be told."""

    epochs: Annotated[float, Field(gt=0)] = 4
    """Passes over the data."""
    tuning: Literal["lora", "qlora", "full"] = "lora"
    """`lora` trains an adapter, `qlora` the same over 4-bit weights (CUDA only), `full` all."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Peak; by default as the model's size, the tuning and in DPO the method want it
    (docs/training.md)."""
    batch_size: Annotated[int, Field(ge=1)] = 8
    """Rows an optimiser step."""
    micro_batch_size: Annotated[int, Field(ge=1)] | None = None
    """Of them, how many a device takes at a time, to save memory; by default as many as fit."""
    lora_rank: Annotated[int, Field(ge=1)] = 32
    """Of the adapter's matrices; alike in `midtrain`, `sft` and `dpo`, which share one adapter."""
    lora_alpha: Annotated[int, Field(ge=1)] = 32
    """The adapter's update is scaled by lora_alpha / lora_rank."""
    max_length: Annotated[int, Field(ge=32)] = 512
    """Tokens of prompt and answer together; longer rows are counted and dropped."""
    early_stopping: bool = False
    """Hold back a tenth of the rows, end when their loss no longer falls, keep the best."""
    stop_on_alarm: bool = False
    """End where an alarm is raised (SFT and DPO have one each: docs/training.md), and keep the
    last good checkpoint aside."""
    seed: int = 0
    """Of the rows' order and the adapter's first weights."""

    @field_validator("micro_batch_size")
    @classmethod
    def _divides(cls, rows: int | None, others: ValidationInfo) -> int | None:
        batch = others.data.get("batch_size")  # None where it is wrong itself
        if rows and batch and batch % rows:
            told = {"batch": batch}
            raise PydanticCustomError("micro", "it must divide batch_size, {batch}", told)
        return rows


class MidtrainSettings(TrainSettings):
    """Training on the documents' own text, before SFT."""

    enabled: bool = True
    """Read the documents' own text first, as plain language modelling; SFT goes on from there
    (docs/training.md shows what it brought)."""
    epochs: Annotated[float, Field(gt=0)] = 3
    """Passes over the text."""
    rewritings: Annotated[int, Field(ge=0, le=4)] = 0
    """From how many angles the teacher tells each passage with a clause again (`adhere rewrite`),
    to be read beside the text."""
    batch_size: Annotated[int, Field(ge=1)] = 4
    """Windows an optimiser step."""
    max_length: Annotated[int, Field(ge=32)] = 256
    """Tokens of a window; the text is cut into windows of at most this length."""


class AnswerSettings(TrainSettings):
    """Training on answers to questions."""

    balance: bool = True
    """Take rows of the rarer side, yes or no, again until both are as many (docs/training.md);
    general instructions that begin with either count too."""


class SFTSettings(AnswerSettings):
    """Supervised fine-tuning on the examples."""

    general_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of general instructions among the rows, before balance, against forgetting."""
    general: str | None = None
    """JSONL file of them, rows {"question", "answer"}; without, the student's own answers."""


Method = Literal["dpo", "dpo+nll", "ipo", "kto"]


class DPOSettings(AnswerSettings):
    """Preference optimisation on the pairs."""

    method: Method = "dpo+nll"
    """The loss: docs/training.md says when to take which."""
    beta: Annotated[float, Field(gt=0)] | None = None
    """Strength of the tie to the reference; by default 0.1 (Rafailov et al. 2023, arXiv
    2305.18290), and 1 in `ipo`, which then aims at a margin of half a nat a token."""
    nll_weight: Annotated[float, Field(gt=0)] = 1.0
    """Weight of the likelihood of the chosen answer beside the DPO loss, in `dpo+nll`."""

    @property
    def strength(self) -> float:
        """`beta` as it is trained with.

        IPO aims at 1 / (2 beta) nats a token (Azar et al. 2023, arXiv 2310.12036): 0.1 would ask
        for 5, where DPO from SFT widened margins by half a nat (docs/training.md).
        """
        return self.beta or (1.0 if self.method == "ipo" else 0.1)


class TrackingSettings(Settings):
    """Where training is watched from."""

    report_to: Literal["none", "tensorboard", "trackio", "wandb", "mlflow"] = "none"
    """The tracker that TRL reports to; its package must be installed. Nothing that is trained
    depends on it."""


class EvaluateSettings(Settings):
    """How the systems are compared."""

    max_tokens: Annotated[int, Field(ge=8)] = 72
    """Longest answer."""
    ladder: Literal["short", "full"] = "short"
    """The full one adds two slow systems: `base+document` and the ceiling `teacher+passage`."""
    systems: dict[str, str] = Field(default_factory=dict[str, str])
    """Other models to compare with: a name for each, and its engine's address
    (`--evaluate.systems.NAME ADDRESS`)."""
    pairs: str | None = None
    """A file of situations with good and bad answers marked by people (docs/evaluation.md)."""
    refusals: str | None = None
    """A file of prompts that should be answered or declined, in the layout of XSTest."""
    instructions: str | None = None
    """A file of general instructions with good answers, instead of adhere's own."""
    harness: str | None = None
    """A folder of lm-evaluation-harness tasks that base and the aligned model are asked too."""
    retrieved: Annotated[int, Field(ge=1)] | None = None
    """Passages that `+rag` systems read; chosen on training questions where it is not given."""
    judged: bool = True
    """Have the teacher score the answers' grounding and judges compare them: on a slow machine most
    of the time that an evaluation takes."""
    judges: tuple[str, ...] = ()
    """Addresses of the engines that judge, one or several; the teacher where none is given."""
    exam_pairs: Annotated[int, Field(ge=10)] = 60
    """Pairs with a known winner that a judge must sort before it is believed."""
    exam_floor: Annotated[float, Field(ge=0.5, lt=1)] = 0.7
    """A judge is admitted when the lower bound of its exam accuracy is at least this."""
    resamples: Annotated[int, Field(ge=100)] = 2000
    """Draws behind the interval of a corrected win rate."""
    seed: int = 0
    """Of what is drawn: exam pairs, which answer is shown first, the draws behind corrected win
    rates."""


class GateSettings(Settings):
    """What a run must show before its model may go on (`adhere gate`). No stage depends on it."""

    followed: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Least share of the tested clauses that must be followed; 0 asks for none."""
    forbidden_failed: Annotated[int, Field(ge=0)] = 0
    """Most clauses of what is forbidden that may be found not learned."""
    better: tuple[Literal["reference_nll", "preference_accuracy", "yes_no_accuracy"], ...] = (
        "reference_nll",
    )
    """Metrics on which the aligned model must be better than base: the interval of the paired
    difference is clear of zero."""
    over_refusal: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Most over-refusal of the aligned model, of what the documents answer with yes and of safe
    requests."""
    wrong_yes: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Largest share of the questions that the documents answer with no that the aligned model may
    answer with yes."""
    untested: Annotated[int | None, Field(ge=0)] = None
    """Most clauses without a scored probe; without a limit their number is only said, and fewer
    than half of the clauses tested are too few for `followed` to pass."""
    margin: Annotated[float, Field(gt=0)] = 0.1
    """Against an older run: how much less likely the references may be, in nats a token."""
    preference_margin: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Against an older run: by how much the preference accuracy may be lower, and that of the
    yes or no. With a few dozen probes not even a model's comparison with itself could show much
    less."""
    cannot_tell: Literal["say", "fail"] = "say"
    """Whether what cannot be told only is said, or closes the gate."""


class Choices(Settings):
    """Every choice but the documents: what the CLI has flags for."""

    models: ModelSettings = ModelSettings()
    ingest: IngestSettings = IngestSettings()
    clauses: ClausesSettings = ClausesSettings()
    generate: GenerateSettings = GenerateSettings()
    curate: CurateSettings = CurateSettings()
    midtrain: MidtrainSettings = MidtrainSettings()
    sft: SFTSettings = SFTSettings()
    dpo: DPOSettings = DPOSettings()
    tracking: TrackingSettings = TrackingSettings()
    evaluate: EvaluateSettings = EvaluateSettings()


class RunSettings(Choices):
    """One run: `run.toml`."""

    documents: tuple[str, ...] = ()
    """Files and folders to read."""
    gate: GateSettings = GateSettings()
    """Rules for `adhere gate`, which has flags of its own for them."""

    @classmethod
    def read(cls, path: Path) -> "RunSettings":
        """Read a run file.

        Raises SettingsError for a file that is not TOML, an unknown key (naming
        the nearest known one) or a value out of range.
        """
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # as Notepad writes
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not a TOML file: {error}.") from error
        return cls.parse(data, source=str(path))

    @classmethod
    def parse(cls, data: dict[str, Any], source: str) -> "RunSettings":
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise SettingsError(explain(error, source)) from error

    def write(self, path: Path) -> None:
        """Write only what differs from the defaults, so that the file stays readable."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".partial")
        aside.write_text(
            tomli_w.dumps(self.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8"
        )
        aside.replace(path)

    def merge(self, changes: dict[str, Any], source: str) -> "RunSettings":
        """These settings with `changes` (nested as in `run.toml`) laid over them."""
        return self.parse(_overlay(self.model_dump(exclude_defaults=True), changes), source)


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merged[key] = _overlay(old, value)
        else:
            merged[key] = value
    return merged


_WANTED = {
    "tuple_type": 'a list is wanted: {name} = ["{given}"]',
    "dict_type": 'names with values are wanted: {place}.NAME = "VALUE"; '
    "as a flag --{place}.NAME VALUE",
    "model_type": "a table of settings is wanted: [{name}]",
    "model_attributes_type": "a table of settings is wanted: [{name}]",
}
"""What is wrong in words, by pydantic's name of the error, where its own are those of Python."""


def explain(error: ValidationError, source: str) -> str:
    """The first problem as one sentence, with the nearest known name for an unknown one."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        said = first["msg"]
        if wanted := _WANTED.get(first["type"]):
            said = wanted.format(place=place, name=first["loc"][-1], given=first["input"])
        return f"{source}: {place}: {said} (got {first['input']!r})."
    known = _names(first["loc"][:-1])
    near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(known)}."
    return f"{source}: unknown setting '{place}'; {remedy}"


def _names(parents: tuple[int | str, ...]) -> list[str]:
    model: Any = RunSettings
    for part in parents:
        model = model.model_fields[str(part)].annotation
    return sorted(model.model_fields)
