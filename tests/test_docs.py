"""The commands that README and docs show are commands that exist."""

import re
import shlex
from pathlib import Path

import pytest

from adhere.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "examples").rglob("README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def shown(page: Path) -> list[str]:
    """The lines of a page's sh blocks, continued lines joined and comments cut off."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].split(" #")[0].strip() for line in lines if line.strip()]


COMMANDS = [pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in shown(page)]


def test_the_readme_shows_how_to_start() -> None:
    assert {"make demo", "make test"} <= set(shown(ROOT / "README.md"))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_shown_command_exists(line: str) -> None:
    program, *words = shlex.split(line)
    if program == "accelerate":
        from accelerate.commands.launch import launch_command_parser

        told = launch_command_parser().parse_args(words[1:])
        assert told.config_file is None or (ROOT / told.config_file).exists()
        assert (words[0], told.module, told.training_script) == ("launch", True, "adhere")
        app.parse_args(told.training_script_args, exit_on_error=False)
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[0] in targets
    else:
        assert Path(program).name == "adhere"
        app.parse_args(words, exit_on_error=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []
