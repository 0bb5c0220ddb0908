"""The Modelfile: chat templates found by looking, and written for Ollama."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment
from tiny import CHATML

from adhere.export.modelfile import Chat, chat_shape, modelfile, trials

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
MISTRAL3 = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set turns = messages[1:] %}{% else %}{% set turns = messages %}{% endif %}<s>"
    "{% for message in turns %}{% if message['role'] == 'user' %}"
    "[INST] {% if loop.last and system is defined %}{{ system }}\n\n{% endif %}"
    "{{ message['content'] }}[/INST]{% else %} {{ message['content'] }}</s>{% endif %}"
    "{% endfor %}"
)
MISTRAL2 = MISTRAL3.replace("loop.last", "loop.first")
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set turns = messages[1:] %}{% else %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}{% if message['role'] == 'user' %}"
    "<s>[INST] {% if loop.first and system is defined %}"
    "<<SYS>>\n{{ system }}\n<</SYS>>\n\n{% endif %}{{ message['content'] }} [/INST]"
    "{% else %} {{ message['content'] }} </s>{% endif %}{% endfor %}"
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


def folded(opening: str, holds: str, system: str, closing: str, answer: str) -> str:
    """The line of a Modelfile."""
    return (
        'TEMPLATE """{{ range $i, $_ := .Messages }}{{ if eq .Role "user" }}'
        f"{opening}{{{{ if and $.System {holds} }}}}{system}{{{{ end }}}}"
        f'{{{{ .Content }}}}{closing}{{{{ else if eq .Role "assistant" }}}}{answer}'
        '{{ end }}{{ end }}"""\n'
    )


FOLDED = {
    MISTRAL3: folded(
        "[INST] ",
        "(eq (len (slice $.Messages $i)) 1)",
        "{{ $.System }}\n\n",
        "[/INST]",
        " {{ .Content }}</s>",
    ),
    MISTRAL2: folded(
        "[INST] ", "(le $i 1)", "{{ $.System }}\n\n", "[/INST]", " {{ .Content }}</s>"
    ),
    LLAMA2: folded(
        "[INST] ",
        "(le $i 1)",
        "<<SYS>>\n{{ $.System }}\n<</SYS>>\n\n",
        " [/INST]",
        " {{ .Content }} </s><s>",
    ),
}


@pytest.mark.parametrize("template", FOLDED, ids=["mistral 0.3", "mistral 0.2", "llama 2"])
def test_system_words_within_a_users_message(template: str) -> None:
    shape = chat_shape(renderer(template), "<s>")
    assert shape
    assert FOLDED[template] in modelfile("m.gguf", shape, ["</s>"])
    assert "SYSTEM" not in modelfile("m.gguf", shape, [])


def test_system_words_that_a_longer_chat_loses_are_no_shape_of_these() -> None:
    odd = MISTRAL3.replace("loop.last", "loop.last and loop.first")
    assert chat_shape(renderer(odd), "<s>") is None


GO = """
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"text/template"
)

type Message struct{ Role, Content string }

func main() {
	var given struct {
		Template string
		Chats    [][]Message
	}
	json.NewDecoder(os.Stdin).Decode(&given)
	parsed := template.Must(template.New("").Parse(given.Template))
	for _, chat := range given.Chats {
		system := ""
		if chat[0].Role == "system" {
			system = chat[0].Content
		}
		data := map[string]any{"System": system, "Messages": chat}
		if err := parsed.Execute(os.Stdout, data); err != nil {
			panic(err)
		}
		fmt.Print("\\x00")
	}
}
"""


@pytest.fixture(scope="module")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that fills in a template as Ollama does: System, and Messages."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("the templates are Go's, and there is no go here")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO)
    environment = {**os.environ, "GOCACHE": str(folder / "cache")}
    command = [go, "build", "-o", str(folder / "ollama"), str(folder / "main.go")]
    subprocess.run(command, check=True, env=environment)
    return folder / "ollama"


@pytest.mark.parametrize("template", [CHATML, LLAMA3, *FOLDED])
def test_go_writes_what_the_models_own_template_writes(template: str, ollama: Path) -> None:
    """Where the chat has no system message, Ollama puts the Modelfile's first."""
    bos = "<|begin|>" if template == LLAMA3 else "<s>"
    render = renderer(template)
    shape = chat_shape(render, bos)
    assert shape
    default = [{"role": "system", "content": shape.system}] if shape.system else []
    chats = [chat if chat[0]["role"] == "system" else [*default, *chat] for chat in trials()]
    told = json.dumps({"Template": shape.template(), "Chats": chats})
    done = subprocess.run([ollama], input=told, capture_output=True, text=True, check=True)
    expected = [render(chat, True).removeprefix(bos) for chat in trials()]
    assert done.stdout.split("\0")[:-1] == expected


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
