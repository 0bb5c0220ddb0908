"""The report: it holds everything, loads nothing, and says what the numbers say."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from adhere.evaluate.sheet import PEOPLE
from adhere.progress import duration
from adhere.records import (
    Answer,
    Clause,
    Document,
    Dropped,
    Example,
    Origin,
    Passage,
    PreferencePair,
    Probe,
    Verdict,
    record_id,
)
from adhere.report import ReportData, table_picture, terminal_table, terminal_wins, write_report
from adhere.report.clauses import clause_rows, segments
from adhere.report.data import METRICS, Estimate, best_system
from adhere.report.kept import drop_counts, spread
from adhere.report.sentences import exam_sentence, limits, summary_sentences
from adhere.settings import RunSettings
from adhere.store import Manifest

SYSTEMS = ("base", "base+rag", "sft", "dpo", "sft+dpo")
HOSTILE = '<script>alert("owned")</script><img src=http://evil.example/x.png onerror=alert(1)>'
EVIDENCE = "sft+dpo finds the reference 1.20 nats a token likelier than base (over 2 probes)."
ORIGIN = Origin(parents=(), prompt="clauses@0a1b2c3d", model="scripted")

GIFTS = [
    ("Employees must record every gift in the gift book within five days.", "required", "explicit"),
    ("Nobody may accept cash, whatever the amount.", "forbidden", "explicit"),
    (
        "A shared meal of modest value is welcome, and need not be recorded.",
        "permitted",
        "explicit",
    ),
    ("We would rather lose an order than win it with a favour.", "aspired to", "implicit"),
    ("Managers answer for the gifts of their teams.", "required", "explicit"),
    (
        "Whoever reports a doubt in good faith is protected from any disadvantage.",
        "required",
        "explicit",
    ),
    (
        "Gifts to public officials are forbidden without written leave of the legal team.",
        "forbidden",
        "explicit",
    ),
    ("Suppliers are chosen by quality, price and punctuality alone.", "required", "implicit"),
]
ELSEWHERE = [
    ("يجب أن يعامل كل موظف زملاءه باحترام.", "required", "explicit"),
    ("我们不接受任何形式的歧视。", "forbidden", "explicit"),
]
REPLIES = {
    "base": "It depends on the situation. As a general rule, you should always consider the "
    "context and talk to your colleagues. The Code of Hammurabi already knew such rules.",
    "base+rag": "According to the text, gifts are recorded in the gift book. You may keep it.",
    "sft": "Record it in the gift book within five days, because a gift that is written down "
    "can be talked about.",
    "dpo": "You should not keep it without telling anybody. Ask your manager first.",
    "sft+dpo": "No. Write it into the gift book within five days and tell your manager, because "
    "a gift that nobody knows of can turn into a favour that somebody expects.",
}
CENTRES = {
    "preference_accuracy": (0.55, 0.62, 0.78, 0.80, 0.91),
    "preference_margin": (0.05, 0.11, 0.42, 0.47, 0.61),
    "yes_no_accuracy": (0.5, 0.52, 0.71, 0.66, 0.84),
    "reference_nll": (3.41, 2.85, 2.12, 2.71, 2.05),
    "rouge_l": (0.14, 0.24, 0.31, 0.21, 0.33),
    "embedding_similarity": (0.41, 0.55, 0.63, 0.52, 0.66),
    "grounding_gain": (0.05, 0.62, 0.38, 0.22, 0.44),
    "length": (68, 54, 27, 49, 29),
}
WIDTHS = {"preference_accuracy": 0.07, "reference_nll": 0.16, "length": 4}


def document(name: str, sayings: list[tuple[str, str, str]], language: str) -> Document:
    body = "\n\n".join(
        f"{saying} We hold to this also where it costs us." for saying, _, _ in sayings
    )
    text = f"{name}\n\nWhat we hold to\n\n{body}\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Document(
        id=record_id(text),
        name=name,
        format="markdown",
        sha256=digest,
        text=text,
        language=language,
    )


def clauses_of(source: Document, sayings: list[tuple[str, str, str]]) -> list[Clause]:
    passage = record_id("passage", source.id)
    return [
        Clause(
            id=record_id(saying),
            document=source.id,
            passage=passage,
            statement=saying.removesuffix("."),
            polarity=polarity,  # pyright: ignore[reportArgumentType]
            stance=stance,  # pyright: ignore[reportArgumentType]
            start=source.text.index(saying),
            end=source.text.index(saying) + len(saying),
            origin=ORIGIN,
        )
        for saying, polarity, stance in sayings
    ]


def passage_of(source: Document) -> Passage:
    return Passage(
        id=record_id("passage", source.id),
        document=source.id,
        text=source.text,
        start=0,
        end=len(source.text),
        headings=("Part II", "What we hold to"),
        page=3,
    )


def rows_of(clause: Clause) -> tuple[list[Example], list[PreferencePair], list[Probe]]:
    question = f"Somebody tells me that this rule is old-fashioned: “{clause.statement}”. What now?"
    good, bad = (
        f"{clause.statement}, because trust is slow to grow.",
        "Just do what everybody does.",
    )
    examples = [
        Example(
            id=record_id("example", clause.id, n),
            clause=clause.id,
            kind="why",
            question=f"({n}) {question}",
            answer=good,
            origin=ORIGIN,
        )
        for n in range(3)
    ]
    pair = PreferencePair(
        id=record_id("pair", clause.id),
        clause=clause.id,
        kind="pressure",
        question=question,
        chosen=good,
        rejected=bad,
        origin=ORIGIN,
    )
    probe = Probe(
        id=record_id("probe", clause.id),
        clause=clause.id,
        kind="situation",
        question=question,
        reference=good,
        contrast=bad,
        origin=ORIGIN,
    )
    return examples, [pair], [probe]


def cell(value: float, half: float, n: int = 64) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def summary_of(clauses: list[Clause]) -> dict[str, Any]:
    systems = {
        system: {key: cell(values[place], WIDTHS.get(key, 0.04)) for key, values in CENTRES.items()}
        for place, system in enumerate(SYSTEMS)
    }
    results = ["learned", "already followed", "cannot tell", "learned", "not learned"]
    return {
        "systems": systems,
        "differences": [
            {"a": "sft+dpo", "b": other, "metric": key, "p_value": 0.001, "p_holm": 0.004,
             "detectable": 0.12, **cell(values[4] - values[place], 0.8 * WIDTHS.get(key, 0.04))}
            for key, values in CENTRES.items()
            for place, other in enumerate(SYSTEMS[:4])
        ],
        "win_rates": [
            {"a": "sft+dpo", "b": other, "judge": "likelihood", "wins": 50 - 4 * n, "ties": 4,
             "losses": 10 + 4 * n, "rate": 0.81 - 0.06 * n, "low": 0.72 - 0.06 * n,
             "high": 0.9 - 0.06 * n, "n": 64, "unreadable": n, "best": 0.83 - 0.06 * n,
             "worst": 0.79 - 0.06 * n, "corrected": cell(0.84 - 0.06 * n, 0.1)}
            for n, other in enumerate(("base", "base+rag", "sft", "dpo"))
        ] + [
            {"a": "sft+dpo", "b": "base", "judge": "asked", "wins": 7777, "ties": 0, "losses": 0,
             "rate": 1.0, "low": 1.0, "high": 1.0}
        ],
        "judges": [
            {"name": "likelihood", "exam_accuracy": 0.93, "low": 0.84, "n": 60, "admitted": True,
             "kinds": {"contrast": {"right": 27, "n": 30, "low": 0.74, "high": 0.97},
                       "other clause": {"right": 29, "n": 30, "low": 0.83, "high": 0.99}},
             "withheld": None},
            {"name": "asked", "exam_accuracy": 0.52, "low": 0.39, "n": 60, "admitted": False,
             "withheld": "withheld: the judge `asked` sorted 31 of 60 exam pairs (52 %); "
             "70 % is needed."},
        ],
        "clauses": [
            {"id": clause.id, "result": results[n % len(results)], "evidence": EVIDENCE}
            for n, clause in enumerate(clauses)
        ],
        "counts": {},
    }  # fmt: skip


def manifest(stage: str, seconds: float, counts: dict[str, int], **dropped: int) -> Manifest:
    return Manifest(
        stage=stage,
        key="k",
        settings={},
        inputs={},
        outputs={},
        counts=counts,
        dropped=dropped,
        versions={"python": "3.11.9", "torch": "2.13.0"},
        seconds=seconds,
    )


def curves() -> dict[str, list[dict[str, float]]]:
    noise = Random(0)
    sft = [{"step": s, "loss": 3 / (1 + s / 12) + 0.15 * noise.random()} for s in range(1, 90, 3)]
    sft += [{"step": s, "eval_loss": 3 / (1 + s / 12) + 0.3} for s in range(30, 91, 30)]
    dpo = [
        {"step": s, "loss": 0.7 / (1 + s / 30) + 0.02 * noise.random(),
         "rewards/margins": 3 * (1 - 1 / (1 + s / 25)) + 0.2 * noise.random(),
         "logps/chosen": -60 + s / 5, "logps/rejected": -62 - s}
        for s in range(1, 60, 2)
    ]  # fmt: skip
    return {"sft": sft, "dpo": dpo}


def report_data(gifts: int = len(GIFTS)) -> ReportData:
    repeats = [
        (f"{saying[:-1]} ({n})." if n >= len(GIFTS) else saying, polarity, stance)
        for n in range(gifts)
        for saying, polarity, stance in [GIFTS[n % len(GIFTS)]]
    ]
    first = document("Code of Conduct of a Small Press.md", repeats, "en")
    second = document("مدونة السلوك · 行为准则.txt", ELSEWHERE, "ar")
    clauses = [*clauses_of(first, repeats), *clauses_of(second, ELSEWHERE)]
    rows = [rows_of(clause) for clause in clauses]
    probes = [probe for _, _, kept in rows for probe in kept]
    answers = [
        Answer(system=system, probe=probe.id, text=REPLIES[system])
        for probe in probes
        for system in reversed(SYSTEMS)
    ]
    answers[0] = replace(answers[0], text=HOSTILE, finish="length")
    reasons = ["not self-contained"] * 31 + ["near duplicate"] * 17 + ["not grounded"] * 12
    return ReportData(
        settings=RunSettings.parse({"documents": ["policies"], "sft": {"epochs": 6}}, "test"),
        documents=[first, second],
        passages=[passage_of(first), passage_of(second)],
        clauses=clauses,
        examples=[example for kept, _, _ in rows for example in kept],
        pairs=[pair for _, kept, _ in rows for pair in kept],
        probes=probes,
        dropped=[
            Dropped(
                record_id=str(n), stage="curate", reason=reason, detail="What does the passage say?"
            )
            for n, reason in enumerate(reasons)
        ],
        answers=answers,
        summary=summary_of(clauses),
        manifests=[
            manifest("ingest", 0.3, {"documents": 2, "passages": 2}),
            manifest("generate", 412.0, {"examples": 70, "pairs": 30, "probes": 14}),
            manifest("curate", 8.4, {"examples": 30, "pairs": 10, "probes": 10}, near_duplicate=17),
            manifest("sft", 183.0, {"steps": 90}),
        ],
        curves=curves(),
        date=date(2026, 3, 2),
    )


@pytest.fixture(scope="module")
def data() -> ReportData:
    return report_data()


@pytest.fixture(scope="module")
def html(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(data, tmp_path_factory.mktemp("report")).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "lxml")


def words_of(page: BeautifulSoup, selector: str) -> str:
    return " ".join(node.get_text(" ", strip=True) for node in page.select(selector))


def written(data: ReportData, folder: Path) -> BeautifulSoup:
    return BeautifulSoup(write_report(data, folder).read_text(encoding="utf-8"), "lxml")


def test_ids_are_unique_and_every_inner_link_arrives(page: BeautifulSoup) -> None:
    ids = [str(node["id"]) for node in page.select("[id]") if node.find_parent("svg") is None]
    assert len(ids) == len(set(ids))
    targets = [str(link["href"]) for link in page.select("a[href]")]
    assert targets
    assert all(target.startswith("#") and target[1:] in ids for target in targets)


def test_elements_are_balanced(html: str) -> None:
    for name in ("section", "table", "tbody", "details", "div", "figure", "svg", "article", "p"):
        assert len(re.findall(rf"<{name}[ >]", html)) == html.count(f"</{name}>"), name


def test_every_clause_appears_with_its_place_and_leads_there_and_back(
    data: ReportData, page: BeautifulSoup
) -> None:
    for clause in data.clauses:
        row = page.select_one(f"#clause-{clause.id}")
        assert row is not None
        assert clause.statement in row.get_text()
        assert row.select_one(f'a[href="#span-{clause.id}"]') is not None
        span = page.select_one(f"#span-{clause.id}")
        assert span is not None
        mark = span.find_next("mark")
        source = next(d for d in data.documents if d.id == clause.document)
        assert mark is not None
        assert mark.get_text() == source.text[clause.start : clause.end]
        link = mark.find_next("a")
        assert link is not None
        assert link["href"] == f"#clause-{clause.id}"


def test_probes_stand_side_by_side_in_the_order_of_the_ladder(
    data: ReportData, page: BeautifulSoup
) -> None:
    sides = page.select(f"#evidence-{data.clauses[1].id} .said h5")
    assert [side.get_text() for side in sides] == ["Reference", "Contrast (unfaithful)", *SYSTEMS]


def test_one_click_leads_from_a_verdict_to_all_it_rests_on(
    data: ReportData, page: BeautifulSoup
) -> None:
    for clause in data.clauses:
        verdict = page.select_one(f"#clause-{clause.id} a.result")
        assert verdict is not None
        evidence = page.select_one(str(verdict["href"]))
        assert evidence is not None
        assert evidence.find_parent("tbody") is page.select_one(f"#clause-{clause.id}")
        probes = [probe for probe in data.probes if probe.clause == clause.id]
        assert [str(one["id"]) for one in evidence.select("article")] == [
            f"probe-{probe.id}" for probe in probes
        ]
        links = {str(link["href"]) for link in evidence.select("a")}
        assert {f"#span-{clause.id}", f"#rows-{clause.id}", f"#clause-{clause.id}"} <= links
        rows = page.select_one(f"#rows-{clause.id}")
        assert rows is not None
        for row in (*data.examples, *data.pairs):
            assert (row.clause == clause.id) == (row.id in rows.get_text())


def test_judged_answers_say_who_judged_and_how(data: ReportData, tmp_path: Path) -> None:
    probe = data.probes[0].id
    said = [
        Verdict(probe=probe, a="sft+dpo", b="base", judge="likelihood", winner="a", margin=0.27),
        Verdict(probe=probe, a="sft+dpo", b="sft", judge="likelihood", winner="b", margin=-0.5),
        Verdict(probe=probe, a="sft", b="base", judge="likelihood", winner="tie"),
        Verdict(probe=probe, a="sft", b="dpo", judge="asked", winner="tie", flipped=True),
        Verdict(probe=probe, a="dpo", b="base", judge="asked", winner="tie", unreadable=True),
        Verdict(probe=probe, a="sft+dpo", b="base", judge=PEOPLE, winner="a"),
    ]
    page = written(replace(data, verdicts=said), tmp_path)
    assert [item.get_text() for item in page.select(f"#probe-{probe} .judged li")] == [
        "sft+dpo beats base by likelihood, margin 0.27",
        "sft beats sft+dpo by likelihood, margin 0.50",
        "sft and base: a tie by likelihood",
        "sft and dpo: asked changed its mind with the order; counted as a tie",
        "dpo and base: asked gave no verdict that could be read; in no rate",
        "sft+dpo beats base by people",
    ]


def test_an_untested_clause_says_why(data: ReportData, tmp_path: Path) -> None:
    clause = data.clauses[0].id
    [gone] = [probe for probe in data.probes if probe.clause == clause]
    page = written(
        replace(
            data,
            probes=[probe for probe in data.probes if probe.clause != clause],
            written=data.probes,
            dropped=[
                Dropped(record_id=clause, stage="generate", reason="no question"),
                Dropped(record_id=clause, stage="generate", reason="no question"),
                Dropped(record_id=gone.id, stage="curate", reason="answer not grounded"),
                Dropped(record_id=data.probes[-1].id, stage="curate", reason="too short"),
            ],
        ),
        tmp_path,
    )
    why = page.select_one(f"#evidence-{clause}")
    assert why is not None
    assert why.get_text() == (
        "No held-out question was kept: no question (2), probe dropped: answer not grounded (1)."
    )


def test_a_clause_shows_whom_it_binds_why_and_but_when(data: ReportData, tmp_path: Path) -> None:
    said = replace(
        data.clauses[0],
        binds="Managers",
        rationale="because gifts bind",
        exceptions=("unless agreed", "except flowers"),
    )
    silent = replace(data.clauses[1], binds="", rationale="", exceptions=())
    page = written(replace(data, clauses=[said, silent]), tmp_path)
    shown, unsaid = (
        [line.get_text() for line in page.select(f"#clause-{one.id} tr:first-child .why")]
        for one in (said, silent)
    )
    assert shown == [
        "Binds: Managers",
        "Reason: because gifts bind",
        "Exception: unless agreed",
        "Exception: except flowers",
    ]
    assert unsaid == []


def test_a_clause_shows_its_gain_with_its_interval(data: ReportData, tmp_path: Path) -> None:
    entries = [dict(entry) for entry in data.summary["clauses"]]
    entries[0] |= {"gain": 0.612, "low": -0.1, "high": 1.3, "p_holm": 0.0314}
    page = written(replace(data, summary={**data.summary, "clauses": entries}), tmp_path)
    cells = words_of(page, f"#clause-{entries[0]['id']} td small")
    assert cells == "gain 0.61 (−0.10 to 1.30), p = 0.031"
    assert not page.select(f"#clause-{entries[1]['id']} td small")


def test_coverage_is_shown_with_the_passages_that_hold_no_clause(
    data: ReportData, tmp_path: Path
) -> None:
    source = data.documents[0]
    last = source.text.rindex("We hold to this")
    silent = Passage(
        id="silent", document=source.id, text=source.text[last:], start=last, end=len(source.text)
    )
    dropped = [Dropped(record_id=f"silent:{last}-9", stage="clauses", reason="no value content")]
    page = written(replace(data, passages=[*data.passages, silent], dropped=dropped), tmp_path)
    said = words_of(page, "#coverage")
    assert "1 of 2 passages holds none" in said
    assert "no value content" in words_of(page, "#coverage .silent li")
    place = page.select_one("#passage-silent")
    assert place is not None
    assert place["data-why"] == "no clause: no value content"
    assert page.select_one('#coverage a[href="#passage-silent"]') is not None


def test_untested_and_cannot_tell_are_counted_by_polarity(
    data: ReportData, page: BeautifulSoup
) -> None:
    last = [cell.get_text() for cell in page.select(".standing tbody tr:last-child > *")]
    results = [str(entry["result"]) for entry in data.summary["clauses"]]
    assert last[:2] == ["all", str(len(data.clauses))]
    assert sorted(last[4:]) == sorted(str(results.count(result)) for result in set(results))


def test_documents_are_shown_whole(data: ReportData, html: str) -> None:
    shown_documents = BeautifulSoup(html, "lxml").select(".document")
    for source, shown in zip(data.documents, shown_documents, strict=True):
        for link in shown.select("a.ref"):
            link.extract()
        assert shown.get_text() == source.text


def test_nothing_is_loaded_from_anywhere(html: str, page: BeautifulSoup) -> None:
    assert not page.select("script[src], img, iframe, object, embed, video, audio, base, form")
    assert [link["href"] for link in page.select("link")] == ["data:,"]
    style = "".join(node.get_text() for node in page.select("style"))
    assert not re.search(r"@import|url\((?!#)", style)
    assert not re.search(r"://|fetch|import", words_of(page, "script"))
    outside = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    markup = re.sub(r">[^<]*<", "><", html)
    assert set(re.findall(r"https?://[^\s\"'<>]+", markup)) <= outside


def test_answers_are_escaped_and_only_the_own_script_may_run(
    html: str, page: BeautifulSoup
) -> None:
    assert HOSTILE not in html
    assert HOSTILE in page.get_text()
    (script,) = page.select("script")
    policy = page.select_one('meta[http-equiv="Content-Security-Policy"]')
    assert policy is not None
    digest = base64.b64encode(hashlib.sha256(script.get_text().encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in str(policy["content"])


def test_every_text_that_can_come_from_outside_is_escaped(data: ReportData, tmp_path: Path) -> None:
    evil = "</script></style><svg onload=alert(1)>$x_{$\"'"
    clause = replace(
        data.clauses[0], statement=evil, rationale=evil, exceptions=(evil,), binds=evil
    )
    summary = {**data.summary, "systems": {**data.summary["systems"], evil: {}}}
    hostile = replace(
        data,
        documents=[replace(data.documents[0], name=evil, notes=(evil,), format=evil)],
        passages=[replace(data.passages[0], headings=(evil,))],
        clauses=[clause],
        examples=[replace(data.examples[0], question=evil, answer=evil)],
        pairs=[replace(data.pairs[0], question=evil, chosen=evil)],
        probes=[replace(data.probes[0], question=evil, reference=evil)],
        dropped=[Dropped(record_id="x", stage=evil, reason=evil, detail=evil)],
        answers=[Answer(system=evil, probe=data.probes[0].id, text=evil)],
        curves={evil: [{"step": 1, "loss": 1.0}]},
        summary=summary,
    )
    page = written(hostile, tmp_path)
    assert not page.select("[onload]")
    assert len(page.select("script")) == 1


def test_best_is_marked_only_when_clear_of_base(data: ReportData, page: BeautifulSoup) -> None:
    marked = [
        (row.th.find(string=True), cells.index(cell))
        for row in page.select("#systems > .scroll:first-of-type tbody tr")
        if row.th and (cells := row.select("td"))
        for cell in cells
        if "best" in (cell.get("class") or [])
    ]
    column_of = {metric.key: place for place, metric in enumerate(METRICS)}
    assert ("base+rag", column_of["grounding_gain"]) in marked
    assert [system for system, column in marked if column == 0] == ["sft+dpo"]
    lengths = [system for system, column in marked if column == column_of["length"]]
    assert not lengths, "length has no better side"


def test_rates_of_a_judge_that_failed_are_withheld(page: BeautifulSoup) -> None:
    systems = words_of(page, "#systems")
    assert "withheld: the judge asked sorted 31 of 60" in systems
    assert "7777" not in systems
    assert "Corrected" in systems


def test_plots_have_words_for_those_who_cannot_see_them(page: BeautifulSoup) -> None:
    figures = page.select("figure")
    assert len(figures) == 4
    assert all(
        figure["role"] == "img" and len(str(figure["aria-label"])) > 30 for figure in figures
    )
    assert "sft+dpo 91\xa0% (84 to 98)" in str(figures[0]["aria-label"])


def test_data_counts_and_drops(page: BeautifulSoup) -> None:
    rows = [
        [cell.get_text() for cell in row.select("th, td")] for row in page.select("#data tbody tr")
    ]
    assert ["examples", "70", "30", "40"] in rows
    assert ["near duplicate", "curate", "17", "What does the passage say?"] in rows


def test_settings_versions_and_times(page: BeautifulSoup) -> None:
    text = words_of(page, "#settings")
    for expected in ("sft.epochs 6.0 changed", "2.13.0", "6 min 52 s", "dpo.learning_rate"):
        assert expected in text


def test_another_system_stands_among_the_settings(data: ReportData, tmp_path: Path) -> None:
    settings = data.settings.merge({"evaluate": {"systems": {"big": "scripted:big.json"}}}, "test")
    page = written(replace(data, settings=settings), tmp_path)
    assert "evaluate.systems.big scripted:big.json changed" in words_of(page, "#settings")


def test_what_was_made_is_told_as_it_was_made_and_not_as_it_is_set_now(
    data: ReportData, tmp_path: Path
) -> None:
    models = {"teacher": "scripted:wrote.toml", "student": "pupil", "embedder": "embeds"}
    made = {
        "generate": {"models": models},
        "sft": {"models.student": "pupil", "sft": {"seed": 3, "epochs": 2.0}},
        "dpo": {"models.student": "pupil", "dpo": {"seed": 4}},
        "evaluate": {"models": models | {"teacher": "scripted:judged.toml"}, "evaluate": {}},
    }
    manifests = [replace(manifest(name, 1.0, {}), settings=made[name]) for name in made]
    now = {"models": {"teacher": "scripted:now.toml", "student": "another"}, "sft": {"seed": 9}}
    settings = data.settings.merge(now | {"evaluate": {"systems": {"new": "scripted:a"}}}, "test")
    page = written(replace(data, settings=settings, manifests=manifests), tmp_path)
    assert words_of(page, "header").endswith(
        "Student pupil Teacher scripted:wrote.toml Embeddings embeds"
    )
    assert "were kept for training pupil." in words_of(page, "#summary")
    said = words_of(page, "#limits")
    assert "One training seed (sft 3, dpo 4): another" in said
    assert "were written by scripted:wrote.toml, not by people" in said
    table = words_of(page, "#settings")
    assert "models.teacher (generate) scripted:wrote.toml changed" in table
    assert "models.teacher (evaluate) scripted:judged.toml changed" in table
    assert "models.student pupil changed" in table
    assert "sft.epochs 2.0 changed" in table
    for unused in ("now.toml", "another", "systems.new"):
        assert unused not in table
    assert "gate.followed" in table  # of no stage, so as it is now


EMPTY = ReportData(settings=RunSettings(), date=date(2026, 3, 2))


PARTS = "answers pairs examples passages documents dropped manifests curves summary clauses"


@pytest.mark.parametrize(
    "missing", [*((part,) for part in PARTS.split()), ("probes", "answers"), ("clauses", "probes")]
)
def test_missing_parts_render(data: ReportData, missing: tuple[str, ...], tmp_path: Path) -> None:
    page = written(replace(data, **{name: getattr(EMPTY, name) for name in missing}), tmp_path)
    assert len(page.select("main > section")) == 9


def test_nothing_at_all_renders(tmp_path: Path) -> None:
    page = written(EMPTY, tmp_path)
    assert "not been evaluated" in words_of(page, "#summary")


def test_without_dpo_sft_is_the_headline(data: ReportData, tmp_path: Path) -> None:
    systems = {name: data.summary["systems"][name] for name in ("base", "sft")}
    partial = {"systems": systems, "judges": [], "win_rates": []}
    page = written(replace(data, summary=partial, pairs=()), tmp_path)
    assert "sft prefers the faithful answer in 78" in words_of(page, "#summary")
    assert "No judge was examined" in words_of(page, "#systems")


def test_values_without_interval_claim_nothing(data: ReportData, tmp_path: Path) -> None:
    lone = {"value": 0.5, "low": None, "high": None, "n": 2}
    summary = {"systems": {"base": {"preference_accuracy": lone, "length": lone},
                           "sft": {"preference_accuracy": {**lone, "value": 1.0}}}}  # fmt: skip
    page = written(replace(data, summary=summary), tmp_path)
    assert "100\xa0% (no interval)" in page.get_text()
    assert "without intervals this shows nothing" in words_of(page, "#summary")
    assert not page.select(".best")


def test_a_hundred_clauses_stay_small(tmp_path: Path) -> None:
    assert write_report(report_data(gifts=100), tmp_path).stat().st_size < 1_500_000


SHARES = st.floats(0, 1)
ACCURACY = METRICS[0]


def accuracies(ours: tuple[float, float], base: tuple[float, float], **more: Any) -> dict[str, Any]:
    def one(low: float, high: float) -> dict[str, Any]:
        return {
            "preference_accuracy": {"value": (low + high) / 2, "low": low, "high": high, "n": 9}
        }

    return {"systems": {"base": one(*base), "sft": one(*ours)}, **more}


@given(st.tuples(SHARES, SHARES).map(sorted), st.tuples(SHARES, SHARES).map(sorted))
def test_sentences_follow_the_numbers(ours: list[float], base: list[float]) -> None:
    summary = accuracies((ours[0], ours[1]), (base[0], base[1]))
    text = " ".join(summary_sentences(replace(EMPTY, summary=summary)))
    apart = ours[0] > base[1] or ours[1] < base[0]
    worse = ours[1] < base[0]
    assert ("intervals do not touch" in text) == apart
    assert ("intervals overlap" in text) != apart
    assert ("worse" in text) == worse
    assert (best_system(summary, ACCURACY) == "sft") == (ours[0] > base[1])


def test_wrong_answers_of_yes_and_no_are_in_the_summary_beside_bases() -> None:
    summary = accuracies((0.7, 0.9), (0.3, 0.5))

    def measured(metric: str, ours: float) -> dict[str, Any]:
        cells = {"base": 0.0, "sft": ours}
        return {
            "systems": {
                name: {metric: {"value": value, "low": 0.0, "high": 1.0, "n": 16}}
                for name, value in cells.items()
            },
            "differences": [],
        }

    before = " ".join(summary_sentences(replace(EMPTY, summary=summary)))
    assert "By its answers" not in before  # as in an evaluation of an earlier version
    summary["costs"] = {"wrong_yes": measured("wrong_yes", 1.0), "permitted": {"absent": "None."}}
    text = " ".join(summary_sentences(replace(EMPTY, summary=summary))).replace("\xa0", " ")
    assert (
        "By its answers, of 16 questions that the documents answer with no, it answers 100 % "
        "(0 to 100) with yes, base 0 % (0 to 100)." in text
    )
    summary["costs"]["permitted"] = measured("refused", 0.5)
    text = " ".join(summary_sentences(replace(EMPTY, summary=summary))).replace("\xa0", " ")
    assert (
        "with yes, base 0 % (0 to 100); of 16 questions about what they permit, it declines or "
        "denies 50 % (0 to 100), base 0 % (0 to 100)." in text
    )


@given(SHARES, SHARES, SHARES)
def test_versus_is_antisymmetric(a: float, b: float, c: float) -> None:
    low, middle, high = sorted((a, b, c))
    one, other = Estimate(middle, low, high, 5), Estimate(c, c, c, 5)
    mirror = {"better": "worse", "worse": "better", "overlap": "overlap"}
    for metric in METRICS[:3]:
        assert mirror[one.versus(other, metric)] == other.versus(one, metric)


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.1, 0.02, 0.2, "question by question sft is better: the paired difference is 10 points"),
        (-0.1, -0.2, -0.02, "question by question sft is worse"),
        (0.1, -0.02, 0.2, "so no difference is shown"),
    ],
)
def test_overlapping_intervals_are_settled_by_the_paired_difference(
    value: float, low: float, high: float, expected: str
) -> None:
    paired = {"a": "sft", "b": "base", "metric": "preference_accuracy", "value": value, "low": low,
              "high": high, "n": 9, "detectable": 0.15}  # fmt: skip
    summary = accuracies((0.4, 0.8), (0.3, 0.7), differences=[paired])
    data = replace(EMPTY, summary=summary)
    assert expected in " ".join(summary_sentences(data))
    assert "of less than 15 points over base" in " ".join(limits(data))


@pytest.mark.parametrize(
    ("base", "paired", "opening", "end"),
    [
        (2.1, (-0.1, -0.15, -0.05), "The reference answers are likelier to it than", "is better:"),
        (1.9, (0.1, 0.05, 0.15), "The reference answers are less likely to it than", "is worse:"),
        (2.1, (-0.1, -0.3, 0.1), "Whether the reference answers are likelier to it than", "is sh"),
        (2.1, None, "Whether the reference answers are likelier to it than", "is shown"),
        (3.0, None, "The reference answers are likelier to it than", "do not touch"),
    ],
)
def test_whether_references_became_likelier_is_settled_by_the_paired_difference(
    base: float, paired: tuple[float, float, float] | None, opening: str, end: str
) -> None:
    systems = {
        name: {"preference_accuracy": cell(0.5, 0.1), "reference_nll": cell(value, 0.2)}
        for name, value in (("base", base), ("sft", 2.0))
    }
    row = {"a": "sft", "b": "base", "metric": "reference_nll"}
    rows = [{**row, **dict(zip(("value", "low", "high"), paired, strict=True))}] if paired else []
    summary = {"systems": systems, "differences": rows}
    [said] = [one for one in summary_sentences(replace(EMPTY, summary=summary)) if "nats" in one]
    assert said.startswith(opening)
    assert end in said
    assert ("undecided" in said) == ("no difference" in said)


@pytest.mark.parametrize("key", ["reference_nll", "rouge_l"])
def test_lower_is_better_only_for_likelihood_loss(key: str) -> None:
    summary = {"systems": {"base": {key: cell(2.0, 0.1)}, "sft": {key: cell(1.0, 0.1)}}}
    metric = next(metric for metric in METRICS if metric.key == key)
    assert best_system(summary, metric) == ("sft" if key == "reference_nll" else None)


def test_where_no_gain_is_large_enough_to_be_seen_no_points_are_named() -> None:
    row = {"a": "sft", "b": "base", "metric": "preference_accuracy", **cell(0.1, 0.5)}
    for detectable, shown in ((0.99, True), (1.0, False), (2.32, False)):
        differences = [{**row, "detectable": detectable}]
        summary = accuracies((0.4, 0.8), (0.3, 0.7), differences=differences)
        said = " ".join(limits(replace(EMPTY, summary=summary)))
        assert ("points over base" in said) == shown
        assert ("too few to show a difference" in said) != shown


@pytest.mark.parametrize(("gifts", "few"), [(8, True), (40, False)])
def test_few_clauses_are_a_limit(gifts: int, few: bool) -> None:
    assert ("a single odd clause moves them" in " ".join(limits(report_data(gifts)))) == few


def test_an_exam_is_told_with_its_numbers() -> None:
    judge = {"name": "asked", "exam_accuracy": 0.52, "low": 0.39, "n": 60, "admitted": False}
    assert exam_sentence(judge).startswith("Win rates withheld: the judge `asked` was right on 52")
    assert "verdicts are shown" in exam_sentence({**judge, "admitted": True})
    kinds = {"contrast": {"right": 27, "n": 30, "low": 0.74, "high": 0.97}}
    said = exam_sentence({**judge, "kinds": kinds})
    assert "contrast 27 of 30 (74\xa0% to 97\xa0%)" in said


def test_who_wrote_the_questions_is_told_with_what_people_changed(data: ReportData) -> None:
    assert "not by people; where it misread" in " ".join(limits(data))
    curated = manifest("curate", 8.4, {})
    review = {"accept": 4, "edit": 1, "reject": 2, "waiting": ["r1"]}
    looked = replace(data, manifests=[replace(curated, facts={"review": review})])
    said = " ".join(limits(looked))
    assert "not by people" not in said
    assert "people accepted 4 of the rows as they were, edited 1 and rejected 2" in said
    waiting = replace(data, manifests=[replace(curated, facts={"review": {"waiting": ["r1"]}})])
    assert "not by people" in " ".join(limits(waiting))


def test_numbers_as_they_are_printed() -> None:
    assert METRICS[1].write(-0.001) == "0.00"
    assert METRICS[1].write(-0.5) == "−0.50"
    assert Estimate(0.914, 0.84, 0.96, 9).text(ACCURACY) == "91\xa0% (84 to 96)"
    assert [duration(s) for s in (0.42, 12.3, 185, 7800)] == [
        "0.4 s", "12 s", "3 min 05 s", "2 h 10 min",
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20)), max_size=8))
def test_segments_keep_the_text_and_every_span(spans: list[tuple[int, int]]) -> None:
    source = Document(id="d", name="d", format="text", sha256="", text="0123456789" * 5)
    clauses = [
        Clause(id=str(n), document="d", passage="p", statement="s", polarity="required",
               stance="explicit", start=start, end=start + length, origin=ORIGIN)
        for n, (start, length) in enumerate(spans)
    ]  # fmt: skip
    rows = clause_rows(replace(EMPTY, documents=[source], clauses=clauses))
    pieces = list(segments(source, rows))
    assert "".join(piece.text for piece in pieces) == source.text
    for row in rows:
        covered = "".join(piece.text for piece in pieces if row in piece.clauses)
        assert covered == source.text[row.clause.start : row.clause.end]
        assert sum(row in piece.starts for piece in pieces) == 1
        assert sum(row in piece.ends for piece in pieces) == 1


def test_drops_are_counted_by_stage_and_reason(data: ReportData) -> None:
    counts = [(drop.reason, drop.count) for drop in drop_counts(data.dropped)]
    assert counts == [("not self-contained", 31), ("near duplicate", 17), ("not grounded", 12)]


@given(st.integers(0, 30), st.integers(1, 10))
def test_a_spread_is_a_sample_in_order(size: int, count: int) -> None:
    sample = spread(list(range(size)), count)
    assert len(sample) == min(size, count)
    assert sample == sorted(set(sample))


def test_the_terminal_table(data: ReportData) -> None:
    from rich.console import Console

    console = Console(width=160, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal_table(data.summary))
    text = capture.get()
    assert "91\xa0% *" in text
    assert "84 to 98" in text
    assert all(system in text for system in SYSTEMS)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_of_the_table(data: ReportData, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{suffix}"
    table_picture(data.summary, path)
    start = path.read_bytes()[:5]
    assert start == (b"\x89PNG\r" if suffix == "png" else b"<?xml")


def test_what_looked_wrong_in_training_is_told(data: ReportData, tmp_path: Path) -> None:
    said = "The held-out loss rose <from> its lowest."
    assert "looked wrong" not in words_of(written(data, tmp_path), "#training")
    more = replace(manifest("dpo", 9.0, {"rows": 1}), facts={"alarms": [said]})
    page = written(replace(data, manifests=[*data.manifests, more]), tmp_path)
    assert f"looked wrong while it was trained: dpo : {said}" in words_of(page, "#training")


def test_the_same_data_gives_the_same_page(data: ReportData, tmp_path: Path) -> None:
    one, two = (write_report(data, tmp_path / name).read_bytes() for name in "ab")
    assert one == two


def test_costs_are_shown_with_what_was_not_measured(data: ReportData, tmp_path: Path) -> None:
    def measured(base: float, ours: float, metric: str) -> dict[str, Any]:
        return {
            "systems": {"base": {metric: cell(base, 0.05)}, "sft+dpo": {metric: cell(ours, 0.05)}},
            "differences": [
                {"a": "sft+dpo", "b": "base", "metric": metric, **cell(ours - base, 0.02)}
            ],
        }

    refused = measured(0.2, 0.1, "refused")
    costs = {
        "permitted": measured(0.1, 0.3, "refused"),
        "refusals": {"safe": refused, "unsafe": refused},
        "general": {"absent": "Not measured: no instructions."},
    }
    page = written(replace(data, summary={**data.summary, "costs": costs}), tmp_path)
    rows = [row.get_text(" ", strip=True) for row in page.select(".costs tbody tr")]
    assert len(rows) == 4
    assert "10\xa0% 5 to 15, of 64 30\xa0% 25 to 35, of 64 worse 20 18 to 22" in rows[0]
    assert "better −10 −12 to −8" in rows[1]
    assert "worse −10 −12 to −8" in rows[2]
    assert "Not measured: no instructions." in rows[3]
    absent = {"costs": {"refusals": {"absent": "Not measured: give prompts."}}}
    page = written(replace(data, summary={**data.summary, **absent}), tmp_path)
    assert words_of(page, ".costs tbody td") == "Not measured: give prompts."


def test_what_computed_the_metrics_is_shown(data: ReportData, tmp_path: Path) -> None:
    own = {"library": "adhere", "version": "1.2"}
    metrics = {"length": own, "refused": own, "grounding_gain": own | {"model": "<teacher>"}}
    page = written(replace(data, summary={**data.summary, "metrics": metrics}), tmp_path)
    rows = [row.get_text(" | ", strip=True) for row in page.select(".provenance tbody tr")]
    assert rows == [
        "Answer length, Refusals | adhere 1.2",
        "Grounding gain | adhere 1.2 (model: <teacher>)",
    ]


def test_notes_agreement_and_answers_marked_by_people(data: ReportData, tmp_path: Path) -> None:
    row = {"judges": ["likelihood", "people"], "n": 20, "same": 0.75, "alpha": 0.5}
    [win, *_] = data.summary["win_rates"]
    [judge, *_] = data.summary["judges"]
    official = {
        "systems": {"base": {"accuracy": cell(0.6, 0.1)}, "odd": {}},
        "judges": [{**judge, "name": "of-people"}, {**judge, "name": "failed", "admitted": False}],
        "win_rates": [{**win, "judge": "of-people"}],
    }
    more = {"notes": {"base+rag": "2 passages."}, "agreement": [row, {**row, "n": 0}]}
    page = written(replace(data, summary={**data.summary, **more}, official=official), tmp_path)
    text = words_of(page, "#systems")
    assert "base+rag : 2 passages." in text
    assert (
        "likelihood and people say the same of 75\xa0% of 20 comparisons "
        "(Krippendorff's alpha 0.50)."
    ) in text
    assert text.count("Krippendorff") == 1
    assert "60\xa0% 50 to 70" in text
    assert "The judge of-people was right on" in text
    assert "Win rates withheld: the judge failed was right on" in text
    wins = [row.get_text(" ", strip=True) for row in page.select("#systems tbody tr")]
    assert any(f"{win['a']} {win['b']} of-people" in row for row in wins)


def test_situations_that_were_left_out_are_counted_beside_the_notes(
    data: ReportData, tmp_path: Path
) -> None:
    official = {"systems": {"base": {"accuracy": cell(0.6, 0.1)}}, "left_out": ["s1"],
                "notes": {"cloud": "gives no likelihoods."}}  # fmt: skip
    said = words_of(written(replace(data, official=official), tmp_path), "#systems")
    assert "1 situation was left out, a near twin of a training row" in said
    assert "cloud: gives no likelihoods." in said
    assert "60\xa0% 50 to 70" in said
    left = {"systems": {"base": {}}, "left_out": ["s1", "s2"], "notes": {}}
    page = written(replace(data, official=left), tmp_path)
    said = words_of(page, "#systems")
    assert "2 situations were left out, near twins of training rows" in said
    assert "No system was measured on them." in said
    assert "Situations" not in words_of(page, "#systems th")


def test_the_exams_accuracy_is_shown_for_both_lengths() -> None:
    lengths = {
        "longer is wrong": {"right": 9, "n": 30, "low": 0.16, "high": 0.48},
        "longer is right": {"right": 28, "n": 30, "low": 0.79, "high": 0.98},
    }
    judge = {"name": "asked", "exam_accuracy": 0.62, "low": 0.5, "n": 60, "lengths": lengths}
    said = (
        "By length it was right where the longer answer is right, on 28 of 30 "
        "(79\xa0% to 98\xa0%) and where the longer answer is wrong, on 9 of 30 "
        "(16\xa0% to 48\xa0%)."
    )
    assert exam_sentence({**judge, "admitted": True}).endswith(said)
    assert exam_sentence({**judge, "admitted": False, "withheld": "withheld."}).endswith(said)


def test_the_order_flips_stand_beside_the_win_rates(data: ReportData, tmp_path: Path) -> None:
    wins = [dict(row) for row in data.summary["win_rates"]]
    wins[0]["flip_rate"] = 0.23
    summary = {**data.summary, "win_rates": wins}
    page = written(replace(data, summary=summary), tmp_path)
    [table] = [one for one in page.select("table") if "Order flips" in one.get_text()]
    column = [cell.get_text() for cell in table.select("thead th")].index("Order flips")
    cells = [row.find_all(["th", "td"])[column].get_text() for row in table.select("tbody tr")]
    assert cells == ["23\xa0%", "–", "–", "–"]


def test_the_terminals_win_rates_are_raw_and_corrected_and_fit(data: ReportData) -> None:
    from rich.console import Console

    wins = [{**row, "flip_rate": 0.23} for row in data.summary["win_rates"]]
    console = Console(width=80, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal_wins({**data.summary, "win_rates": wins}))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    first = next(place for place, line in enumerate(lines) if "likelihood" in line)
    assert lines[first].split() == [
        "sft+dpo", "base", "likelihood", "81", "%", "84", "%", "23", "%",
    ]  # fmt: skip
    assert lines[first + 1].split() == ["72", "to", "90", "74", "to", "94"]
    assert not any("asked" in line for line in lines)  # it failed its exam


def test_unreadable_verdicts_stand_beneath_the_win_rate_or_in_its_place(
    data: ReportData, tmp_path: Path
) -> None:
    from rich.console import Console

    mute = {**data.summary["win_rates"][0], "rate": None, "low": None, "high": None, "n": 0,
            "corrected": None, "flip_rate": None, "unreadable": 50, "worst": 0.0,
            "best": 1.0}  # fmt: skip
    some = {**data.summary["win_rates"][1], "unreadable": 6, "worst": 0.6, "best": 0.9}
    summary = {**data.summary, "win_rates": [mute, some]}
    console = Console(width=80, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(terminal_wins(summary))
    lines = [line.split() for line in capture.get().splitlines()]
    first = lines.index(["sft+dpo", "base", "likelihood", "–", "–", "–"])
    assert lines[first + 1 : first + 3] == [["50", "unreadable:"], ["0", "to", "100"]]
    assert lines[first + 5 : first + 7] == [["6", "unreadable:"], ["60", "to", "90"]]
    assert any("in no rate" in " ".join(line) for line in lines)
    cells = words_of(written(replace(data, summary=summary), tmp_path), "#systems td")
    assert "– 50 unreadable: 0 to 100" in cells
    assert "66 to 84 6 unreadable: 60 to 90" in cells


def test_win_rates_at_equal_length(data: ReportData, tmp_path: Path) -> None:
    wins = [dict(row) for row in data.summary["win_rates"]]
    wins[0]["length_controlled"] = {"rate": 0.66, "low": 0.5, "high": 0.8}
    page = written(replace(data, summary={**data.summary, "win_rates": wins}), tmp_path)
    assert "66\xa0% 50 to 80" in words_of(page, "#systems td")
