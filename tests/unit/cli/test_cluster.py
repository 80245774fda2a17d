"""`foundrylocal cluster`: what it refuses before anything starts, its token, and how it shows a cluster."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from foundrylocal.cli.cluster import preparing
from foundrylocal.engine.ray.node.record import own_record, recorded_node
from foundrylocal.settings.saved_file import NAME, change_setting
from tests.fakes.llama_server import make_llama_server
from tests.fakes.management_api import Run, Script

GB = 1 << 30
TOKEN = "0123456789abcdef" * 4
HEAD = "192.168.1.10:6379"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOUNDRYLOCAL_HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(preparing, "installation_problem", lambda: None)
    return tmp_path


def test_a_node_offers_the_gpus_that_its_best_engine_sees(home: Path) -> None:
    assert preparing.offered_gpus(preparing.home_folders()) == ()
    binaries = {"cuda": make_llama_server(home / "bin", "gpu"), "broken": home / "nothing"}
    change_setting(home / "config", "engines", {name: str(binary) for name, binary in binaries.items()})
    assert preparing.offered_gpus(preparing.home_folders()) == (23_500 << 20,)


def node(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "address": name,
        "state": "alive",
        "reason": None,
        "is_service": False,
        "memory_bytes": 8 * GB,
        "free_bytes": 4 * GB,
        "gpus": [],
        "versions": {"foundrylocal": "0.1.0", "python": "3.11.7", "ray": "2.60.0"},
        "has_other_version": False,
        **changes,
    }


def answer(*nodes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "address": HEAD,
        "state": "connected",
        "message": None,
        "action": None,
        "nodes": list(nodes),
        "total_count": len(nodes),
        "replicas": [{"model": "Tiny-GGUF", "node": "192.168.1.11"}],
        "suspects": [],
        **changes,
    }


def test_status_shows_nodes_and_their_models(service: Script, run: Run) -> None:
    lost = node("192.168.1.11", state="lost", reason="It stopped answering.", has_other_version=True)
    service.on("GET /cluster", answer(node("192.168.1.10", is_service=True), lost))
    code, out, _ = run("cluster", "status")
    assert code == 0
    lines = out.splitlines()
    assert lines[:2] == [f"Cluster  {HEAD}", "State    connected"]
    assert "192.168.1.10 (service)  alive" in lines[4]
    assert lines[5].split()[-1] == "Tiny-GGUF"
    assert "0.1.0 (another one)" in lines[5]
    assert lines[-1] == "192.168.1.11: It stopped answering."


def test_status_without_a_cluster_says_how_to_make_one(service: Script, run: Run) -> None:
    service.on("GET /cluster", answer(state="local", address=None))
    assert "foundrylocal cluster head" in run("cluster", "status")[1]
    assert json.loads(run("cluster", "status", "--json")[1])["state"] == "local"


def test_status_of_a_cluster_that_does_not_answer(service: Script, run: Run) -> None:
    service.on(
        "GET /cluster", answer(state="unreachable", message="The cluster cannot be reached", action="Wait.")
    )
    assert "The cluster cannot be reached: Wait." in run("cluster", "status")[1]


def test_a_token_is_kept_from_standard_input(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("cluster", "token")
    assert (code, "no token" in err) == (1, True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TOKEN}\n"))
    code, out, _ = run("cluster", "token", "--set")
    assert (code, TOKEN in out) == (0, False)
    assert run("cluster", "token")[1] == f"{TOKEN}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("nonsense\n"))
    assert run("cluster", "token", "--set")[0] == 2
    assert run("cluster", "token")[1] == f"{TOKEN}\n"


def test_joining_beyond_loopback_needs_a_token(home: Path, run: Run) -> None:
    code, _, err = run("cluster", "join", HEAD, "--address", "127.0.1.2")
    assert code == 1
    assert "has no token" in err
    assert "foundrylocal cluster token --set" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("head", "--address", "127.0.0.1"), "Use 127.0.1.1"),
        (("head", "--address", "192.0.2.1"), "does not have the address"),
        (("head", "--storage", "redis://:secret@r:1"), "process"),
        (("join", "head:0"), "HOST:PORT"),
        (("join", "127.0.1.1:6379"), "--address 127.0.1.2"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    home: Path, run: Run, arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = run("cluster", *arguments)
    assert code == 2
    assert said in err
    assert "secret" not in err
    assert "Next:" in err


def test_without_ray_the_next_step_is_to_install_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_HOME", str(tmp_path))
    monkeypatch.setattr("foundrylocal.engine.ray.node.installed.ray_version", lambda: None)
    code, _, err = run("cluster", "head")
    assert code == 1
    assert "pip install 'foundrylocal[ray]'" in err
    assert list(tmp_path.iterdir()) == []


def test_one_home_runs_one_node(home: Path, run: Run) -> None:
    (home / "state").mkdir()
    with recorded_node(home / "state", own_record("head", "127.0.1.1", "127.0.1.1:6379")):
        code, _, err = run("cluster", "head")
    assert code == 1
    assert "foundrylocal cluster leave" in err


def test_leaving_forgets_the_cluster(home: Path, run: Run) -> None:
    code, _, err = run("cluster", "leave")
    assert (code, "No node" in err) == (1, True)
    (home / "config").mkdir()
    (home / "state" / "cluster-storage").mkdir(parents=True)
    change_setting(home / "config", "cluster_address", "127.0.1.1:6379")
    code, out, _ = run("cluster", "leave")
    assert code == 0
    assert "cluster_address is removed" in out
    assert json.loads((home / "config" / NAME).read_text()) == {}
    assert not (home / "state" / "cluster-storage").exists()


def test_doctor_needs_no_service(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out, _ = run("cluster", "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert list(checks) == ["ray", "token", "node", "head", "ports", "versions", "clock"]
    assert checks["head"]["message"] == "No cluster is set."
    assert checks["versions"]["action"] == "foundrylocal serve"
    assert code in (0, 1)  # Ray may be installed here or not
