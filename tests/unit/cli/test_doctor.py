"""`foundrylocal doctor`: through the service, or without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.management_api import Run, Script

ANSWER = {
    "status": "warning",
    "checks": [
        {"name": "memory", "status": "ok", "message": "4 GB can be used.", "action": None, "seconds": 0.1},
        {
            "name": "hub",
            "status": "warning",
            "message": "No hub.",
            "action": "Check the proxy.",
            "seconds": 6.0,
        },
    ],
    "total_count": 2,
}


def test_each_check_is_one_line_with_its_next_step(service: Script, run: Run) -> None:
    service.on("GET /doctor", ANSWER)
    code, out, _ = run("doctor")
    assert code == 0
    assert out.splitlines() == [
        "ok       memory  4 GB can be used.",
        "WARNING  hub     No hub.",
        "                 Next: Check the proxy.",
    ]


def test_an_error_is_exit_code_1(service: Script, run: Run) -> None:
    service.on("GET /doctor", {**ANSWER, "status": "error"})
    code, out, _ = run("doctor", "--json")
    assert code == 1
    assert json.loads(out)["total_count"] == 2


def test_without_a_service_the_checks_are_made_here(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_HOME", str(tmp_path))
    monkeypatch.setenv("FOUNDRYLOCAL_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out, _ = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert checks["settings"]["status"] == "ok"
    assert checks["hub"]["status"] == "warning"
    assert checks["starter_load"]["action"] == "foundrylocal pull SmolLM2-135M-Instruct-Q4_1-GGUF"
    assert checks["engine"]["status"] == "ok"
    assert checks["processor"]["status"] == "ok"
    assert code in (0, 1)  # a port may be taken here
    assert list(tmp_path.iterdir()) == []
