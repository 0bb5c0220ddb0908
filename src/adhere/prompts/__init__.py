"""The prompts: one Markdown file (Jinja) each, which a user may override.

A file of the same name in the run's `prompts/` folder takes the place of ours.
Every generated row remembers the tag of its prompt, `NAME@HASH`, so that a
changed prompt is seen as such.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError

from adhere.errors import SettingsError

_OURS = Path(__file__).parent
_ENVIRONMENT = Environment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
)


class Prompts:
    """Renders prompts by name; `folder` holds the user's overrides."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def render(self, name: str, **values: object) -> str:
        """The prompt `name` with `values` filled in.

        Raises SettingsError naming the file when it uses a value that we do not give.
        """
        try:
            return _template(self._source(name)).render(**values)
        except TemplateError as error:
            given = ", ".join(sorted(values))
            raise SettingsError(
                f"{self._path(name)}: {error}. The values given are: {given}."
            ) from error

    def tag(self, name: str) -> str:
        """`NAME@HASH` of the file that `render` uses."""
        return f"{name}@{hashlib.sha256(self._source(name).encode()).hexdigest()[:8]}"

    def _path(self, name: str) -> Path:
        mine = self._folder / f"{name}.md" if self._folder else None
        return mine if mine and mine.exists() else _OURS / f"{name}.md"

    def _source(self, name: str) -> str:
        return self._path(name).read_text(encoding="utf-8")


@lru_cache(maxsize=64)
def _template(source: str) -> Any:
    return _ENVIRONMENT.from_string(source)
