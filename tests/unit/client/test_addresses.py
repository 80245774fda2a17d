"""Which service a client calls that was given no address: the same one as the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from foundrylocal.cli.client import ManagementClient
from foundrylocal.client import AsyncFoundryLocal, FoundryLocal
from foundrylocal.client.addresses import default_url
from foundrylocal.home.service_address import recorded_address

RECORDED = "http://127.0.0.1:9777"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of a home in which no service runs."""
    for name in ("FOUNDRYLOCAL_URL", "FOUNDRYLOCAL_API_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FOUNDRYLOCAL_HOME", str(tmp_path))
    state = tmp_path / "state"
    state.mkdir()
    return state


@pytest.mark.parametrize("make", [FoundryLocal, AsyncFoundryLocal, ManagementClient])
def test_every_client_finds_the_service_of_the_home_on_its_port(
    make: Callable[[], FoundryLocal | AsyncFoundryLocal | ManagementClient], state: Path
) -> None:
    with recorded_address(state, RECORDED):
        assert make().url == RECORDED
    assert make().url == "http://127.0.0.1:9500"


def test_an_address_in_the_environment_comes_before_the_home(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_URL", "http://127.0.0.1:9501")
    with recorded_address(state, RECORDED):
        assert default_url() == "http://127.0.0.1:9501"


def test_without_a_service_in_the_home_the_configured_port_is_called(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_API_PORT", "9502")
    assert default_url() == "http://127.0.0.1:9502"


@pytest.mark.skipif(os.name == "nt", reason="~nobody is a user of POSIX")
def test_a_home_that_cannot_be_located_is_no_error(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_HOME", "~no-such-user-here/home")
    assert default_url() == "http://127.0.0.1:9500"
