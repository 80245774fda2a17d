"""Ollama's API with the fake worker: every endpoint on both ports, by the `ollama` package and its types."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
from ollama import ListResponse, ProcessResponse, ShowResponse

from tests.running import (
    BASE_MODEL,
    CHAT_MODEL,
    FAKE_WORKER,
    Service,
    eventually,
    running,
    store_tiny_model,
)

requirement = pytest.mark.requirement
NAME = "smollm2:135m"
HELLO = [{"role": "user", "content": "Hi"}]
BASE_NAME = f"{BASE_MODEL}:latest"


def port_url(service: Service) -> str:
    """The address of Ollama's port, as the log has it."""

    def look() -> str | None:
        lines = [entry["message"] for entry in service.get("/logs?count=500").json()]
        found = [line for line in lines if line.startswith("Ollama's API listening on ")]
        return found[-1].split()[4].rstrip(",") if found else None

    return str(eventually("Ollama's port is open", look))


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    store_tiny_model(home, CHAT_MODEL, context_length=8192)
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_OLLAMA_PORT="0") as found:
        yield found


@pytest.fixture(params=["own port", "gateway"])
def client(service: Service, request: pytest.FixtureRequest) -> ollama.Client:
    if request.param == "own port":
        return ollama.Client(host=port_url(service))
    health = service.start(BASE_MODEL)
    base = health["endpoint"].removesuffix("/v1")
    return ollama.Client(host=base, headers={"Authorization": f"Bearer {health['api_key']}"})


@requirement("20.endpoints", "20.names")
def test_models_are_listed_shown_copied_and_deleted(client: ollama.Client) -> None:
    assert {model.model for model in client.list().models} == {NAME, BASE_NAME}
    shown = client.show(NAME)
    assert shown.modelinfo and shown.modelinfo["general.architecture"] == "llama"
    assert shown.modelinfo["llama.context_length"] == 8192
    assert shown.details and shown.details.format == "gguf" and "completion" in (shown.capabilities or ())
    client.copy(NAME, "mine")
    names = [model.model for model in client.list().models]
    assert "mine:latest" in names
    assert client.chat("mine", HELLO).message.content
    client.delete("mine")
    client.delete(NAME)
    assert [model.model for model in client.list().models] == [BASE_NAME]
    with pytest.raises(ollama.ResponseError, match="not found, try pulling it first") as caught:
        client.chat(NAME, HELLO)
    assert caught.value.status_code == 404


@requirement("20.endpoints", "20.names")
@pytest.mark.parametrize("alias", ["mine", "Mine", "mine:latest"])
def test_deleting_a_name_leaves_the_model_that_it_stands_for(
    service: Service, client: ollama.Client, alias: str
) -> None:
    assert service.post("/config", {"aliases": {alias: CHAT_MODEL}}).status_code == 200
    assert client.chat("mine", HELLO).done
    client.delete("mine:latest")
    assert {model.model for model in client.list().models} == {NAME, BASE_NAME}


@requirement("20.create")
def test_a_model_is_made_of_another(client: ollama.Client) -> None:
    parameters = {"num_ctx": 1024, "stop": "END"}
    lines = list(
        client.create("mario", from_=NAME, system="You are Mario.", parameters=parameters, stream=True)
    )
    assert lines[-1].status == "success"
    shown = client.show("mario")
    assert "num_ctx" in (shown.parameters or "") and 'SYSTEM """You are Mario."""' in (shown.modelfile or "")
    assert client.chat("mario", HELLO).done
    loaded = next(model for model in client.ps().models if model.model == NAME)
    assert loaded.context_length == 1024
    client.copy("mario", "luigi")
    client.delete("mario:latest")
    assert "num_ctx" in (client.show("luigi").parameters or "")
    assert "num_ctx" not in (client.show(NAME).parameters or "")
    with pytest.raises(ollama.ResponseError, match="model 'mario' not found"):
        client.show("mario")
    with pytest.raises(ollama.ResponseError, match="already"):
        client.create(NAME, from_="luigi")


