"""The link between requirements and tests, and the services that the suite shares."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.report import PROPERTY
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

HERE = Path(__file__).parent
UNMARKED = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unmarked = config.stash[UNMARKED] = []
    for item in items:
        if HERE not in item.path.parents:
            continue
        ids = [name for mark in item.iter_markers("requirement") for name in mark.args]
        item.user_properties.extend((PROPERTY, name) for name in ids)
        if not ids and item.path.name != "test_requirements.py":
            unmarked.append(item.nodeid)


# --- services -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service with the fake worker for the whole suite; ask for `api`, which leaves it as it was."""
    home = tmp_path_factory.mktemp("contract") / "home"
    with running(home, worker=FAKE_WORKER) as service:
        yield service


@pytest.fixture
def api(shared: Service) -> Iterator[Service]:
    """The shared service: stopped, default settings, two tiny models on disk."""
    for model in (CHAT_MODEL, BASE_MODEL):
        if shared.get(f"/models/{model}").json()["download_date"] is None:
            store_tiny_model(shared.home, model)
    yield shared
    assert shared.post("/stop").status_code == 200
    assert shared.post("/config", {"defaults": True}).status_code == 200


@pytest.fixture
def running_api(api: Service) -> Service:
    """The shared service with its server running."""
    api.start()
    return api


@pytest.fixture(scope="session")
def needs() -> object:
    """Skip a test whose outside program is not installed."""

    def check(*programs: str) -> None:
        missing = [name for name in programs if shutil.which(name) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}; scripts/install-test-tools installs them")

    return check
