"""The child that talks to the hub: what it refuses, how it puts failures, and that the service is without it.

Each piece runs in a Python of its own, since huggingface_hub reads its settings when it is loaded.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest


def run(code: str, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_the_service_never_loads_huggingface_hub() -> None:
    code = """
import sys
import foundrylocal.downloads.imports.importer, foundrylocal.downloads.manager
print("huggingface_hub" in sys.modules, "httpx" in sys.modules)
"""
    assert run(code) == "False False"


@pytest.fixture
def inner_place() -> Iterator[socket.socket]:
    """A listener on loopback that nobody was told of."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def has_been_called(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


# A hub that is not there, a client that breaks on it and is replaced, and then a way to an inner place.
AFTER_A_BREAK = """
import contextlib
from huggingface_hub.utils import get_session, http_backoff
from foundrylocal.downloads.hub_child.session import prepare
from foundrylocal.downloads.hub_child.messages import Failure

prepare({"allowed_hosts": HOSTS})
first = get_session()
with contextlib.suppress(Exception):
    http_backoff("GET", "http://127.0.0.1:9/", max_retries=0, timeout=5)
print(get_session() is first)
try:
    get_session().get("http://127.0.0.1:PORT/", timeout=0.2)
except Failure as failure:
    print(failure.kind)
except Exception:
    print("went")
"""


@pytest.mark.parametrize(("hosts", "outcome"), [([], "refused"), (["127.0.0.1"], "went")])
def test_a_client_that_replaces_a_broken_one_is_guarded_too(
    inner_place: socket.socket, hosts: list[str], outcome: str
) -> None:
    code = AFTER_A_BREAK.replace("HOSTS", repr(hosts)).replace("PORT", str(inner_place.getsockname()[1]))
    assert run(code, HF_ENDPOINT="http://127.0.0.1:9", NO_PROXY="*").split() == ["False", outcome]
    assert has_been_called(inner_place) == (outcome == "went")


def test_a_name_that_turns_out_to_be_an_inner_place_is_not_connected_to(inner_place: socket.socket) -> None:
    code = """
import socket
from foundrylocal.downloads.hub_child.session import prepare
from foundrylocal.downloads.hub_child.messages import Failure
prepare({"allowed_hosts": []})
try:
    socket.create_connection(("127.0.0.1", PORT))
except Failure as failure:
    print(failure.kind)
"""
    port = str(inner_place.getsockname()[1])
    assert run(code.replace("PORT", port), HF_ENDPOINT="https://hub.invalid", NO_PROXY="*") == "refused"
    assert not has_been_called(inner_place)


def test_a_failure_is_put_in_words_without_addresses() -> None:
    code = """
import errno
from huggingface_hub.errors import OfflineModeIsEnabled
from foundrylocal.downloads.hub_child.failures import describe
for error in (
    OSError(errno.ENOSPC, "No space left on device", "/secret"),
    PermissionError(errno.EACCES, "Permission denied", "/secret"),
    OfflineModeIsEnabled("secret"),
    RuntimeError("secret"),
):
    failure = describe(error)
    print(failure.kind, failure.may_retry, "secret" in str(failure.as_event()))
"""
    assert run(code).splitlines() == [
        "full False False",
        "disk False False",
        "offline False False",
        "fault False False",
    ]
