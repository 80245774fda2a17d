"""The requests of Ollama's own documentation, sent by curl as they stand there."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_ollama import port_url
from tests.running import CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

EMBEDDING_MODEL = "all-MiniLM-L6-v2-F16-GGUF"
Json = dict[str, Any]
SKY = "Why is the sky blue?"
AGE: Json = {
    "type": "object",
    "properties": {"age": {"type": "integer"}, "available": {"type": "boolean"}},
    "required": ["age", "available"],
}
EVERY_OPTION: Json = {
    "num_keep": 5,
    "seed": 42,
    "num_predict": 100,
    "top_k": 20,
    "top_p": 0.9,
    "min_p": 0.0,
    "typical_p": 0.7,
    "repeat_last_n": 33,
    "temperature": 0.8,
    "repeat_penalty": 1.2,
    "presence_penalty": 1.5,
    "frequency_penalty": 1.0,
    "mirostat": 1,
    "mirostat_tau": 0.8,
    "mirostat_eta": 0.6,
    "penalize_newline": True,
    "stop": ["\n", "user:"],
    "numa": False,
    "num_ctx": 1024,
    "num_batch": 2,
    "num_gpu": 1,
    "main_gpu": 0,
    "low_vram": False,
    "vocab_only": False,
    "use_mmap": True,
    "use_mlock": False,
    "num_thread": 8,
}
REQUESTS: list[tuple[str, str, Json | None]] = [
    ("POST", "generate", {"model": "llama3.2", "prompt": SKY}),
    ("POST", "generate", {"model": "llama3.2", "prompt": SKY, "stream": False}),
    ("POST", "generate", {"model": "llama3.2", "prompt": SKY, "stream": False, "options": EVERY_OPTION}),
    ("POST", "generate", {"model": "llama3.2", "prompt": SKY, "options": {"seed": 123}}),
    ("POST", "generate", {"model": "llama3.2"}),
    ("POST", "generate", {"model": "llama3.2", "keep_alive": 0}),
    ("POST", "chat", {"model": "llama3.2", "messages": [{"role": "user", "content": SKY}]}),
    (
        "POST",
        "chat",
        {
            "model": "llama3.2",
            "messages": [
                {"role": "user", "content": SKY},
                {"role": "assistant", "content": "due to rayleigh scattering."},
                {"role": "user", "content": "how is that different than mie scattering?"},
            ],
            "options": {"seed": 101, "temperature": 0},
        },
    ),
    ("POST", "chat", {"model": "llama3.2", "messages": []}),
    ("POST", "chat", {"model": "llama3.2", "messages": [], "keep_alive": 0}),
    (
        "POST",
        "create",
        {"model": "mario", "modelfile": "FROM llama3.2\nSYSTEM You are mario from Super Mario Bros."},
    ),
    ("POST", "create", {"model": "mario2", "from": "llama3.2", "system": "You are Mario."}),
    ("GET", "tags", None),
    ("POST", "show", {"model": "llama3.2"}),
    ("POST", "copy", {"source": "llama3.2", "destination": "llama3-backup"}),
    ("DELETE", "delete", {"model": "llama3-backup"}),
    ("POST", "pull", {"model": "llama3.2"}),
    ("POST", "embed", {"model": "all-minilm", "input": SKY}),
    ("POST", "embed", {"model": "all-minilm", "input": [SKY, "Why is the grass green?"]}),
    ("POST", "embeddings", {"model": "all-minilm", "prompt": "Here is an article about llamas..."}),
    ("GET", "ps", None),
    ("GET", "version", None),
]
REFUSED: list[tuple[str, Json, str]] = [
    ("push", {"model": "mattw/pygmalion:latest"}, "not supported"),
    ("create", {"model": "x", "from": "llama3.2", "quantize": "q4_K_M"}, "'quantize' is not supported"),
    ("generate", {"model": "llama3.2", "prompt": SKY, "template": "{{ .Prompt }}"}, "'template' is not"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    home: Path = tmp_path_factory.mktemp("ollama-docs") / "home"
    store_tiny_model(home, "Llama-3.2-3B-Instruct-Q4_K_M-GGUF")
    store_tiny_model(home, EMBEDDING_MODEL)
    store_tiny_model(home, CHAT_MODEL)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_OLLAMA_PORT="0") as found:
        yield found


def curl(service: Service, method: str, path: str, body: Json | None) -> list[Json]:
    """The lines of JSON that the answer consists of."""
    command = ["curl", "-sS", "-X", method, f"{port_url(service)}/api/{path}"]
    if body is not None:
        command += ["-d", json.dumps(body)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_a_request_of_the_documentation_is_answered(
    service: Service, method: str, path: str, body: Json | None
) -> None:
    if path == "delete" and body is not None:  # of the copy that the request before it made
        curl(service, "POST", "copy", {"source": "llama3.2", "destination": body["model"]})
    lines = curl(service, method, path, body)
    assert not any("error" in line for line in lines), lines
    assert lines or path in ("copy", "delete")
    if path in ("generate", "chat"):
        assert lines[-1]["done"] is True
    if path in ("pull", "create"):
        assert lines[-1] == {"status": "success"}


@pytest.mark.parametrize(("path", "body", "text"), REFUSED)
def test_what_is_not_supported_is_said(service: Service, path: str, body: Json, text: str) -> None:
    (line,) = curl(service, "POST", path, body)
    assert text in line["error"]
