"""Fixtures that unit tests of several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import store_tiny_model
from tests.unit.pool.rig import MODELS


@pytest.fixture(scope="session")
def models_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three tiny models on disk, shared: tests do not change it."""
    home = tmp_path_factory.mktemp("models")
    for name in MODELS:
        store_tiny_model(home, name)
    return home
