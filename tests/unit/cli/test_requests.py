"""`foundrylocal requests` against a scripted service."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.management_api import Run, Script

ENTRY: dict[str, Any] = {
    "id": "req-1",
    "at": "2025-01-20T10:30:00Z",
    "key": "alice",
    "model": "Tiny-GGUF",
    "status": "failed",
    "tokens_in": 12,
    "tokens_out": None,
    "tokens_per_second": None,
    "first_token_ms": None,
    "total_ms": 90,
    "error": {"code": "worker_crashed", "message": "The model's process ended unexpectedly"},
}


def test_list_passes_its_filters_and_shows_a_table(service: Script, run: Run) -> None:
    service.on("GET /requests", {"requests": [ENTRY], "total_count": 1})
    code, out, _ = run("requests", "list", "-n", "5", "--key", "alice", "--status", "failed")
    assert code == 0
    assert service.calls == [("GET /requests?limit=5&key=alice&status=failed", None)]
    row = out.splitlines()[1].split()
    assert row == ["req-1", "2025-01-20T10:30:00Z", "alice", "Tiny-GGUF", "failed", "12", "-", "-", "-", "90"]
    assert json.loads(run("requests", "list", "--json")[1])["total_count"] == 1


def test_an_empty_list_says_so(service: Script, run: Run) -> None:
    service.on("GET /requests", {"requests": [], "total_count": 0})
    assert run("requests", "list")[1] == "No requests yet.\n"
    assert run("requests", "list", "--key", "bob")[1] == "No request matches.\n"


def test_show_prints_the_error_and_captured_bodies(service: Script, run: Run) -> None:
    bodies = {"request": {"messages": []}, "answer": "data: x", "is_cut": False}
    service.on("GET /requests/req-1", {**ENTRY, "captured": bodies})
    code, out, _ = run("requests", "show", "req-1")
    assert code == 0
    for part in ("worker_crashed", "ended unexpectedly", '"messages": []', '"data: x"'):
        assert part in out
    service.on("GET /requests/req-1", {**ENTRY, "captured": None, "error": None})
    assert "request:" not in run("requests", "show", "req-1")[1]


def test_end(service: Script, run: Run) -> None:
    service.on("DELETE /requests/req-1", {"message": "Request ended"})
    assert run("requests", "end", "req-1") == (0, "Request ended\n", "")
    error = {"message": "There is no request 'x'", "code": "request_not_found", "type": "not_found_error"}
    service.on("DELETE /requests/x", (404, {"error": error}))
    code, _, err = run("requests", "end", "x")
    assert code == 1 and "Next: foundrylocal requests list" in err
