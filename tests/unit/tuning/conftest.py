"""The pool's rig, for what works on a pool."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.pool.rig import PoolRunner


@pytest.fixture
def on_pool(models_home: Path, tmp_path: Path) -> PoolRunner:
    """`on_pool(scenario)` runs an async function on a fresh pool, in virtual time."""
    return PoolRunner(models_home, tmp_path)
