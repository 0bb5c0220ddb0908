"""The HTML page itself: tables, sentences and plots poured into the template."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from adhere.progress import duration
from adhere.report import clauses, costs, kept, plots, sentences, systems
from adhere.report.data import (
    GAIN,
    SYSTEMS,
    WIN_RATE,
    ReportData,
    headline_system,
    measured_metrics,
)
from adhere.text_coverage import place_of, text_coverage, why

_HERE = Path(__file__).parent


def write_report(report: ReportData, folder: Path) -> Path:
    """Write `folder/report.html` and return its path.

    The page loads nothing from anywhere: style, script and plots are inside it,
    and its content security policy admits that one script alone, by its hash.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(_context(report))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _context(report: ReportData) -> dict[str, Any]:
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    return {
        "report": report,
        "titles": sentences.titles(report),
        "counted": sentences.counted,
        "duration": duration,
        "style": Markup((_HERE / "report.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "summary": sentences.summary_sentences(report),
        "limits": sentences.limits(report),
        "changes": report.changes,
        **_systems(report),
        **_clauses(report),
        **_data(report),
        **_making(report),
    }


def _systems(report: ReportData) -> dict[str, Any]:
    summary = report.summary
    metrics = measured_metrics(summary)
    return {
        "metrics": metrics,
        "systems": systems.system_rows(summary),
        "about": SYSTEMS,
        "headline": headline_system(summary),
        "systems_plot": Markup(plots.systems_plot(summary)) if metrics else None,
        "systems_alt": sentences.systems_words(summary),
        "comparisons": sentences.comparison_sentences(summary),
        "differences": systems.difference_rows(summary),
        "exams": [sentences.exam_sentence(judge) for judge in summary.get("judges", ())],
        "win_rate": WIN_RATE,
        "agreement": sentences.agreement_sentences(summary),
        "provenance": systems.provenance_rows(summary),
        "notes": summary.get("notes", {}),
        "costs": costs.cost_rows(summary),
        "official": costs.official_rows(report.official),
        "official_notes": costs.official_notes(report.official),
        "official_exams": [
            sentences.exam_sentence(judge) for judge in report.official.get("judges", ())
        ],
        "official_wins": systems.win_rows(report.official),
        "accuracy": costs.ACCURACY,
        "win_rates": systems.win_rows(summary),
    }


def _clauses(report: ReportData) -> dict[str, Any]:
    rows = clauses.clause_rows(report)
    return {
        "clauses": rows,
        "legend": clauses.legend(rows),
        "standing": clauses.standing_rows(rows),
        "polarities": sorted({row.clause.polarity for row in rows}),
        "gain": GAIN,
        "verdict_words": sentences.verdict_words,
        "documents": [
            (document, list(clauses.segments(document, rows, report.passages)))
            for document in report.documents
        ],
        **_coverage(report),
    }


def _coverage(report: ReportData) -> dict[str, Any]:
    dropped = [drop for drop in report.dropped if drop.stage == "clauses"]
    found = text_coverage(report.documents, report.passages, report.clauses, dropped, report.aside)
    return {
        "coverage": found,
        "silent": {one.passage.id: why(one) for row in found for one in row.silent},
        "place_of": place_of,
        "why": why,
    }


def _data(report: ReportData) -> dict[str, Any]:
    rows, drops = kept.funnels(report), kept.drop_counts(report.dropped)
    some = any(row.kept or row.generated for row in rows)
    return {
        "funnels": rows if some else [],
        "drops": drops,
        "data_plot": Markup(plots.data_plot(rows, drops)) if some else None,
        "data_alt": sentences.data_words(rows, drops),
        "sample_examples": kept.spread(report.examples, 3),
        "sample_pairs": kept.spread(report.pairs, 3),
    }


def _making(report: ReportData) -> dict[str, Any]:
    drawn = {name: plots.curve_plot(rows) for name, rows in report.curves.items()}
    versions: dict[str, str] = {}
    for manifest in report.manifests:
        versions |= manifest.versions
    return {
        "alarms": [
            (manifest.stage, said)
            for manifest in report.manifests
            for said in manifest.facts.get("alarms", ())
        ],
        "curves": {name: Markup(plot) for name, plot in drawn.items() if plot},
        "curves_alt": {name: sentences.curve_words(rows) for name, rows in report.curves.items()},
        "settings": _setting_rows(report),
        "versions": sorted(versions.items()),
        "seconds": sum(manifest.seconds for manifest in report.manifests),
    }


def _setting_rows(report: ReportData) -> list[tuple[str, str, bool]]:
    """Every setting: its name as in `run.toml`, its value, and whether it was changed.

    As the stages had it, each by itself where they had it otherwise; as the run file has it
    now where no stage read its section.
    """
    default = _flat(type(report.settings)().model_dump(mode="json"))
    return [
        (
            f"{name} ({sentences.listed(stages)})" if len(values) > 1 else name,
            str(value),
            value != default.get(name),
        )
        for name, values in _used(report).items()
        for value, stages in values.items()
    ]


def _used(report: ReportData) -> dict[str, dict[Any, list[str]]]:
    """Setting -> each value that it was used with -> the stages that had it so."""
    used: dict[str, dict[Any, list[str]]] = {}
    for manifest in report.manifests:
        for name, value in _flat(manifest.settings).items():
            used.setdefault(name, {}).setdefault(value, []).append(manifest.stage)
    read = {section for manifest in report.manifests for section in manifest.settings}
    for section, values in report.settings.model_dump(mode="json").items():
        if section not in read:
            for name, value in _flat({section: values}).items():
                used.setdefault(name, {value: []})
    return used


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = ", ".join(value) if isinstance(value, list) else value
    return flat
