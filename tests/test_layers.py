"""The layers of the house: who may import whom, and what may not be imported at the start."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adhere import errors

SOURCE = Path(errors.__file__).parent
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "faults", "progress", "text", "twins"),
    ("records", "processes", "files"),
    ("candidates", "settings", "store", "hub", "prompts", "duty", "sheets", "licences"),
    ("run_files",),
    ("models", "parts"),
    ("embedding",),
    ("engines",),
    ("teacher", "grounding", "review", "text_coverage"),
    ("support", "evaluated"),
    ("readers",),
    ("ingest", "clauses", "conflicts", "generate", "curate", "train", "evaluate", "report"),
    ("gate", "trace", "people"),
    ("diff",),
    ("bench", "previous"),
    ("ladder",),
    ("assess",),
    ("data_stages",),
    ("training_stages",),
    ("stages",),
    ("pipeline",),
    ("forecast", "chat", "serve", "dataset", "export"),
    ("inspect_logs",),
    ("cli",),
    ("__main__",),
)
"""A module imports only from the lines above its own. `readers` are a part of `ingest`."""
HEAVY = {
    "accelerate",
    "datasets",
    "inspect_ai",
    "matplotlib",
    "openpyxl",
    "openvino",
    "openvino_genai",
    "peft",
    "scipy",
    "sentence_transformers",
    "starlette",
    "torch",
    "transformers",
    "trl",
    "uvicorn",
}
HELP_SECONDS = 3.0
"""Of processor time. `run --help` took half a second on one machine and 1.5 to 2 on a slower quiet
one, most of it cyclopts reading the settings' docstrings; a test must not fail on a busy one."""


def modules() -> dict[str, Path]:
    """`engines/base.py` is `engines.base`; the package itself is left out."""
    found = {
        path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", "."): path
        for path in sorted(SOURCE.rglob("*.py"))
    }
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


def imports(tree: ast.AST) -> set[str]:
    """Dotted names that are imported anywhere below `tree`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            if node.module == "adhere":
                found |= {f"adhere.{alias.name}" for alias in node.names}
            else:
                found.add(node.module or "")
    return found


def imports_at_start(tree: ast.Module) -> set[str]:
    """Those that run when the module is imported: not in functions, not for the type checker."""

    class Start(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    return imports(Start().visit(ast.parse(ast.unparse(tree))))


def level(name: str) -> int:
    [found] = [place for place, names in enumerate(LAYERS) if name in names]
    return found


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = modules()
ROOMS = sorted({name.split(".")[0] for name in MODULES} - {"__init__"})


def test_every_room_has_a_layer_and_every_layer_a_room() -> None:
    assert sorted(name for names in LAYERS for name in names) == ROOMS


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__init__"])
def test_a_module_imports_only_from_lower_layers(name: str) -> None:
    own = name.split(".")[0]
    used = {
        one.split(".")[1] for one in imports(parsed(MODULES[name])) if one.startswith("adhere.")
    }
    for other in used - {own}:
        assert level(other) < level(own), f"{name} imports {other}"


@pytest.mark.parametrize("name", MODULES)
def test_heavy_packages_are_imported_in_functions_only(name: str) -> None:
    early = {one.split(".")[0] for one in imports_at_start(parsed(MODULES[name]))}
    assert not early & HEAVY


def test_the_check_sees_imports_at_the_start_and_not_those_in_functions() -> None:
    tree = ast.parse(
        "if TYPE_CHECKING:\n    import torch\n"
        "try:\n    import scipy\nexcept ImportError:\n    pass\n"
        "class A:\n    import peft.utils\n    def f(self):\n        import trl\n"
        "async def g():\n    from datasets import Dataset\n"
    )
    assert imports_at_start(tree) == {"scipy", "peft.utils"}
    assert imports(tree) == {"torch", "scipy", "peft.utils", "trl", "datasets"}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy_and_is_instant(arguments: list[str]) -> None:
    program = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        f"sys.argv = ['adhere', *{arguments!r}]\n"
        "from adhere.cli import main\n"
        "main()\n"
    )
    took: list[float] = []
    for _ in range(3):
        started = _spent()
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        took.append(_spent() - started)
        loaded = set(json.loads(done.stderr))
        assert done.stdout.strip()
        assert "cyclopts" in loaded
        assert not loaded & (HEAVY | {"numpy", "adhere.pipeline"})
    assert min(took) < HELP_SECONDS


def _spent() -> float:
    """Seconds of processor time that ended child processes took."""
    times = os.times()
    return times.children_user + times.children_system
