"""Fixtures of the tests of the flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.server.rig import ServerRunner


@pytest.fixture
def on_server(models_home: Path, tmp_path: Path) -> ServerRunner:
    """`on_server(scenario)` runs an async function on a fresh server, in virtual time."""
    return ServerRunner(models_home, tmp_path)
