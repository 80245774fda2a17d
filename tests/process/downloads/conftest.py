"""A download manager that runs, with a fake package index, for tests of whole downloads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from fakes.hub import FakeHub
from fakes.index import FakeIndex
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, Model, Registry
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher


# The fake hub's storage is another origin, on loopback and without TLS.
def fake_hub_hosts() -> tuple[str, ...]:
    return ("localhost",)


Running = Callable[..., AbstractAsyncContextManager[DownloadManager]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIndex]:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeIndex() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with FakeHub() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "cache")


@pytest.fixture
def running(library: Library, tmp_path: Path) -> Running:
    """`async with running(*models) as manager`; the state folder stays the same."""

    @asynccontextmanager
    async def run(
        *models: Model, registry: Registry | None = None, **options: Any
    ) -> AsyncIterator[DownloadManager]:
        registry = Registry(models) if registry is None else registry
        options.setdefault("fetchers", {HubSource: HuggingFaceFetcher(allowed_hosts=fake_hub_hosts)})
        manager = DownloadManager(registry, library, state_dir=tmp_path / "state", **options)
        async with anyio.create_task_group() as tasks:
            await tasks.start(manager.run)
            try:
                yield manager
            finally:
                tasks.cancel_scope.cancel()

    return run
