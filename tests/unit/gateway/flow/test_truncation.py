"""Texts that are cut to the context: what happens when the engine cannot be asked."""

from __future__ import annotations

import resource
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from foundrylocal.engine.replica import Address
from foundrylocal.errors import SystemExhausted
from foundrylocal.gateway.flow.relay import NothingSent
from foundrylocal.gateway.flow.truncation import cut_to_context
from tests.unit.gateway.flow.test_admission import CONTEXT, new_replica, new_request

EMBED = "/api/embed"
LONG = "word " * CONTEXT
Cut = Callable[[], Awaitable[None]]


@pytest.fixture
def cut(tmp_path: Path) -> Cut:
    """Cuts a text that is too long for a replica whose worker does not listen."""
    replica = new_replica()
    replica._address = Address(f"unix://{tmp_path / 'none'}", "", 1)
    request = new_request(EMBED, {"model": "m", "input": [LONG], "truncate": True})
    return lambda: cut_to_context(replica, request)


def test_a_worker_that_is_gone_leaves_the_request_to_another(cut: Cut) -> None:
    with pytest.raises(NothingSent):
        anyio.run(cut)


def test_row_29_a_shortage_of_the_service_is_not_counted_against_the_worker(cut: Cut) -> None:
    async def without_descriptors() -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as last:
            resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno(), limits[1]))
            try:
                await cut()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    with pytest.raises(SystemExhausted):
        anyio.run(without_descriptors)
