"""The real hub client against a small hub of our own on this machine."""

import json
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from adhere import hub
from adhere.errors import EngineError, InputError
from adhere.hub import hub_snapshot
from adhere.models import checkpoint_folder
from adhere.progress import NoProgress

COMMIT = "c" * 40
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "1_Pooling/config.json": b"{}",
    "onnx/config.json": b"{}",
    "pytorch_model.bin": b"a second copy of the weights",
}


class Hub(BaseHTTPRequestHandler):
    """Knows one repository, `somebody/model`."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self.answer(200, b"")
        elif path.startswith("/api/models/somebody/model/revision/"):
            self.answer(200, json.dumps({"id": "somebody/model", "sha": COMMIT}).encode())
        elif path.startswith("/api/models/somebody/model/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": name}
                for name, content in FILES.items()
            ]
            self.answer(200, json.dumps(tree).encode())
        elif path.startswith(f"/somebody/model/resolve/{COMMIT}/"):
            self.answer(200, FILES[path.split("/", 5)[5]])
        else:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{abs(hash(self.path))}"')
        self.send_header("X-Repo-Commit", COMMIT)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "HUB_TIMEOUT", 1.0)
    return tmp_path


@pytest.fixture
def server(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_repository_gives_its_checkpoint_and_not_the_other_formats(server: ThreadingHTTPServer):
    folder = checkpoint_folder("somebody/model", NoProgress())
    assert names(folder) == {"config.json", "model.safetensors", "1_Pooling/config.json"}
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_a_repository_without_a_checkpoint_is_refused(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(FILES, "config.json")
    with pytest.raises(InputError, match=r"no config\.json"):
        checkpoint_folder("somebody/model", NoProgress())


def test_an_unknown_repository_is_one_sentence(server: ThreadingHTTPServer):
    with pytest.raises(EngineError, match=r"^nobody/model: not to be had from the hub: .*Check"):
        hub_snapshot("nobody/model", ["*"])


def test_what_was_fetched_before_serves_without_a_connection(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
):
    online = hub_snapshot("somebody/model", ["*.json"])
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert hub_snapshot("somebody/model", ["*.json"]) == online


def test_a_hub_out_of_reach_is_said_within_seconds(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"somebody/model: .*127\.0\.0\.1:9 cannot be reached"):
        hub_snapshot("somebody/model", ["*"])
    assert time.monotonic() - start < 10


def test_the_offline_switch_of_the_hub_is_respected(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EngineError, match="HF_HUB_OFFLINE is set"):
        hub_snapshot("somebody/model", ["*"])
