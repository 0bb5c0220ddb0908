"""`--dry-run`: what would run, how many requests, and about how long."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from adhere.candidates import candidates
from adhere.engines.base import check_address
from adhere.engines.device import cpu_has_bfloat16
from adhere.errors import AdhereError
from adhere.evaluate.extras import read_extras
from adhere.ingest import ingest, require_documents
from adhere.models import check_checkpoint, checkpoint_here, is_here
from adhere.pipeline import standings
from adhere.previous import replaces
from adhere.progress import NoProgress
from adhere.records import Document, Passage
from adhere.settings import (
    EvaluateSettings,
    GenerateSettings,
    ModelSettings,
    RunSettings,
    TrainSettings,
)
from adhere.stages import STAGES, needs_models
from adhere.text import shortened
from adhere.train import pace, plan_ahead, training_problems

CLAUSES_A_SENTENCE = 0.7
"""Before any clause is known: what the embedded teacher found in a business code."""
# The numbers below are of two runs with the embedded teacher on two cores without bfloat16, two
# attempts a question: the Universal Declaration (59 clauses, 8 situations each) and GitLab's code
# of business conduct (78 clauses, 6 each).
SECONDS_A_REQUEST: Mapping[str, float] = {
    "clauses": 0.25,
    "generate": 0.13,
    "curate": 0.18,
    "rewrite": 0.6,
    "evaluate": 0.09,
}
"""Rough, on 2 CPU cores that multiply bfloat16: what was measured (80 s for 71 requests and 70 s
for 125 in clauses, 1,453 s for 2,808 and 1,197 s for 2,836 in generate, 209 s for 292 and 178 s for
314 in curate, 1,038 s for 3,412 in evaluate), divided by `WITHOUT_BF16`. That of rewrite is a
guess. Other engines differ."""
WITHOUT_BF16 = 3.5
"""Times as long for a teacher in this process on a CPU without bfloat16: of a run on the Model Spec
on two such cores 1.8 (curate) to 4.6 (clauses) times what runs with bfloat16 had taken."""
PASSED: Mapping[str, float] = {"examples": 0.2, "pairs": 0.16, "probes": 0.17}
"""Share of the sampled questions that make a row: 64 and 52 examples, 46 and 49 pairs, 51 and 70
probes of the 903 and 909 questions of those runs."""
KEPT: Mapping[str, float] = {"examples": 0.8, "pairs": 0.7, "probes": 0.88}
"""Share of the rows that curate keeps: 53 and 42 examples, 33 and 32 pairs, 46 and 60 probes."""
LIKELIHOODS_A_QUESTION = 1.7
"""What the clause answers: four of a closed question that is near its clause, none of others."""
SCORED_A_ROW = 1.8
"""Likelihoods in curate: of an answer with and without its passage; faults and twins have none."""
LIKELIHOODS_A_PROBE = 3.35
"""Of each system: the reference, its contrast and the words yes and no, where there are any."""
AN_EXAM_PAIR = 10
"""Requests: both answers with and without the passage, both orders, and yes and no of each."""
TUNED, COUNTS_TRIED = 48, 4
"""Training questions that retrieval is tuned on, and numbers of passages that are tried."""
GENERAL = 80
"""Answers to 40 general instructions, by base and the aligned model."""
TOKENS_A_ROW = 80
"""Of question, answer and chat template, about."""
BALANCE = 1.4
"""Times as many tokens where the rarer of yes and no is taken again: 22,720 of SFT and 30,384 of
DPO on the Universal Declaration, over four epochs."""
CHARACTERS_A_TOKEN = 4
"""Of English, about."""
_SYSTEMS = {"short": 7, "full": 9}


@dataclass(frozen=True, slots=True)
class Forecast:
    stage: str
    what: str
    requests: str = ""
    seconds: float | None = 0.0
    """None where the time is not known."""


Texts = tuple[list[Document], list[Passage]]
"""The documents of a run and their passages."""


def read_texts(run: Path, settings: RunSettings) -> Texts:
    """Raises InputError for documents that cannot be read."""
    paths = [Path(name) for name in settings.documents]
    require_documents(run, paths)
    return ingest(paths, settings.ingest, NoProgress())


def reads(run: Path, texts: Texts) -> list[str]:
    """What is read, and what becomes of a run of other documents in the folder, in sentences."""
    documents, passages = texts
    counts = f"{_counted(len(documents), 'document')}, {_counted(len(passages), 'passage')}"
    replaced = replaces(run, documents)
    return [
        f"{counts}: {shortened([one.name for one in documents])}",
        *([replaced] if replaced else []),
    ]


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def forecast(run: Path, settings: RunSettings, texts: Texts) -> list[Forecast]:
    """One row a stage, by the clauses and rows that there are, else by what is to be expected."""
    documents, passages = texts
    language = {document.id: document.language for document in documents}
    sentences = len(candidates(passages, language))
    stood = standings(run, settings)
    known = {
        item.stage: item.manifest.counts
        for item in stood
        if item.manifest and item.state == "up to date"
    }
    guess = min(
        round(CLAUSES_A_SENTENCE * sentences), settings.clauses.max_per_passage * len(passages)
    )
    clauses = known.get("clauses", {}).get("clauses", guess)
    made = known.get("generate") or _rows_made(settings.generate, clauses)
    kept = known.get("curate") or {kind: share * made[kind] for kind, share in KEPT.items()}
    requests = {
        "clauses": sentences,
        "generate": _asked_for_rows(settings.generate, clauses),
        "curate": SCORED_A_ROW * sum(made[kind] for kind in KEPT),
        "rewrite": 3 * settings.midtrain.rewritings * len(passages),
        "evaluate": _asked_of_systems(settings.evaluate, kept["probes"], kept["examples"]),
    }
    characters = sum(len(document.text) for document in documents)
    slower = _slowness(settings.models.teacher)
    seconds: dict[str, float | None] = {
        name: slower * SECONDS_A_REQUEST[name] * count for name, count in requests.items()
    }
    each = _pace(settings)
    trained = _trained_on(settings, kept["examples"], 2 * kept["pairs"], characters)
    for name, tokens in trained.items():
        seconds[name] = each and each * tokens
    idle = {item.stage: item.state for item in stood if item.state in ("up to date", "off")}
    return [
        Forecast(name, idle[name])
        if name in idle
        else Forecast(name, stage.does, _number(requests.get(name)), seconds.get(name, 0.0))
        for name, stage in STAGES.items()
    ]


def _rows_made(settings: GenerateSettings, clauses: int) -> dict[str, float]:
    """Rows of each kind: of the planned ones, those with a good question among the attempts.

    A clause of which every probe failed is tried as often again.
    """
    failing = {kind: (1 - share) ** settings.attempts for kind, share in PASSED.items()}
    untested = failing["probes"] ** settings.probes
    return {
        "examples": clauses * settings.examples * (1 - failing["examples"]),
        "pairs": clauses * settings.pairs * (1 - failing["pairs"]),
        "probes": clauses * settings.probes * (1 - failing["probes"]) * (1 + untested),
    }


def _asked_for_rows(settings: GenerateSettings, clauses: int) -> float:
    """Requests that the rows of so many clauses take: opposites, questions, stances, answers."""
    made = _rows_made(settings, clauses)
    questions = sum(count / PASSED[kind] for kind, count in made.items())
    a_pair = {"revised": 3, "onpolicy": 3 * settings.samples}.get(settings.strategy, 2)
    answers = made["examples"] + a_pair * made["pairs"] + 2 * made["probes"]
    return clauses + (1 + LIKELIHOODS_A_QUESTION) * questions + answers


def _asked_of_systems(settings: EvaluateSettings, probes: float, examples: float) -> float:
    """Requests of an evaluation; each engine that judges sits the exam."""
    answers = probes * (_SYSTEMS[settings.ladder] + len(settings.systems))
    asked = (1 + LIKELIHOODS_A_PROBE) * answers + GENERAL
    if settings.retrieved is None:
        asked += COUNTS_TRIED * min(TUNED, examples)
    # The grounding of every answer, and yes and no of each.
    judging = (2 + 2) * answers + AN_EXAM_PAIR * settings.exam_pairs
    return asked + judging * max(1, len(settings.judges)) if settings.judged else asked


def _trained_on(
    settings: RunSettings, examples: float, answers: float, characters: int
) -> dict[str, float]:
    """Tokens of each training, over all epochs; `answers` are those of all pairs."""
    told = 1 + settings.midtrain.rewritings  # about as long as the text, each
    sft, dpo = (
        TOKENS_A_ROW * rows * one.epochs * (BALANCE if one.balance else 1)
        for rows, one in ((examples, settings.sft), (answers, settings.dpo))
    )
    midtrain = told * characters / CHARACTERS_A_TOKEN * settings.midtrain.epochs
    return {
        "midtrain": midtrain,
        "sft": sft,
        "dpo": dpo,
        "dpo-alone": dpo,
        # As much as the trainings behind sft+dpo together, by design.
        "document-lm": sft + dpo + (midtrain if settings.midtrain.enabled else 0),
    }


def _slowness(teacher: str) -> float:
    """Times as long as said above; 1 for what is elsewhere, and where no torch can be asked."""
    here = teacher.startswith("openvino:") and find_spec("torch") is not None
    return WITHOUT_BF16 if here and not cpu_has_bfloat16() else 1


def _pace(settings: RunSettings) -> float | None:
    """Seconds a token of the student's training; not known of one that is not here yet."""
    name = settings.models.student
    student = checkpoint_here(name)
    return pace(student) if student or name == ModelSettings().student else None