@requirement("20.endpoints")
def test_a_chat_whole_and_streamed(client: ollama.Client) -> None:
    whole = client.chat(NAME, HELLO)
    assert (whole.done, whole.done_reason, whole.model) == (True, "stop", NAME)
    assert whole.message.content and whole.eval_count == 16 and (whole.total_duration or 0) > 0
    parts = list(client.chat(NAME, HELLO, stream=True))
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert client.generate(NAME, "Hi").response == whole.message.content


@requirement("20.keep-alive")
def test_models_are_loaded_kept_and_unloaded(client: ollama.Client) -> None:
    assert client.generate(NAME).done_reason == "load"
    loaded = {model.model: model for model in client.ps().models}
    assert loaded[NAME].context_length and loaded[NAME].size
    before = loaded[NAME].expires_at
    client.chat(NAME, HELLO, keep_alive="2h")
    kept = next(model for model in client.ps().models if model.model == NAME)
    assert before and kept.expires_at and kept.expires_at != before
    client.chat(NAME, HELLO, keep_alive=-1)
    kept = next(model for model in client.ps().models if model.model == NAME)
    assert kept.expires_at and kept.expires_at.year == 2300
    assert client.generate(NAME, keep_alive=0).done_reason == "unload"
    assert NAME not in [model.model for model in client.ps().models]
    client.chat(NAME, HELLO, keep_alive=0)
    eventually("it left", lambda: NAME not in [model.model for model in client.ps().models])


@requirement("20.num-ctx")
def test_a_context_is_loaded_as_asked_for_or_refused(client: ollama.Client) -> None:
    def context() -> int | None:
        return next(model.context_length for model in client.ps().models if model.model == NAME)

    client.chat(NAME, HELLO, options={"num_ctx": 1024})
    assert context() == 1024
    client.chat(NAME, HELLO, options={"num_ctx": 4096})
    assert context() == 4096
    client.chat(NAME, HELLO, options={"num_ctx": 2048})
    assert context() == 4096  # it is large enough
    with pytest.raises(ollama.ResponseError, match="Its maximum context is 8192 tokens") as caught:
        client.chat(NAME, HELLO, options={"num_ctx": 9000})
    assert caught.value.status_code == 400 and context() == 4096


@requirement("20.endpoints")
def test_a_pull_is_told_as_layers(client: ollama.Client) -> None:
    lines = list(client.pull(NAME, stream=True))
    assert lines[0].status == "pulling manifest" and lines[-1].status == "success"
    layers = [line for line in lines if line.digest]
    assert layers and layers[-1].completed == layers[-1].total
    assert client.pull(NAME).status == "success"
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        client.pull("nobody:1b")
    assert caught.value.status_code == 404


@requirement("20.names")
def test_names_that_are_unknown_are_404_everywhere(client: ollama.Client) -> None:
    calls: list[Any] = [
        lambda: client.chat("nobody", HELLO),
        lambda: next(client.chat("nobody", HELLO, stream=True)),
        lambda: client.generate("nobody", "Hi"),
        lambda: client.embed("nobody", "Hi"),
        lambda: client.show("nobody"),
        lambda: client.delete("nobody"),
        lambda: client.copy("nobody", "x"),
    ]
    for call in calls:
        with pytest.raises(ollama.ResponseError, match="model 'nobody' not found") as caught:
            call()
        assert caught.value.status_code == 404


@requirement("20.endpoints")
def test_embeddings_and_what_a_model_cannot_do(home: Path) -> None:
    store_tiny_model(home, "nomic-embed-text-v1.5-Q8_0-GGUF")
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_OLLAMA_PORT="0") as service:
        client = ollama.Client(host=port_url(service))
        name = "nomic-embed-text:v1.5-q8_0"
        assert [len(one) for one in client.embed(name, ["a", "b"]).embeddings] == [8, 8]
        assert len(client.embeddings(name, "a").embedding) == 8
        assert list(client.embed(name, []).embeddings) == []
        assert client.show(name).capabilities == ["embedding"]
        with pytest.raises(ollama.ResponseError, match="cannot generate text"):
            client.chat(name, HELLO)


