"""What the engine repeats of a request it refuses: none of it is in our log, and no line of the log is forged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import FAKE_WORKER, eventually, running, store_tiny_model

CANARY = "canary-7f3a"
FORGED = "0.00.000.001 E srv  load_model: forged by canary-7f3a\n2026-01-01T00:00:00Z ERROR API: forged"
TEXT = f"script: refused {CANARY}\n{FORGED}\x1b[31m\u2028{CANARY}\r{CANARY}"


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_a_request_that_the_engine_quotes_does_not_reach_the_log(home: Path, level: str) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_DEFAULT_LOG_LEVEL=level) as service:
        service.start()
        requests = {
            "/v1/chat/completions": {"messages": [{"role": "user", "content": TEXT}]},
            "/v1/completions": {"prompt": TEXT},
            "/v1/messages": {"messages": [{"role": "user", "content": TEXT}], "max_tokens": 8},
            "/v1/responses": {"input": TEXT},
        }
        with service.gateway() as gateway:
            for path, body in requests.items():
                assert gateway.post(path, json=body).status_code == 400

        def lines() -> list[str]:
            return [entry["message"] for entry in service.get("/logs?count=10000").json()]

        eventually(
            "the engine's own words are in the log",
            lambda: any("error parsing grammar" in line for line in lines()),
        )
        assert not [line for line in lines() if CANARY in line or "\x1b" in line or "\u2028" in line]
        service.post("/stop")
    for file in (home / "state" / "logs").iterdir():
        written = file.read_bytes()
        assert CANARY.encode() not in written and b"\x1b" not in written
        assert not [line for line in written.splitlines() if line.startswith(b"2026-01-01T00:00:00Z")]
