"""What the stages of one run work with: its folder, its settings, its models."""

from functools import cached_property
from pathlib import Path
from typing import TypeVar

from adhere.embedding import Embed, embedder
from adhere.engines import open_engine
from adhere.engines.base import Engine
from adhere.engines.cached import Cached, CacheStats
from adhere.evaluate.extras import read_extras
from adhere.models import checkpoint_folder
from adhere.progress import Progress
from adhere.prompts import Prompts
from adhere.settings import RunSettings
from adhere.store import read_records
from adhere.teacher import Teacher

T = TypeVar("T")

ADAPTERS = {"document-lm": "document-lm", "sft": "sft", "dpo": "dpo-alone", "sft+dpo": "dpo"}
"""The systems that are the student under an adapter, and the stage that trains it."""


class Bench:
    """What the stages of one run work with; models are opened when first used."""

    def __init__(self, run: Path, settings: RunSettings, progress: Progress) -> None:
        self.run = run
        self.settings = settings
        self.progress = progress
        self.prompts = Prompts(run / "prompts", settings.models.style)
        self.asked = CacheStats()
        """What all its engines were asked, and how much of that the cache knew."""

    def read(self, name: str, kind: type[T]) -> list[T]:
        return read_records(self.run / name, kind)

    def check(self) -> None:
        """Raise now what would otherwise be found after an hour.

        Unknown or unreachable models, missing packages, files of the user's that are not
        of their layout; weights are fetched here.
        """
        read_extras(self.settings.evaluate)
        others = [self.engine_at(address) for address in self.settings.evaluate.systems.values()]
        for engine in dict.fromkeys((self.engine, *self.judges, *others)):
            engine.check()
        for name in (self.settings.models.student, self.settings.models.embedder):
            checkpoint_folder(name, self.progress)

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

    @cached_property
    def student(self) -> Path:
        return checkpoint_folder(self.settings.models.student, self.progress)

    @property
    def adapters(self) -> dict[str, Path]:
        """The finished adapters of the run by the name of their system, else of their stage."""
        names = {stage: name for name, stage in ADAPTERS.items()}
        there = [path for path in sorted(self.run.glob("*/adapter")) if not path.parent.suffix]
        found = {names.get(path.parent.name, path.parent.name): path for path in there}
        known = {name: found.pop(name) for name in ADAPTERS if name in found}
        return known | found

    def student_engine(self, adapter: str | None) -> Engine:
        """The student under one of the run's adapters, or as it came."""
        from adhere.engines.transformers import TransformersEngine

        folder = self.run / adapter if adapter else None
        return self._cached(TransformersEngine(self.settings.models.student, folder, self.progress))

    def _cached(self, engine: Engine) -> Engine:
        return Cached(engine, self.run / "cache.sqlite", self.progress, self.asked)
