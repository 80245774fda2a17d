"""`foundrylocal dashboard` against a scripted service."""

from __future__ import annotations

import webbrowser

import pytest

from tests.fakes.management_api import Run, Script

HEALTH = {"status": "healthy", "service": "foundry-local-api"}


def test_it_opens_the_address_of_the_running_service(
    service: Script, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.on("GET /health", HEALTH)
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert run("dashboard") == (0, f"{service.url}/\n", "")
    assert opened == [f"{service.url}/"]
    assert run("dashboard", "--print") == (0, f"{service.url}/\n", "")
    assert len(opened) == 1


def test_without_a_browser_the_address_is_for_the_user(
    service: Script, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.on("GET /health", HEALTH)
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    code, out, err = run("dashboard")
    assert (code, out) == (0, f"{service.url}/\n") and "open the address" in err
