"""The published shell scripts run as they were written, with bash, curl and jq."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract import scripts
from tests.real_models import copy_into
from tests.running import (
    BASE_MODEL,
    BASE_MODEL_ID,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    Service,
    eventually,
    running,
)

requirement = pytest.mark.requirement
TIMEOUT_S = 90


@pytest.fixture(autouse=True)
def _tools() -> None:
    missing = [name for name in ("bash", "curl", "jq") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; scripts/install-test-tools installs them")


def documents(text: str) -> list[Any]:
    """The JSON values that stand one after another in what a script printed."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        if text[at] not in '{["':
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def run(service: Service, script: str, **mapping: Any) -> str:
    """What the script printed; it must end well, and no curl in it may fail."""
    text = scripts.localize(script, port=service.port, **mapping)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-e", "-c", text],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=os.environ | {"NO_PROXY": "*", "no_proxy": "*"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- with the fake worker -------------------------------------------------------------------------------


@requirement("tip.1")
def test_tip_1(api: Service) -> None:
    out = run(api, scripts.TIP_1)
    assert '"message":"Server started successfully"' in out
    assert '"message":"Download completed successfully"' in out


@requirement("tip.2")
def test_tip_2(api: Service) -> None:
    out = run(api, scripts.TIP_2)
    assert out.startswith('data: {"type":"progress","message":"Starting download: ')
    assert out.endswith("}") and documents(out)[-1]["message"] == "Model downloaded successfully"


@requirement("tip.3")
def test_tip_3(api: Service) -> None:
    assert "stopping first" not in run(api, scripts.TIP_3)
    out = run(api, scripts.TIP_3)
    assert "Server is running, stopping first..." in out
    assert [one["message"] for one in documents(out)] == [
        "Server stopped successfully",
        "Server started successfully",
    ]


@requirement("tip.4")
def test_tip_4(running_api: Service) -> None:
    out = documents(run(running_api, scripts.TIP_4))
    assert [one["success"] for one in out] == [True, True, True]
    assert [one.get("model") for one in out] == [None, BASE_MODEL, BASE_MODEL]


@requirement("tip.5")
def test_tip_5(api: Service) -> None:
    assert set(documents(run(api, scripts.TIP_5))) == {CHAT_MODEL, BASE_MODEL}


@requirement("tip.6")
def test_tip_6(api: Service) -> None:
    assert documents(run(api, scripts.TIP_6))[0]["success"] is True


@requirement("tip.7")
def test_tip_7(api: Service, tmp_path: Path) -> None:
    folder = str(tmp_path / "AI" / "Models")
    answer, verified = documents(run(api, scripts.TIP_7, cache_dir=folder))
    assert (answer["cachedir"], verified) == (folder, folder)


@requirement("tip.9")
def test_tip_9(api: Service) -> None:
    *sizes, deleted = documents(run(api, scripts.TIP_9))
    assert all(set(one) == {"name", "size"} and one["size"].endswith(" KB") for one in sizes)
    assert deleted["message"] == "Model deleted successfully"


