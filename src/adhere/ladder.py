"""The systems that a run compares: its own rungs, the opponents, and whom the user adds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from adhere.bench import ADAPTERS, Bench
from adhere.engines.base import Engine, open_engine
from adhere.errors import SettingsError
from adhere.evaluate import Material
from adhere.evaluate.reading import ReadDocument, Reading, ReadOwn, fitting
from adhere.evaluate.retrieval import Retrieved, Retriever, Tuning, tuned
from adhere.evaluate.systems import System
from adhere.run_files import DOCUMENTS, EXAMPLES

OWN = frozenset({"base", "base+rag", "base+document", *ADAPTERS, "sft+dpo+rag", "teacher+passage"})
"""Names that adhere gives."""

_CEILING = (
    "The teacher, reading the passage that each question was written from. It also wrote the "
    "references, so it is a ceiling and not an opponent."
)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Systems, base first, and how their retrieval was tuned (None where the user chose)."""

    systems: tuple[System, ...]
    retrieved: Retrieved
    """What those that retrieve read."""
    tuning: Tuning | None

    def retrieval(self) -> dict[str, Any]:
        """For `summary.json`."""
        return {
            "passages": self.retrieved.count,
            "tuning": asdict(self.tuning) if self.tuning else None,
        }


def check_systems(systems: Mapping[str, str]) -> None:
    """Raise SettingsError for a user's system whose name is taken or whose address is none."""
    for name, address in systems.items():
        if name in OWN:
            raise SettingsError(f"'{name}' is one of adhere's own systems; choose another name.")
        open_engine(address)


def ladder(bench: Bench, measured: Material) -> Ladder:
    """The run's systems by `evaluate.ladder` and `evaluate.systems`.

    Raises what `check_systems` raises.
    """
    check_systems(bench.settings.evaluate.systems)
    base = bench.student_engine(None)
    retrieved, tuning = _retrieved(bench, measured, base)
    others = [
        System(name=name, engine=bench.engine_at(address), note=address)
        for name, address in bench.settings.evaluate.systems.items()
    ]
    systems = (*_rungs(bench, measured, base, retrieved), *others)
    return Ladder(systems, retrieved, tuning)


def _rungs(
    bench: Bench, measured: Material, base: Engine, retrieved: Retrieved
) -> Iterator[System]:
    full = bench.settings.evaluate.ladder == "full"
    yield System(name="base", engine=base)
    yield System(name="base+rag", engine=base, read=retrieved)
    if full:
        yield _with_document(bench, measured, base)
    trained = {name: bench.student_engine(stage) for name, stage in ADAPTERS.items()}
    for name, engine in trained.items():
        yield System(name=name, engine=engine)
    yield System(name="sft+dpo+rag", engine=trained["sft+dpo"], read=retrieved)
    if full:
        yield _ceiling(bench, measured)


def _retrieved(bench: Bench, measured: Material, base: Engine) -> tuple[Retrieved, Tuning | None]:
    retriever = Retriever(measured.passages, bench.embed)
    render, count, tuning = partial(_before, bench), bench.settings.evaluate.retrieved, None
    if count is None:
        examples = bench.read(EXAMPLES)
        home = {clause.id: clause.passage for clause in measured.clauses}
        tuning = tuned(retriever, examples, home, base, render, bench.progress)
        count = tuning.count
    return Retrieved(retriever=retriever, count=count, render=render), tuning


def _with_document(bench: Bench, measured: Material, base: Engine) -> System:
    fits = fitting(
        bench.read(DOCUMENTS),
        measured.probes,
        bench.settings.evaluate.max_tokens,
        bench.student,
    )
    read = ReadDocument(text=_before(bench, [fits.text]))
    return System(name="base+document", engine=base, read=read, note=str(fits))


def _ceiling(bench: Bench, measured: Material) -> System:
    sources = measured.sources()
    home = {clause.id: clause.passage for clause in measured.clauses}
    own = {
        probe.id: Reading(
            text=_before(bench, [sources[probe.clause]]), passages=(home[probe.clause],)
        )
        for probe in measured.probes
    }
    return System(
        name="teacher+passage",
        engine=bench.engine,
        read=ReadOwn(own=own),
        note=_CEILING,
        probes_only=True,
    )


def _before(bench: Bench, texts: Sequence[str]) -> str:
    """What is put before a question that the texts help with."""
    return bench.prompts.render("retrieved", passages=texts).rstrip() + "\n\n"
