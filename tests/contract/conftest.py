"""The link between requirements and tests, its report, and the services that the suite shares."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.requirements import ALL
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

HERE = Path(__file__).parent
UNMARKED = pytest.StashKey[list[str]]()
OUTCOMES = pytest.StashKey[dict[str, list[str]]]()
_PROPERTY = "requirement"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[OUTCOMES] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unmarked = config.stash[UNMARKED] = []
    for item in items:
        if HERE not in item.path.parents:
            continue
        ids = [name for mark in item.iter_markers("requirement") for name in mark.args]
        item.user_properties.extend((_PROPERTY, name) for name in ids)
        if not ids and item.path.name != "test_requirements.py":
            unmarked.append(item.nodeid)


class _Report:
    """Gathers what became of each requirement's tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        for name, value in report.user_properties:
            if name == _PROPERTY:
                self._config.stash[OUTCOMES].setdefault(str(value), []).append(report.outcome)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        outcomes = self._config.stash[OUTCOMES]
        if not outcomes:
            return
        terminalreporter.section("published contract")
        for name in ALL:
            seen = outcomes.get(name, [])
            verdict = next((word for word in ("failed", "skipped", "passed") if word in seen), "not run")
            terminalreporter.write_line(f"{verdict:8} {name:28} {ALL[name]}")
        passed = sum(set(outcomes.get(name, [""])) == {"passed"} for name in ALL)
        terminalreporter.write_line(f"{passed} of {len(ALL)} requirements passed")


def pytest_sessionstart(session: pytest.Session) -> None:
    """For a run that names this folder; otherwise the collection registers the report."""
    _register(session.config)


def pytest_itemcollected(item: pytest.Item) -> None:
    _register(item.config)


def _register(config: pytest.Config) -> None:
    if not config.pluginmanager.has_plugin("contract-report"):
        config.stash.setdefault(OUTCOMES, {})
        config.pluginmanager.register(_Report(config), "contract-report")


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
