"""What the stages of one run work with: its folder, its settings, its models."""

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from adhere.embedding import Embed, embedder
from adhere.engines import open_engine
from adhere.engines.base import Engine
from adhere.engines.cached import Cached, CacheStats
from adhere.errors import EngineError, InputError
from adhere.evaluate.extras import read_extras
from adhere.grounding import score_request
from adhere.models import checkpoint_folder, unread, weights_mark
from adhere.processes import from_first
from adhere.progress import Progress
from adhere.prompts import Prompts
from adhere.records import Document
from adhere.run_files import RecordFile
from adhere.settings import RunSettings
from adhere.store import made_with, read_manifest
from adhere.teacher import Teacher
from adhere.train import check_libraries, check_training

T = TypeVar("T")

ADAPTERS = {"document-lm": "document-lm", "sft": "sft", "dpo": "dpo-alone", "sft+dpo": "dpo"}
"""The systems that are the student as a training left it, and the stage of that training."""

STUDENT = "models.student"
"""The setting, and in a manifest's inputs the hash of the weights where it is a local folder."""


class Bench:
    """What the stages of one run work with; models are opened when first used."""

    def __init__(self, run: Path, settings: RunSettings, progress: Progress) -> None:
        self.run = run
        self.settings = settings
        self.progress = progress
        self.prompts = Prompts(run / "prompts", settings.models.style)
        self.asked = CacheStats()
        """What all its engines were asked, and how much of that the cache knew."""

    def read(self, file: RecordFile[T]) -> list[T]:
        """A file of the run; of several processes, the first reads it for all."""
        return from_first(partial(file.read, self.run))

    def check(
        self,
        *,
        asking: bool = True,
        scoring: bool = True,
        training: bool = True,
        evaluating: bool = True,
    ) -> None:
        """Raise now what would otherwise be found after an hour.

        Unknown or unreachable models, missing packages, files of the user's that are not
        of their layout, a way of training that this machine does not have; weights are
        fetched here. Unless `asking`, only what training needs: a teacher whose server has
        made room for it need not answer. Unless `scoring`, the teacher need not say how
        likely a given text is. Unless `training`, nothing of how the trainings are set. Unless
        `evaluating`, nothing that an evaluation alone asks or reads.
        """
        if asking:
            if evaluating:
                read_extras(self.settings.evaluate)
            self.check_engines(evaluating=evaluating)
            if scoring:
                self.check_likelihoods()
            checkpoint_folder(self.settings.models.embedder, self.progress)
        checkpoint_folder(self.settings.models.student, self.progress)
        if training:
            check_training(self.settings)
        else:
            check_libraries()

    def check_engines(self, *, evaluating: bool) -> None:
        """Raise EngineError where a model is out of reach: the teacher, or all that evaluate."""
        asked = [self.engine]
        if evaluating:
            asked += self.judges
            asked += map(self.engine_at, self.settings.evaluate.systems.values())
        for engine in dict.fromkeys(asked):
            engine.check()

    def check_likelihoods(self) -> None:
        """Raise EngineError for a teacher whose server cannot score a given text.

        It is asked for a word or two, in the ways that the stages will ask. What runs in
        this process can always score, and is not loaded for it.
        """
        models = self.settings.models
        if not models.teacher.startswith(("http:", "https:")):
            return
        ways = (False, True) if models.style == "chat" else (False,)
        tiny = [score_request("", "Is water wet?", " Yes", chat=chat) for chat in ways]
        for score in open_engine(models.teacher, self.progress).score(tiny):
            if score.error is not None:
                raise EngineError(f"{models.teacher} cannot score a given text: {score.error}.")

    @cached_property
    def engine(self) -> Engine:
        """The teacher's engine behind the run's cache of completions."""
        return self.engine_at(self.settings.models.teacher)

    def engine_at(self, address: str) -> Engine:
        """Any engine behind the run's cache."""
        return self._cached(open_engine(address, self.progress))

    @cached_property
    def judges(self) -> list[Engine]:
        """The engines that judge, by their addresses; the teacher where none is given."""
        teacher = self.settings.models.teacher
        return [
            self.engine if address == teacher else self.engine_at(address)
            for address in dict.fromkeys(self.settings.evaluate.judges or (teacher,))
        ]

    @cached_property
    def teacher(self) -> Teacher:
        return Teacher(self.engine, self.prompts, self.progress)

    @cached_property
    def embed(self) -> Embed:
        return embedder(self.settings.models.embedder, self.progress)

    def by_meaning(self, documents: Sequence[Document]) -> bool:
        """Whether the embedder reads the documents' languages, so that it can compare."""
        name = self.settings.models.embedder
        foreign = unread(name, (document.language for document in documents))
        if foreign:
            self.progress.note(
                f"{name} does not read {', '.join(foreign)}, so no questions are compared by "
                "meaning. A multilingual embedder does (--models.embedder), such as "
                "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2."
            )
        return not foreign

    @cached_property
    def student(self) -> Path:
        return checkpoint_folder(self.settings.models.student, self.progress)

    @property
    def finished(self) -> dict[str, str]:
        """The run's finished trainings: the name of the system, else of the stage -> the stage."""
        left = [path for kind in ("adapter", "model") for path in self.run.glob(f"*/{kind}")]
        stages = {path.parent.name for path in left if path.is_dir() and not path.parent.suffix}
        known = {name: stage for name, stage in ADAPTERS.items() if stage in stages}
        return known | {stage: stage for stage in sorted(stages - set(known.values()))}

    def trained(self, stage: str | None) -> tuple[Path, Path | None]:
        """What a training stage left: a checkpoint, and the adapter to lay over it, if any.

        Full tuning leaves a checkpoint of its own; an adapter belongs to the checkpoint
        that its training started from. None is the student as it came. Raises InputError
        for a training that started from another student than the settings name, or from other
        weights than its folder holds now.
        """
        if stage is None:
            return self.student, None
        self._require_student(stage)
        if (self.run / stage / "model").is_dir():
            return self.run / stage / "model", None
        return self.trained(self._began_from(stage))[0], self.run / stage / "adapter"

    def _began_from(self, stage: str) -> str | None:
        """The training that this finished one went on from, whatever the settings are now."""
        made = read_manifest(self.run / stage)
        if stage == "sft" and made:
            return "midtrain" if "midtrain" in made.inputs else None
        return self.before(stage)

    def _require_student(self, stage: str) -> None:
        manifest, student = read_manifest(self.run / stage), self.settings.models.student
        before = made_with(manifest, STUDENT, student)
        if before != student:
            raise InputError(
                f"{self.run}: '{stage}' was trained from {before}, and models.student is {student} "
                f"now; run `adhere {stage} {self.run}` first, or set models.student back."
            )
        weights, now = manifest.inputs.get(STUDENT) if manifest else None, weights_mark(student)
        if weights and now and weights != now:
            raise InputError(
                f"{self.run}: '{stage}' was trained from other weights than are in {student} now; "
                f"run `adhere {stage} {self.run}` first, or put the weights back."
            )

    def before(self, stage: str) -> str | None:
        """The training that this one goes on from by these settings, if any."""
        midtrained = "midtrain" if self.settings.midtrain.enabled else None
        return {"sft": midtrained, "dpo": "sft"}.get(stage)

    def up_to(self, stage: str | None) -> list[str]:
        """A training and those that it goes on from, the first first; none for None."""
        return [*self.up_to(self.before(stage)), stage] if stage else []

    def student_engine(self, stage: str | None) -> Engine:
        """The student as one of the run's trainings left it, or as it came."""
        from adhere.engines.transformers import TransformersEngine

        model, adapter = self.trained(stage)
        name = self.settings.models.student if model == self.student else str(model)
        engine = TransformersEngine(name, adapter, self.progress)
        return self._cached(engine)

    def _cached(self, engine: Engine) -> Engine:
        return Cached(engine, self.run / "cache.sqlite", self.progress, self.asked)