@requirement("tip.10")
def test_tip_10(api: Service) -> None:
    shorter = "sleep() { command sleep 0.3; }\n"
    script = scripts.localize(shorter + scripts.TIP_10, port=api.port)
    with subprocess.Popen(
        ["bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"LC_ALL": "C"},
    ) as loop:
        assert loop.stdout
        told = []
        for line in loop.stdout:
            told.append(line)
            if "Server healthy" in line:
                break
        loop.kill()
    assert "Server unhealthy - restarting..." in told[0]
    assert '"Server started successfully"' in "".join(told)
    assert api.status()["status"] == "running"


@requirement("quick-reference")
def test_quick_reference(api: Service) -> None:
    out = documents(run(api, scripts.QUICK_REFERENCE))
    assert len(out) == 7
    assert all("error" not in one for one in out)
    assert out[3]["model"] == BASE_MODEL


# --- with the real engine -------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the real engine, copies of both models and a gateway port that is known beforehand.

    The context is small, since the published chats set no limit and a small model may talk until it is full.
    """
    home = tmp_path_factory.mktemp("real") / "home"
    copy_into(home / "cache", CHAT_MODEL_ID, BASE_MODEL_ID)
    small = {"FOUNDRYLOCAL_CONTEXT_SIZE": "256", "FOUNDRYLOCAL_PARALLEL": "1"}
    with running(home, FOUNDRYLOCAL_PORT=str(free_port()), **small) as service:
        yield service


@pytest.fixture
def engine(real: Service) -> Iterator[Service]:
    yield real
    real.post("/stop")


def mapping(service: Service) -> dict[str, Any]:
    """What a user copies from the start answer."""
    port = service.get("/info").json()["configuration"]["default_port"]
    key = (service.home / "state" / "gateway.key").read_text().strip()
    return {"gateway_port": port, "key": key}


@pytest.mark.model
@requirement("workflow.1")
def test_workflow_1(engine: Service) -> None:
    out = documents(run(engine, scripts.WORKFLOW_1, **mapping(engine)))
    health, info, *models, downloaded, started, status, chat = out
    assert health["status"] == "healthy"
    assert info["model_registry"]["total_models"] == len(models)
    assert all(list(one) == ["simple_name", "size", "is_downloaded"] for one in models)
    assert downloaded["message"] == "Model downloaded successfully"
    assert started["message"] == "Server started successfully"
    assert status["is_running"] is True
    assert chat["choices"][0]["message"]["content"].strip()


@pytest.mark.model
@requirement("usage.chat")
def test_usage_chat(engine: Service) -> None:
    engine.start()
    [chat] = documents(run(engine, scripts.USAGE_CHAT, **mapping(engine)))
    assert chat["choices"][0]["message"]["content"].strip()


@pytest.mark.model
@requirement("usage.stream")
def test_usage_stream(engine: Service) -> None:
    engine.start()
    short = scripts.USAGE_STREAM.replace('"stream": true', '"stream": true, "max_tokens": 40')
    out = run(engine, short, **mapping(engine))
    lines = [line for line in out.splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    words = [json.loads(line[6:])["choices"] for line in lines[:-1]]
    assert len(words) > 10


@pytest.mark.model
@requirement("workflow.3")
def test_workflow_3(engine: Service) -> None:
    engine.start()
    before, switched, after = documents(run(engine, scripts.WORKFLOW_3))
    assert (before, after) == (CHAT_MODEL, BASE_MODEL)
    assert (switched["message"], switched["loaded_model_id"]) == (
        "Server started successfully",
        BASE_MODEL_ID,
    )


@pytest.mark.model
@requirement("workflow.5")
def test_workflow_5(engine: Service) -> None:
    first = scripts.localize(scripts.WORKFLOW_5_FIRST_TERMINAL, port=engine.port)
    with subprocess.Popen(
        ["bash", "-c", f"exec {first}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as terminal:
        assert terminal.stdout
        assert terminal.stdout.readline().startswith(":"), "connected"
        started, info = documents(run(engine, scripts.WORKFLOW_5))
        lines = []
        for line in terminal.stdout:
            lines.append(line)
            if "Server started successfully" in line:
                break
        terminal.terminate()
    assert started["success"] is True
    assert info["model_registry"]["loaded_models"] == 1
    entries = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert "FoundryLocalService" in {entry["source"] for entry in entries}, "the engine's own lines are there"


@pytest.mark.model
@requirement("workflow.4")
def test_workflow_4(engine: Service) -> None:
    out = run(engine, scripts.WORKFLOW_4)
    assert f"Downloading {CHAT_MODEL}..." in out
    *available, first, second, listed, deleted = documents(out)
    assert CHAT_MODEL not in available and len(available) > 5
    assert [first["model_name"], second["model_name"]] == [CHAT_MODEL, BASE_MODEL]
    assert {one["simple_name"] for one in listed["models"]} == {CHAT_MODEL, BASE_MODEL}
    assert deleted["freed_space_bytes"] == first["file_size_bytes"]
    eventually("it is gone", lambda: engine.get("/models/downloaded").json()["total_count"] == 1)


@pytest.mark.model
@requirement("workflow.2", "download-stream.messages", "6.progress")
def test_workflow_2(tmp_path: Path) -> None:
    """The one download of a run that is not from the test cache, but for pip's own."""
    with running(tmp_path / "home") as service:
        script = scripts.WORKFLOW_2.replace("Qwen2.5-3B-Instruct-Q4_K_M-GGUF", CHAT_MODEL)
        out = run(service, script)
        assert service.get("/downloads").json()["total_count"] == 0
    events = [json.loads(line[6:]) for line in out.splitlines() if line.startswith("data: ")]
    assert events[0] == {"type": "progress", "message": f"Starting download: {CHAT_MODEL}"}
    measured = [event for event in events if "progress" in event]
    assert measured, "there is progress"
    for event in measured:
        assert event["message"].startswith("Downloaded: ")
        assert event["message"].endswith(" MB/s")
        assert set(event["progress"]) <= {
            "stage",
            "percent",
            "downloaded_bytes",
            "total_bytes",
            "bytes_per_second",
            "eta_seconds",
        }
    percents = [event["progress"]["percent"] for event in measured]
    assert percents == sorted(percents) and percents[-1] == 100.0
    assert "Downloaded: 100.0% (" in measured[-1]["message"]
    assert (events[-1]["type"], events[-1]["message"]) == ("success", "Download completed successfully")
    assert events[-1]["data"]["model_name"] == CHAT_MODEL