def lacking(settings: RunSettings, todo: Sequence[str]) -> list[str]:
    """What the run would be refused for, in its own sentences; asks nobody and fetches nothing."""
    if not any(map(needs_models, todo)):
        return []
    models = settings.models
    checks = [
        *_file_checks(settings.evaluate),
        *(partial(check_address, address) for address in _engines(settings)),
        *(partial(check_checkpoint, name) for name in (models.embedder, models.student)),
    ]
    found = [said for check in checks if (said := _problem(check))]
    return list(dict.fromkeys([*found, *map(str, training_problems(settings))]))


def _file_checks(settings: EvaluateSettings) -> list[Callable[[], object]]:
    """The readings of the user's files, each on its own; tasks may fetch, and wait for the run."""
    given = {name: getattr(settings, name) for name in ("pairs", "refusals", "instructions")}
    if settings.harness and not (Path(settings.harness).is_dir() and find_spec("lm_eval")):
        given["harness"] = settings.harness
    return [
        partial(read_extras, EvaluateSettings.model_validate({name: file}))
        for name, file in given.items()
        if file
    ]


def _engines(settings: RunSettings) -> list[str]:
    """The addresses of all that the run asks, each once."""
    others = settings.evaluate
    return list(dict.fromkeys((settings.models.teacher, *others.judges, *others.systems.values())))


