"""The prompts: one Markdown file (Jinja) each, which a user may override.

A file of the same name in the run's `prompts/` folder takes the place of ours. A folder
named as a language (`fr/`) holds the same prompts in it, for documents in that language;
a language without a prompt of its own has the English one.
Every generated row remembers the tag of its prompt, `NAME@HASH`, so that a changed
prompt is seen as such.
"""

import difflib
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, StrictUndefined, TemplateError

from adhere.errors import SettingsError
from adhere.records import Message, Request, Sampling, record_id

_OURS = Path(__file__).parent
_ENVIRONMENT = Environment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
)


class Prompts:
    """Renders prompts by name; `folder` holds the user's overrides.

    `style` says how requests are put: as plain text to continue, or as a chat, whose
    prompts are the files `NAME.chat.md`. Raises SettingsError for a file in `folder`
    that bears no prompt's name.
    """

    def __init__(
        self, folder: Path | None = None, style: Literal["continue", "chat"] = "continue"
    ) -> None:
        _refuse_strangers(folder)
        self._folder = folder
        self.style: Literal["continue", "chat"] = style

    def request(
        self, name: str, sampling: Sampling, language: str = "", **values: object
    ) -> Request:
        """The prompt `name`, in this style, as a request; its id is made of all it holds."""
        text = self.styled(name, language, **values)
        chat = (Message(role="user", content=text),)
        return Request(
            id=record_id(text, sampling),
            prompt=chat if self.style == "chat" else text,
            sampling=sampling,
        )

    def styled_tag(self, name: str, language: str = "") -> str:
        """The tag of the file that `request` uses for `name` in this style."""
        return self.tag(self._styled(name), language)

    def tags(self) -> dict[str, str]:
        """Every prompt's name (`question`, `fr/question`) and tag, for manifests."""
        return {name: self.tag(*reversed(_split(name))) for name in sorted(self._names())}

    def _names(self) -> set[str]:
        roots = [_OURS, self._folder] if self._folder else [_OURS]
        return {_name(path, root) for root in roots for path in root.rglob("*.md")}

    def _styled(self, name: str) -> str:
        return f"{name}.chat" if self.style == "chat" else name

    def render(self, name: str, language: str = "", **values: object) -> str:
        """The prompt `name` with `values` filled in.

        Raises SettingsError naming the file when it uses a value that we do not give.
        """
        try:
            return _template(self._source(name, language)).render(**values)
        except TemplateError as error:
            given = ", ".join(sorted(values))
            raise SettingsError(
                f"{self._path(name, language)}: {error}. The values given are: {given}."
            ) from error

    def styled(self, name: str, language: str = "", **values: object) -> str:
        """The text of the prompt `name` in this style."""
        return self.render(self._styled(name), language, **values)

    def head(self, name: str, language: str = "") -> str:
        """What `styled` begins with whatever is filled in: whole lines, which requests share."""
        return self.bare(name, language).partition("{")[0].rpartition("\n\n")[0]

    def bare(self, name: str, language: str = "") -> str:
        """The prompt's own words in this style, before anything is filled in."""
        return self._source(self._styled(name), language)

    def tag(self, name: str, language: str = "") -> str:
        """`NAME@HASH` of the file that `render` uses; NAME begins with its folder's language."""
        path = self._path(name, language)
        place = f"{language}/{name}" if path.parent.name == language else name
        return f"{place}@{hashlib.sha256(self._source(name, language).encode()).hexdigest()[:8]}"

    def _path(self, name: str, language: str) -> Path:
        """The user's before ours, and of each the language's own before the English."""
        roots = [self._folder, _OURS] if self._folder else [_OURS]
        places = [root / place / f"{name}.md" for root in roots for place in (language, "")]
        return next((path for path in places if path.exists()), places[-1])

    def _source(self, name: str, language: str) -> str:
        """The prompt's file; raises SettingsError where it is not UTF-8."""
        path = self._path(name, language)
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise SettingsError(f"{path}: not UTF-8 text; save it as UTF-8.") from error


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def _split(name: str) -> tuple[str, str]:
    """Language (or nothing) and the prompt's own name."""
    language, _, own = name.rpartition("/")
    return language, own


def _refuse_strangers(folder: Path | None) -> None:
    """A misspelt override would be ignored in silence."""
    ours = sorted(path.name for path in _OURS.glob("*.md"))
    for path in sorted(folder.rglob("*.md")) if folder else ():
        if path.name not in ours:
            near = difflib.get_close_matches(path.name, ours, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"the prompts are: {', '.join(ours)}."
            raise SettingsError(f"{path}: there is no such prompt; {remedy}")


@lru_cache(maxsize=64)
def _template(source: str) -> Any:
    return _ENVIRONMENT.from_string(source)
