"""The gate's result as files that CI systems show: JUnit XML and Markdown."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from adhere.gate.rules import Check, opens
from adhere.settings import GateSettings

SIGNS = {"pass": "✓", "fail": "✗", "cannot tell": "?", "not asked": "–"}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no way to write."""


def write_junit(checks: Sequence[Check], settings: GateSettings, run: Path, path: Path) -> None:
    """One test case a rule; what neither passes nor closes the gate is skipped."""
    from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

    suite = TestSuite("adhere gate")
    for check in checks:
        case = TestCase(_plain(check.rule), _plain(run.resolve().name))
        reason = _plain(check.reason)
        if check.outcome != "pass" and not opens([check], settings):
            case.result = [Failure(reason, check.outcome)]
        elif check.outcome != "pass":
            case.result = [Skipped(reason, check.outcome)]
        case.system_out = _plain("\n".join((check.reason, *check.clauses)))
        suite.add_testcase(case)
    xml = JUnitXml()
    xml.add_testsuite(suite)
    path.parent.mkdir(parents=True, exist_ok=True)
    xml.write(str(path))


def write_markdown(checks: Sequence[Check], settings: GateSettings, run: Path, path: Path) -> None:
    """A heading with the result, a table of the rules, and the clauses or probes concerned.

    $GITHUB_STEP_SUMMARY may hold what earlier steps wrote and is added to; another file is
    replaced.
    """
    state = "open" if opens(checks, settings) else "closed"
    lines = [
        f"## adhere gate: {state} for {_cell(run.resolve().name)}",
        "",
        "| | rule | why |",
        "|---|---|---|",
        *(f"| {SIGNS[one.outcome]} | {_cell(one.rule)} | {_cell(one.reason)} |" for one in checks),
        "",
        "✓ passes, ✗ fails, ? cannot be told from this evaluation, – was not asked of it.",
        "",
    ]
    for check in checks:
        if check.clauses and check.outcome != "pass":
            lines += [
                f"<details><summary>{check.rule}: {len(check.clauses)} named</summary>",
                "",
                *(f"- {_cell(clause)}" for clause in check.clauses),
                "",
                "</details>",
                "",
            ]
    path.parent.mkdir(parents=True, exist_ok=True)
    shared = os.environ.get("GITHUB_STEP_SUMMARY")
    with path.open("a" if str(path) == shared else "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def _plain(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _cell(text: str) -> str:
    """Text that neither ends a table's cell nor is read as HTML or a link."""
    line = " ".join(text.split())
    return re.sub(r"([\\|<>\[\]`*_])", r"\\\1", line)
