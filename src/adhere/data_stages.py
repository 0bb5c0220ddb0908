"""The stages that make the data: what each reads from a run's folder, calls, and writes."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adhere.bench import Bench
from adhere.clauses import extract_clauses, reread
from adhere.conflicts import check_precedence, find_relations, settle
from adhere.curate import curate
from adhere.errors import InputError
from adhere.generate import ANGLES, generate, rewritings
from adhere.grounding import Grounding
from adhere.ingest import ingest
from adhere.previous import keep_previous, replaces
from adhere.records import (
    Clause,
    Document,
    Dropped,
    Example,
    PreferencePair,
    Probe,
)
from adhere.review import REVIEWED, Review
from adhere.run_files import (
    CLAUSES,
    DOCUMENTS,
    EXAMPLES,
    GENERATED_EXAMPLES,
    GENERATED_PAIRS,
    GENERATED_PROBES,
    PAIRS,
    PASSAGES,
    PROBES,
    RELATIONS,
    REWRITINGS,
    SET_ASIDE,
    dropped_of,
)
from adhere.store import count_reasons

ROW_PROMPTS = ("question", "opposite", "answer", "against", "critique", "revise")
"""The prompts that rows are made with."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage has to say for its manifest."""

    counts: dict[str, int]
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


def ingest_stage(bench: Bench, folder: Path) -> Outcome:
    """The documents and their passages; the evaluation of other documents is kept aside."""
    paths = [Path(name) for name in bench.settings.documents]
    documents, passages = ingest(paths, bench.settings.ingest, bench.progress)
    for document in documents:
        for note in document.notes:
            bench.progress.note(f"{document.name}: {note}")
    if said := replaces(bench.run, documents):
        bench.progress.note(said)
    keep_previous(bench.run, documents)
    return Outcome(
        {
            "documents": DOCUMENTS.write(folder, documents),
            "passages": PASSAGES.write(folder, passages),
        }
    )


def clauses_stage(bench: Bench, folder: Path) -> Outcome:
    """The clauses that stand, those that gave way, and how they relate.

    Raises InputError where the documents hold no value content.
    """
    documents = bench.read(DOCUMENTS)
    settings = bench.settings.clauses
    check_precedence(documents, settings)
    clauses, dropped = extract_clauses(documents, bench.read(PASSAGES), bench.teacher, settings)
    review = Review(bench.run, "clauses", REVIEWED["clauses"])
    clauses = _reviewed(review, clauses, documents, dropped)
    if not clauses:
        raise InputError(
            "No value content was found in these documents: the teacher read every sentence "
            "and took none as a rule or a value. Give a document that says what people must, "
            "may or should do, or a stronger teacher (--models.teacher)."
        )
    relations = find_relations(clauses, documents, bench.embed, settings)
    settled = settle(clauses, relations, documents, settings)
    if settled.unsettled:
        bench.progress.note(
            f"Contradictions that are not settled, so that both sides make data: "
            f"{settled.unsettled}. `adhere conflicts {bench.run}` shows them and the remedy."
        )
    SET_ASIDE.write(folder, settled.aside)
    RELATIONS.write(folder, settled.relations)
    counts = {"clauses": CLAUSES.write(folder, settled.standing)}
    counts |= Counter(clause.polarity for clause in settled.standing)
    dropped += settled.dropped
    return outcome(folder, counts, dropped, _review_facts(bench, review))


def _reviewed(
    review: Review, clauses: list[Clause], documents: list[Document], dropped: list[Dropped]
) -> list[Clause]:
    """The clauses after a person's decisions, the edited ones read anew."""
    language = {document.id: document.language for document in documents}
    read = {clause.id for clause in clauses}
    return [
        clause if clause.id in read else reread(clause, language[clause.document])
        for clause in review.apply("clauses", clauses, dropped)
    ]


def generate_stage(bench: Bench, folder: Path) -> Outcome:
    """Examples, pairs and probes, as the teacher wrote them."""
    documents, settings = bench.read(DOCUMENTS), bench.settings.generate
    if not bench.by_meaning(documents):
        settings = settings.model_copy(update={"min_relevance": -1.0})
    student = bench.student_engine(None)
    rows = generate(
        documents,
        bench.read(PASSAGES),
        bench.read(CLAUSES),
        bench.teacher,
        student,
        bench.embed,
        settings,
    )
    student.close()
    return outcome(
        folder, _write_rows(folder, rows.examples, rows.pairs, rows.probes), rows.dropped
    )


def curate_stage(bench: Bench, folder: Path) -> Outcome:
    """The rows worth keeping.

    Raises InputError where none of a kind is left.
    """
    documents, settings = bench.read(DOCUMENTS), bench.settings.curate
    if not bench.by_meaning(documents):
        settings = settings.model_copy(update={"semantic_duplicate": 1.0})
    languages = sorted({document.language for document in documents})
    kept = curate(
        bench.read(GENERATED_EXAMPLES),
        bench.read(GENERATED_PAIRS),
        bench.read(GENERATED_PROBES),
        bench.read(CLAUSES),
        documents,
        bench.read(PASSAGES),
        Grounding(bench.engine, bench.progress),
        bench.embed,
        [bench.prompts.bare(name, language) for name in ROW_PROMPTS for language in languages],
        settings,
    )
    review = Review(bench.run, "curate", REVIEWED["curate"])
    counts = _write_rows(
        folder,
        review.apply("examples", kept.examples, kept.dropped),
        review.apply("pairs", kept.pairs, kept.dropped),
        review.apply("probes", kept.probes, kept.dropped),
    )
    for name in ("examples", "pairs", "probes"):
        if not counts[name]:
            raise InputError(
                f"curate kept none of the {name}: {count_reasons(kept.dropped)}. Loosen [curate] "
                "in run.toml, generate more, or use a stronger teacher."
            )
    bench.engine.close()
    return outcome(folder, counts, kept.dropped, _review_facts(bench, review))


def _review_facts(bench: Bench, review: Review) -> dict[str, Any]:
    if review.waiting:
        bench.progress.note(
            "A person's decisions wait for rows that are not there now (review/decisions.jsonl): "
            f"{', '.join(review.waiting)}."
        )
    return review.facts()


def rewrite_stage(bench: Bench, folder: Path) -> Outcome:
    """The passages that hold a clause, told again."""
    documents = bench.read(DOCUMENTS)
    valued = {clause.passage for clause in bench.read(CLAUSES)}
    passages = bench.read(PASSAGES)
    kept, dropped = rewritings(
        [passage for passage in passages if passage.id in valued],
        {document.id: document.language for document in documents},
        bench.teacher,
        ANGLES[: bench.settings.midtrain.rewritings],
        bench.settings.clauses.min_support,
    )
    bench.engine.close()
    counts = {"rewritings": REWRITINGS.write(folder, kept)}
    return outcome(folder, counts | Counter(one.angle for one in kept), dropped)


def _write_rows(
    folder: Path, examples: list[Example], pairs: list[PreferencePair], probes: list[Probe]
) -> dict[str, int]:
    return {
        "examples": EXAMPLES.write(folder, examples),
        "pairs": PAIRS.write(folder, pairs),
        "probes": PROBES.write(folder, probes),
    }


def outcome(
    folder: Path,
    counts: dict[str, int],
    dropped: list[Dropped],
    facts: dict[str, Any] | None = None,
) -> Outcome:
    """What a stage has to say, its dropped records being written to `folder`."""
    dropped_of(folder.stem).write(folder, dropped)
    return Outcome(counts, count_reasons(dropped), facts or {})
