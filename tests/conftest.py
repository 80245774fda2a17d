"""Fixtures for all tests: a home, a service with the fake worker, and a home with the real model."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.report import ContractReport
from tests.real_models import fetch
from tests.running import (
    BASE_MODEL,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    TEST_MODELS,
    Service,
    running,
    store_tiny_model,
)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(ContractReport(), "contract-report")
    # A shell starts what is in its background with Ctrl-C ignored, and every child would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Programs that tests start keep their byte code, as an installed program does: it halves the start of each.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh home."""
    return tmp_path / "home"


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    """A service of this test alone, with the fake worker and two tiny models on disk."""
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER) as found:
        yield found


@pytest.fixture(scope="session")
def model_cache() -> Path:
    """A cache folder with the starter model, fetched once through the product and kept between runs."""
    fetch(CHAT_MODEL_ID)
    return TEST_MODELS


@pytest.fixture
def real_service(home: Path, model_cache: Path) -> Iterator[Service]:
    """A service with the real engine and the starter model on disk."""
    with running(home, FOUNDRYLOCAL_CACHE_DIR=str(model_cache)) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("FOUNDRYLOCAL_"):
            monkeypatch.delenv(name)