def _problem(check: Callable[[], object]) -> str:
    """What the check raises, in words; empty where it passes."""
    try:
        check()
    except AdhereError as error:
        return str(error)
    return ""


def plans(settings: RunSettings, todo: Sequence[str]) -> list[str]:
    """How each training that is to do would be done, where the student is on this machine."""
    student = checkpoint_here(settings.models.student)
    return [plan_ahead(name, student, one) for name, one in _trainings(settings, todo) if student]


def _trainings(settings: RunSettings, todo: Sequence[str]) -> list[tuple[str, TrainSettings]]:
    chosen = {
        "midtrain": settings.midtrain,
        "sft": settings.sft,
        "dpo": settings.dpo,
        "dpo-alone": settings.dpo,
        "document-lm": settings.sft,
    }
    return [(name, one) for name, one in chosen.items() if name in todo]


def unasked(settings: RunSettings, todo: Sequence[str]) -> list[str]:
    """What only the run will find out, in sentences: a forecast asks nobody over the network."""
    if not any(map(needs_models, todo)):
        return []
    models = settings.models
    servers = [address for address in _engines(settings) if address.startswith("http")]
    weights = [
        name
        for name in (models.student, models.embedder)
        if not is_here(name) and not _problem(partial(check_checkpoint, name))
    ]
    return [
        *(f"{address} must answer; it was not asked now." for address in servers),
        *(f"{name} is not on this machine, and will be fetched." for name in weights),
    ]


def _number(count: float | None) -> str:
    return "" if count is None else f"about {count:,.0f}"
