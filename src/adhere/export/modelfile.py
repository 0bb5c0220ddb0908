"""Ollama's `Modelfile`: which weights, how a chat is written, where an answer ends.

Ollama writes a chat by a Go template. It is not translated from the model's own Jinja
template but found by looking at what that writes: where every message is written as
`something for its role + words + the same end`, as most are, that is the template; and where
the system's words stand within a user's message, as Mistral's and Llama 2's do. Longer chats
must come out the same; else no TEMPLATE is written, and Ollama goes by the one that the GGUF
file holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

Chat = Sequence[Mapping[str, str]]
Render = Callable[[Chat, bool], str]
"""The model's own template: a chat, and whether the assistant is to speak next."""

_SYSTEM, _USER, _ASSISTANT = "SYSTEM WORDS", "USER WORDS", "ASSISTANT WORDS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatShape:
    """How a chat is written: each message as `before[role] + words + after`."""

    before: Mapping[str, str]
    after: str
    system: str
    """What the template says where the chat has no system message; empty for nothing."""

    def write(self, chat: Chat) -> str:
        """The chat, up to where the assistant speaks."""
        first = [] if chat[0]["role"] == "system" or not self.system else [("system", self.system)]
        turns = [*first, *((message["role"], message["content"]) for message in chat)]
        written = [self.before[role] + words + self.after for role, words in turns]
        return "".join(written) + self.before["assistant"]

    def template(self) -> str:
        """The same in Go, as Ollama fills it in."""
        cases = "{{ else ".join(
            f'if eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{self.after}'
            for role, before in self.before.items()
        )
        turns = "{{ range .Messages }}{{ " + cases + "{{ end }}{{ end }}"
        return turns + self.before["assistant"]

    def parts(self) -> list[str]:
        """All that is quoted in the Modelfile."""
        return [*self.before.values(), self.after, self.system]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldedShape:
    """A chat whose system words stand in a user's message, before what the user says.

    Each message is `before[role] + words + after[role]`, and where the last of the user's
    ends, the assistant speaks.
    """

    before: Mapping[str, str]
    after: Mapping[str, str]
    last: bool
    """The system's words go into the last of the user's messages, and not the first."""
    system: ClassVar[str] = ""
    """What the template says where the chat has no system message."""

    def write(self, chat: Chat) -> str:
        """The chat, up to where the assistant speaks."""
        turns = [message for message in chat if message["role"] != "system"]
        said = [message for message in chat if message["role"] == "system"]
        system = "".join(self._wrapped(message) for message in said)
        users = [place for place, message in enumerate(turns) if message["role"] == "user"]
        holder = users[-1 if self.last else 0]
        return "".join(
            self._wrapped(message, system if place == holder else "")
            for place, message in enumerate(turns)
        )

    def _wrapped(self, message: Mapping[str, str], system: str = "") -> str:
        role = message["role"]
        return self.before[role] + system + message["content"] + self.after[role]

    def template(self) -> str:
        """The same in Go. A system message comes first in Ollama, so the first user's is 0 or 1."""
        holds = "(eq (len (slice $.Messages $i)) 1)" if self.last else "(le $i 1)"
        before, after = self.before, self.after
        system = f"{before['system']}{{{{ $.System }}}}{after['system']}"
        return (
            '{{ range $i, $_ := .Messages }}{{ if eq .Role "user" }}'
            f"{before['user']}{{{{ if and $.System {holds} }}}}{system}{{{{ end }}}}"
            f"{{{{ .Content }}}}{after['user']}"
            '{{ else if eq .Role "assistant" }}'
            f"{before['assistant']}{{{{ .Content }}}}{after['assistant']}"
            "{{ end }}{{ end }}"
        )

    def parts(self) -> list[str]:
        """All that is quoted in the Modelfile."""
        return [*self.before.values(), *self.after.values()]


Shape = ChatShape | FoldedShape


def chat_shape(render: Render, bos: str) -> Shape | None:
    """The shape of what `render` writes, or None where it has another.

    `bos`: the token's text where the tokenizer puts it before every text: it is then not
    the template's to write.
    """
    found = (_tried(guess, render, bos) for guess in (_guess, _guess_folded))
    return next(filter(None, found), None)


def _tried(guess: Callable[[Render, str], Shape], render: Render, bos: str) -> Shape | None:
    try:
        shape = guess(render, bos)
        same = all(render(chat, True).removeprefix(bos) == shape.write(chat) for chat in trials())
    except Exception:  # a template is a program: it may refuse a role or an order in any way
        return None
    return shape if same else None


def trials() -> list[Chat]:
    """Chats that a shape must write as the model's own template does."""
    system, more = [_said("system", "Be brief.")], [_said("user", "One?")]
    longer = [*more, _said("assistant", "Two."), _said("user", "Three?")]
    return [more, [*system, *more], longer, [*system, *longer]]


def _guess(render: Render, bos: str) -> ChatShape:
    whole = render(
        [_said("system", _SYSTEM), _said("user", _USER), _said("assistant", _ASSISTANT)], False
    )
    before_system, rest = whole.removeprefix(bos).split(_SYSTEM)
    before_user, rest = rest.split(_USER)
    before_assistant, after = rest.split(_ASSISTANT)
    before = {
        "system": before_system,
        "user": before_user.removeprefix(after),
        "assistant": before_assistant.removeprefix(after),
    }
    alone = render([_said("user", _USER)], False).removeprefix(bos).split(_USER)[0]
    system = alone.removesuffix(before["user"]).removeprefix(before_system).removesuffix(after)
    return ChatShape(before=before, after=after, system=system)


def _guess_folded(render: Render, bos: str) -> FoldedShape:
    user, system = _said("user", _USER), _said("system", _SYSTEM)
    chat = [user, _said("assistant", _ASSISTANT), user]
    before, middle, after = render(chat, True).removeprefix(bos).split(_USER)
    answer = middle.removeprefix(after).removesuffix(before).split(_ASSISTANT)
    before_system, rest = render([system, user], True).removeprefix(bos).split(_SYSTEM)
    both = render([system, *chat], True)
    return FoldedShape(
        before={
            "system": before_system.removeprefix(before),
            "user": before,
            "assistant": answer[0],
        },
        after={"system": rest.split(_USER)[0], "user": after, "assistant": answer[1]},
        last=both.index(_SYSTEM) > both.index(_ASSISTANT),
    )


def _said(role: str, words: str) -> dict[str, str]:
    return {"role": role, "content": words}


def modelfile(gguf: str, shape: Shape | None, stops: Sequence[str]) -> str:
    """The text of the Modelfile; `stops` are the texts of the tokens that end an answer."""
    lines = [f"FROM ./{gguf}"]
    if shape and _quotable(shape):
        lines.append(f'TEMPLATE """{shape.template()}"""')
        if shape.system:
            lines.append(f'SYSTEM """{shape.system}"""')
    else:
        lines.append("# The chat template is the one in the GGUF file.")
    lines += [f'PARAMETER stop "{stop}"' for stop in stops]
    return "\n".join(lines) + "\n"


def _quotable(shape: Shape) -> bool:
    return not any(mark in part for part in shape.parts() for mark in ("{{", '"""'))