@requirement("20.endpoints", "20.port")
def test_the_raw_answers_are_of_the_packages_types(service: Service) -> None:
    with httpx.Client(base_url=port_url(service)) as http:
        assert http.get("/").text == "Ollama is running" and http.head("/").status_code == 200
        assert http.get("/api/version").json().keys() == {"version"}
        tags = http.get("/api/tags").json()
        ListResponse.model_validate(tags)
        entry = next(model for model in tags["models"] if model["name"] == NAME)
        assert entry["model"] == NAME and len(entry["digest"]) == 64
        ShowResponse.model_validate(http.post("/api/show", json={"name": NAME}).json())
        http.post("/api/generate", json={"model": NAME})
        ProcessResponse.model_validate(http.get("/api/ps").json())
        with http.stream("POST", "/api/chat", json={"model": NAME, "messages": HELLO}) as answer:
            assert answer.headers["content-type"] == "application/x-ndjson"
            lines = [json.loads(line) for line in answer.read().splitlines()]
        assert lines[-1]["done"] and not any("error" in line for line in lines)
        for answer in (
            http.post("/api/chat", content=b"{"),
            http.post("/api/chat", json={"messages": []}),
            http.get("/api/chat"),
            http.post("/api/push", json={"model": NAME}),
            http.get("/api/nowhere"),
            http.get("/api/tags", headers={"Origin": "https://evil.example"}),
            http.get("/api/tags", headers={"Host": "evil.example"}),
        ):
            assert answer.status_code >= 400
            assert answer.json().keys() == {"error"} and isinstance(answer.json()["error"], str)


@requirement("20.endpoints")
def test_the_port_of_the_gateway_wants_the_key(service: Service) -> None:
    base = service.start(BASE_MODEL)["endpoint"].removesuffix("/v1")
    assert httpx.get(f"{base}/api/tags").status_code == 401
    assert isinstance(httpx.get(f"{base}/api/tags").json()["error"], str)
    assert "OpenAI" in httpx.get(base).text
    with service.gateway() as gateway:
        assert gateway.get("/").text == "Ollama is running"
        assert "OpenAI" in gateway.get("/", headers={"Accept": "text/html"}).text


@requirement("20.port")
def test_changes_need_the_management_key_where_one_is_set(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    key = "m" * 20
    settings = {"FOUNDRYLOCAL_OLLAMA_PORT": "0", "FOUNDRYLOCAL_MANAGEMENT_KEY": key}
    with running(home, worker=FAKE_WORKER, **settings) as service:
        service.http.headers["Authorization"] = f"Bearer {key}"
        url = port_url(service)
        assert ollama.Client(host=url).chat(NAME, HELLO).done
        for change in ("pull", "copy"):
            body = {"model": NAME, "source": NAME, "destination": "x"}
            assert httpx.post(f"{url}/api/{change}", json=body).status_code == 401
        with pytest.raises(ollama.ResponseError, match="management_key"):
            ollama.Client(host=url).delete(NAME)
        ollama.Client(host=url, headers={"Authorization": f"Bearer {key}"}).delete(NAME)


@requirement("20.port")
def test_a_taken_port_is_told_and_the_service_runs(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_OLLAMA_PORT=str(port)) as service:

            def problems() -> list[str]:
                entries = service.get("/logs?level=ERROR").json()
                return [entry["message"] for entry in entries if str(port) in entry["message"]]

            (line,) = eventually("it is logged", problems)
            assert "already in use" in line and "set ollama_port again" in line
            assert service.status()["status"] == "stopped"


@requirement("20.port")
def test_the_port_follows_its_setting(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        assert service.post("/config", {"ollama_port": 0}).status_code == 200
        url = port_url(service)
        assert httpx.get(url).text == "Ollama is running"
        assert service.post("/config", {"ollama_port": None}).status_code == 200

        def is_closed() -> bool:
            try:
                httpx.get(url)
            except httpx.ConnectError:
                return True
            return False

        eventually("it is closed", is_closed)
