"""A run's rows in TRL's conversational layouts, each with where it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from adhere.errors import InputError
from adhere.faults import Known, known
from adhere.records import Example, PreferencePair, Probe
from adhere.review import STALE, require_reviewed
from adhere.run_files import CLAUSES, DOCUMENTS, EXAMPLES, PAIRS, PROBES
from adhere.store import require_current

Row = Example | PreferencePair | Probe


class RunData:
    """What a run has made so far, up to `curate`.

    Raises InputError where `curate` has not been run, or not since `clauses`, where `clauses`
    is not of the documents as they were read last, and where either was made with other
    decisions of a person than those imported last.
    """

    def __init__(self, run: Path) -> None:
        require_current(run, ("clauses",))
        require_reviewed(run)
        self.run = run
        self.documents = DOCUMENTS.read(run)
        clauses = CLAUSES.read(run)
        self.clauses = {clause.id: clause for clause in clauses}
        self.examples = EXAMPLES.read(run)
        self.pairs = PAIRS.read(run)
        self.probes = PROBES.read(run)
        if not {row.clause for row in self.rows} <= self.clauses.keys():
            raise InputError(f"{run}: {STALE} Run `adhere run {run}` first.")

    @property
    def rows(self) -> list[Row]:
        return [*self.examples, *self.pairs, *self.probes]

    @cached_property
    def known(self) -> Known:
        return known(document.text for document in self.documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One table of the dataset: a configuration with one split."""

    config: str
    name: Literal["train", "test"]
    layout: str
    """Its columns, in words."""
    records: Sequence[Row]
    table: list[dict[str, Any]]
    """The same rows as they are written."""


def splits(data: RunData) -> list[Split]:
    """`sft` as language modelling, `preference` with explicit prompts, `probes` as prompts.

    The layouts are those of `trl.data_utils`; columns that TRL does not know it leaves alone.
    """
    return [
        Split(
            config="sft",
            name="train",
            layout="`messages`",
            records=data.examples,
            table=[
                {"messages": [*_said("user", row.question), *_said("assistant", row.answer)]}
                | _source(row, data)
                for row in data.examples
            ],
        ),
        Split(
            config="preference",
            name="train",
            layout="`prompt`, `chosen`, `rejected`",
            records=data.pairs,
            table=[
                {
                    "prompt": _said("user", row.question),
                    "chosen": _said("assistant", row.chosen),
                    "rejected": _said("assistant", row.rejected),
                    "strategy": row.strategy,
                }
                | _source(row, data)
                for row in data.pairs
            ],
        ),
        Split(
            config="probes",
            name="test",
            layout="`prompt`; `reference` and `contrast` are text, `contrast` may be empty",
            records=data.probes,
            table=[
                {
                    "prompt": _said("user", row.question),
                    "reference": row.reference,
                    "contrast": row.contrast or "",
                }
                | _source(row, data)
                for row in data.probes
            ],
        ),
    ]


def _said(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def _source(row: Row, data: RunData) -> dict[str, str]:
    clause = data.clauses[row.clause]
    name = {document.id: document.name for document in data.documents}
    return {
        "id": row.id,
        "kind": row.kind,
        "clause": clause.id,
        "statement": clause.statement,
        "document": name[clause.document],
        "written_by": row.origin.model,
        "prompt_template": row.origin.prompt,
    }
