"""Ollama's `Modelfile`: which weights, how a chat is written, where an answer ends.

Ollama writes a chat by a Go template. It is not translated from the model's own Jinja
template but found by looking at what that writes: where every message is written as
`something for its role + words + the same end`, as most are, that is the template. A longer
chat must come out the same; else no TEMPLATE is written, and Ollama goes by the one that the
GGUF file holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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


def chat_shape(render: Render, bos: str) -> ChatShape | None:
    """The shape of what `render` writes, or None where it has another.

    `bos`: the token's text where the tokenizer puts it before every text: it is then not
    the template's to write.
    """
    try:
        shape = _guess(render, bos)
        trials: list[Chat] = [
            [_said("user", "One?")],
            [_said("system", "Be brief."), _said("user", "One?")],
            [_said("user", "One?"), _said("assistant", "Two."), _said("user", "Three?")],
        ]
        same = all(render(chat, True).removeprefix(bos) == shape.write(chat) for chat in trials)
    except Exception:  # a template is a program: it may refuse a role or an order in any way
        return None
    return shape if same else None


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


def _said(role: str, words: str) -> dict[str, str]:
    return {"role": role, "content": words}


def modelfile(gguf: str, shape: ChatShape | None, stops: Sequence[str]) -> str:
    """The text of the Modelfile; `stops` are the texts of the tokens that end an answer."""
    lines = [f"FROM ./{gguf}"]
    if shape and _quotable(shape):
        lines.append(f'TEMPLATE """{_go_template(shape)}"""')
        if shape.system:
            lines.append(f'SYSTEM """{shape.system}"""')
    else:
        lines.append("# The chat template is the one in the GGUF file.")
    lines += [f'PARAMETER stop "{stop}"' for stop in stops]
    return "\n".join(lines) + "\n"


def _quotable(shape: ChatShape) -> bool:
    parts = [*shape.before.values(), shape.after, shape.system]
    return not any(mark in part for part in parts for mark in ("{{", '"""'))


def _go_template(shape: ChatShape) -> str:
    cases = "{{ else ".join(
        f'if eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{shape.after}'
        for role, before in shape.before.items()
    )
    turns = "{{ range .Messages }}{{ " + cases + "{{ end }}{{ end }}"
    return turns + shape.before["assistant"]
