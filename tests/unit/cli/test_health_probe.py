"""The health check of the container: alive or not, in one word, and never a key."""

from __future__ import annotations

import pytest

from foundrylocal.cli.health_probe import main
from tests.fakes.management_api import HEALTH, Script


@pytest.mark.parametrize("status", ["healthy", "degraded"])
def test_a_service_that_answers_lives(
    service: Script, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    service.on("GET /health", HEALTH | {"status": status})
    assert main() == 0
    assert capsys.readouterr().out == f"{status}\n"


def test_a_service_that_is_gone_or_refuses_does_not(
    service: Script, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = {"error": {"message": "Invalid API key", "type": "t", "code": "invalid_api_key", "details": None}}
    service.on("GET /health", (401, error))
    assert main() == 1
    monkeypatch.setenv("FOUNDRYLOCAL_URL", "http://127.0.0.1:9")
    assert main() == 1
    assert "No service answers" in capsys.readouterr().out
