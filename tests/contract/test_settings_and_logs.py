"""GET /info, POST /config, GET /logs and its stream."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.shape import assert_like
from tests.running import CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

requirement = pytest.mark.requirement

LINE = {
    "timestamp": "2025-01-20T10:30:00Z",
    "level": "INFO",
    "message": "Server started successfully",
    "source": "FoundryLocalApiService",
}


@requirement("info.answer")
def test_info(api: Service) -> None:
    info = api.get("/info").json()
    assert_like(
        info,
        {
            "service": "FoundryLocal API",
            "version": "2.0.0",
            "foundry_local_version": "0.5.0",
            "capabilities": ["model_management"],
            "configuration": {"default_port": 1234, "cache_dir": "C:\\", "default_log_level": "INFO"},
            "model_registry": {"total_models": 45, "downloaded_models": 3, "loaded_models": 1},
        },
    )
    assert (info["service"], info["version"]) == ("FoundryLocal API", "2.0.0")
    assert info["capabilities"] == [
        "model_management",
        "server_control",
        "streaming_download",
        "health_monitoring",
        "log_streaming",
    ]
    assert info["model_registry"] == {
        "total_models": api.get("/models").json()["total_count"],
        "downloaded_models": 2,
        "loaded_models": 0,
    }


# --- configuration --------------------------------------------------------------------------------------


def saved(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((service.home / "config" / "config.json").read_text())
    return found


@requirement("config.answer", "8.saved")
def test_config(api: Service, tmp_path: Path) -> None:
    folder = str(tmp_path / "Models")
    body = {"port": 1235, "cache_dir": folder, "default_log_level": "DEBUG"}
    answer = api.post("/config", body).json()
    assert_like(
        answer,
        {
            "success": True,
            "message": "Configuration updated successfully",
            "port": 1235,
            "cachedir": "D:\\AI\\Models",
            "default_log_level": "DEBUG",
        },
    )
    assert answer["message"] == "Configuration updated successfully"
    assert (answer["cachedir"], answer["cache_dir"], answer["default_log_level"]) == (folder, folder, "DEBUG")
    assert saved(api) == body
    configuration = api.get("/info").json()["configuration"]
    assert (configuration["cache_dir"], configuration["default_log_level"]) == (folder, "DEBUG")
    assert api.get("/models/downloaded").json()["total_count"] == 0


@requirement("config.partial", "7.level")
def test_a_partial_update_leaves_the_rest(api: Service) -> None:
    before = api.post("/config", {"parallel": 2, "default_log_level": "DEBUG"}).json()
    after = api.post("/config", {"default_log_level": "INFO"}).json()
    assert {name for name in before if before[name] != after[name]} == {"default_log_level"}
    assert after["parallel"] == 2
    assert set(api.post("/config", {}).json()) == set(after)


@requirement("config.defaults")
def test_reset_to_defaults(api: Service) -> None:
    default = api.post("/config", {"defaults": True}).json()
    api.post("/config", {"parallel": 2, "queue_size": 1})
    assert api.post("/config", {"defaults": True}).json() == default
    assert saved(api) == {}
    changed = api.post("/config", {"defaults": True, "parallel": 3}).json()
    assert {name for name in default if default[name] != changed[name]} == {"parallel"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"unknown_setting": 1}, "unknown_setting"),
    ({"port": "1235"}, "port"),
    ({"port": 70000}, "port"),
    ({"port": True}, "port"),
    ({"default_log_level": "LOUD"}, "default_log_level"),
    ({"default_log_level": None}, "default_log_level"),
    ({"cache_dir": "relative/folder"}, "cache_dir"),
    ({"cache_dir": "/proc/nowhere"}, "cache_dir"),
    ({"cache_dir": "/dev/null/x"}, "cache_dir"),
    ({"allowed_hosts": ["*"]}, "allowed_hosts"),
    ({"allowed_hosts": "box.lan"}, "allowed_hosts"),
    ({"aliases": "a=b"}, "aliases"),
    ({"aliases": {"a": 1}}, "aliases"),
    ({"allowed_origins": ["nobody"]}, "allowed_origins"),
    ({"management_key": " padded-management-key "}, "management_key"),
    ({"api_host": "no such host!"}, "api_host"),
    ({"api_host": "192.0.2.1"}, "api_host"),
    ({"gateway_host": "0.0.0.0"}, "gateway_host"),
    ({"management_key": "short"}, "management_key"),
    ({"worker_command": ["sh"]}, "worker_command"),
    ({"defaults": "yes"}, "defaults"),
]


@requirement("8.unknown", "8.refused", "8.cache-dir")
@pytest.mark.parametrize(("body", "field"), REFUSED)
def test_a_refused_update_changes_nothing(api: Service, body: dict[str, Any], field: str) -> None:
    before = api.post("/config", {"parallel": 2}).json()
    answer = api.post("/config", {"queue_size": 9} | body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (
        400,
        "configuration_error",
        "invalid_configuration",
    )
    assert field in error["details"]
    assert api.post("/config", {}).json() == before
    assert saved(api) == {"parallel": 2}


@requirement("error.update_failed", "8.refused")
def test_an_update_that_cannot_be_saved(api: Service) -> None:
    path = api.home / "config" / "config.json"
    before = api.post("/config", {"parallel": 2}).json()
    path.unlink()
    (path / "in-the-way").mkdir(parents=True)
    answer = api.post("/config", {"parallel": 3})
    shutil.rmtree(path)
    assert answer.status_code == 500
    assert answer.json() == {
        "error": {
            "message": "Failed to update configuration. Check logs for details.",
            "type": "configuration_error",
            "code": "update_failed",
        }
    }
    assert api.post("/config", {}).json() == before


@requirement("8.saved", "8.corrupt")
def test_settings_survive_a_restart_and_a_corrupt_file_does_not_stop_one(home: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    store_tiny_model(home)
    # An empty variable is no setting, so the saved port holds.
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PORT="") as service:
        service.post("/config", {"port": port, "queue_size": 7})
        assert service.start()["port"] == port, "port is the default for the next start"
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PORT="") as service:
        assert service.get("/info").json()["configuration"]["default_port"] == port
        assert service.post("/config", {}).json()["queue_size"] == 7
    (home / "config" / "config.json").write_bytes(b'{"port": 12')
    with running(home, worker=FAKE_WORKER) as service:
        assert service.post("/config", {}).json()["queue_size"] == 64
        [aside] = (home / "config").glob("config.corrupt-*")
        assert aside.read_bytes() == b'{"port": 12'
        errors = service.get("/logs?level=ERROR").json()
        assert any(aside.name in line["message"] for line in errors)


# --- logs -----------------------------------------------------------------------------------------------


@requirement("logs.answer")
def test_logs(api: Service) -> None:
    api.start()
    api.post("/stop")
    lines = api.get("/logs").json()
    assert_like(lines, [LINE])
    assert all(list(line) == list(LINE) for line in lines)
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    told = [(line["source"], line["level"], line["message"]) for line in lines]
    assert ("FoundryLocalApiService", "INFO", "Server started successfully") in told
    assert ("FoundryLocalService", "INFO", f"Model loaded: {CHAT_MODEL}") in told


@requirement("logs.count")
def test_count(api: Service) -> None:
    api.post("/config", {"default_log_level": "DEBUG"})
    for _ in range(110):
        api.get("/health")
    assert len(api.get("/logs").json()) == 100
    assert len(api.get("/logs?count=50").json()) == 50
    everything = api.get("/logs?count=10000").json()
    assert len(everything) > 110
    assert api.get("/logs?count=1").json()[0]["message"].startswith("Processing request: GET")
    for count in ("0", "10001", "-1", "x", ""):
        answer = api.get(f"/logs?count={count}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
        assert "count" in answer.json()["error"]["details"]


@requirement("7.filters", "7.level")
def test_level_and_source(api: Service) -> None:
    api.post("/config", {"default_log_level": "DEBUG"})
    api.start(options={"health_check_interval_seconds": 0.1})
    eventually("a health check is told", lambda: api.get("/logs?source=HealthMonitor&level=DEBUG").json())
    line = api.get("/logs?source=HealthMonitor&level=DEBUG&count=1").json()[0]
    assert line["message"].startswith("Health check passed - response time: ")
    assert line["message"].endswith("ms")
    for query, field, value in (("level=INFO", "level", "INFO"), ("source=API", "source", "API")):
        lines = api.get(f"/logs?{query}").json()
        assert lines and {line[field] for line in lines} == {value}
    for query in ("level=LOUD", "source=Nobody", "level=debug2"):
        assert api.get(f"/logs?{query}").json()["error"]["code"] == "invalid_request"
    api.post("/config", {"default_log_level": "INFO"})
    quiet = len(api.get("/logs?level=DEBUG&count=10000").json())
    api.get("/health")
    assert len(api.get("/logs?level=DEBUG&count=10000").json()) == quiet


class LogReader:
    """A reader of the log stream in a thread: the raw lines as they come."""

    def __init__(self, service: Service, query: str = "", **headers: str) -> None:
        self.lines: list[str] = []
        self.is_open = threading.Event()
        self._client = httpx.Client(timeout=30)
        self._stream = self._client.stream("GET", f"{service.base}/logs/stream{query}", headers=headers)
        self.answer = self._stream.__enter__()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for line in self.answer.iter_lines():
                self.lines.append(line)
        except httpx.HTTPError:
            pass

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line[6:]) for line in list(self.lines) if line.startswith("data: ")]

    def numbers(self) -> list[int]:
        return [int(line[4:]) for line in list(self.lines) if line.startswith("id: ")]

    def wait_for(self, message: str) -> None:
        eventually(message, lambda: any(message in one["message"] for one in self.entries()))

    def close(self) -> None:
        self._stream.__exit__(None, None, None)
        self._client.close()


@pytest.fixture
def reader(api: Service) -> Iterator[Any]:
    readers: list[LogReader] = []

    def connect(query: str = "", **headers: str) -> LogReader:
        readers.append(LogReader(api, query, **headers))
        return readers[-1]

    yield connect
    for one in readers:
        one.close()


@requirement("logs-stream.form", "6.id-after-data", "6.headers")
def test_log_stream(api: Service, reader: Any) -> None:
    api.start()
    live = reader()
    assert live.answer.headers["content-type"].startswith("text/event-stream")
    assert live.answer.headers["cache-control"] == "no-cache"
    api.post("/stop")
    live.wait_for("Server stopped successfully")
    entries = live.entries()
    assert_like(entries, [LINE])
    assert not any(entry["message"] == "Server started successfully" for entry in entries), "only what is new"
    events = "\n".join(live.lines).split("\n\n")
    told = [block.strip("\n").split("\n") for block in events if "data: " in block]
    assert all(
        [line.partition(":")[0] for line in lines] == ["data", "id"] for lines in told if len(lines) > 1
    )
    assert told[0][0].startswith('data: {"timestamp":"')


@requirement("6.tail")
def test_log_stream_with_a_tail(api: Service, reader: Any) -> None:
    api.start()
    api.post("/stop")
    last = api.get("/logs?count=3").json()
    tail = reader("?tail=3")
    eventually("the tail", lambda: len(tail.entries()) >= 3)
    assert tail.entries()[:3] == last
    assert api.get("/logs/stream?tail=-1").json()["error"]["code"] == "invalid_request"


@requirement("6.resume")
def test_log_stream_resumes_where_it_was(api: Service, reader: Any) -> None:
    first = reader("?tail=1")
    api.start()
    first.wait_for("Server started successfully")
    first.close()
    seen = first.numbers()
    api.post("/stop")
    resumed = reader("", **{"Last-Event-ID": str(seen[-1])})
    resumed.wait_for("Server stopped successfully")
    numbers = resumed.numbers()
    assert numbers == list(range(seen[-1] + 1, seen[-1] + 1 + len(numbers)))
    odd = reader("", **{"Last-Event-ID": "9" * 5000})
    assert odd.answer.status_code == 200


@requirement("5.secrets")
def test_logs_hold_no_key(api: Service) -> None:
    api.post("/config", {"default_log_level": "DEBUG"})
    key = api.start()["api_key"]
    with api.gateway() as gateway:
        gateway.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": "canary-prompt"}]}
        )
        gateway.get(f"/v1/models?key={key}")
    api.get(f"/nowhere/{key}")
    text = json.dumps(api.get("/logs?count=10000").json())
    assert key not in text
    assert "canary-prompt" not in text
    for file in (api.home / "state").rglob("*.log"):
        assert key not in file.read_text()
