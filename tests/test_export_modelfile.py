"""The Modelfile: chat templates found by looking, and written for Ollama."""

from typing import Any

import pytest
from jinja2 import Environment
from tiny import CHATML

from adhere.export.modelfile import Chat, chat_shape, modelfile

LLAMA3 = (
    "{{ '<|begin|>' }}{% for message in messages %}"
    "{{ '<|header|>' + message['role'] + '<|/header|>\n\n' + message['content'] + '<|eot|>' }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|header|>assistant<|/header|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "<s>{% for message in messages %}{% if message['role'] == 'user' %}"
    "[INST] {{ message['content'] }} [/INST]{% elif message['role'] == 'assistant' %}"
    "{{ message['content'] }}</s>{% else %}{{ raise_exception('no system') }}{% endif %}"
    "{% endfor %}"
)
TRIMMED = CHATML.replace("message['content']", "message['content'] | replace('?', '!')")


def renderer(template: str) -> Any:
    compiled = Environment(keep_trailing_newline=True).from_string(template)

    def render(chat: Chat, more: bool) -> str:
        return compiled.render(messages=chat, add_generation_prompt=more)

    return render


def test_chatml_with_a_system_message_of_its_own() -> None:
    shape = chat_shape(renderer(CHATML), "")
    assert shape
    assert shape.before == {
        role: f"<|im_start|>{role}\n" for role in ("system", "user", "assistant")
    }
    assert (shape.after, shape.system) == ("<|im_end|>\n", "Be kind.")
    assert modelfile("m.gguf", shape, ["<|im_end|>", "<|endoftext|>"]) == (
        "FROM ./m.gguf\n"
        'TEMPLATE """{{ range .Messages }}'
        '{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n'
        '{{ end }}{{ end }}<|im_start|>assistant\n"""\n'
        'SYSTEM """Be kind."""\n'
        'PARAMETER stop "<|im_end|>"\n'
        'PARAMETER stop "<|endoftext|>"\n'
    )


def test_a_beginning_token_is_left_to_the_tokenizer() -> None:
    shape = chat_shape(renderer(LLAMA3), "<|begin|>")
    assert shape
    assert shape.before["system"] == "<|header|>system<|/header|>\n\n"
    assert (shape.after, shape.system) == ("<|eot|>", "")


@pytest.mark.parametrize("template", [MISTRAL, TRIMMED, "{{ 1 / 0 }}", "nothing of the chat"])
def test_other_shapes_are_left_to_the_gguf_file(template: str) -> None:
    assert chat_shape(renderer(template), "<s>") is None
    text = modelfile("m.gguf", None, ["</s>"])
    assert "TEMPLATE" not in text
    assert text.splitlines()[::2] == ["FROM ./m.gguf", 'PARAMETER stop "</s>"']


def test_what_the_modelfile_cannot_quote_is_left_out() -> None:
    shape = chat_shape(renderer(CHATML.replace("Be kind.", '"""')), "")
    assert shape
    assert "TEMPLATE" not in modelfile("m.gguf", shape, [])
