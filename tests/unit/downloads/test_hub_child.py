"""The child that talks to the hub: what it refuses, how it puts failures, and that the service is without it.

Each piece runs in a Python of its own, since huggingface_hub reads its settings when it is loaded.
"""

from __future__ import annotations

import os
import subprocess
import sys

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
import foundrylocal.downloads.importing, foundrylocal.downloads.manager
print("huggingface_hub" in sys.modules, "httpx" in sys.modules)
"""
    assert run(code) == "False False"


GUARD = """
from types import SimpleNamespace
from huggingface_hub import get_session
from foundrylocal.downloads.hub_child.session import prepare
from foundrylocal.downloads.hub_child.wire import Failure

prepare({})
hooks = get_session().event_hooks["request"]
for scheme, host in SCHEMES:
    try:
        hooks[-1](SimpleNamespace(url=SimpleNamespace(scheme=scheme, host=host, path="/"), headers={}, method="GET"))
        print("goes")
    except Failure as failure:
        print(failure.kind)
"""


@pytest.mark.parametrize(
    ("scheme", "host", "outcome"),
    [
        ("https", "8.8.8.8", "goes"),
        ("http", "8.8.8.8", "refused"),
        ("https", "127.0.0.1", "refused"),
        ("https", "localhost", "refused"),
        ("https", "169.254.169.254", "refused"),
        ("https", "10.0.0.1", "refused"),
        ("https", "192.168.1.1", "refused"),
        ("https", "::1", "refused"),
        ("https", "fd00::1", "refused"),
        ("https", "0.0.0.0", "refused"),
        ("file", "8.8.8.8", "refused"),
    ],
)
def test_a_public_hub_cannot_send_a_download_to_an_inner_place(scheme: str, host: str, outcome: str) -> None:
    code = GUARD.replace("SCHEMES", repr([(scheme, host)]))
    assert run(code, HF_ENDPOINT="https://8.8.8.8") == outcome


def test_a_hub_that_the_user_runs_on_this_machine_may_redirect_within_it() -> None:
    code = """
from huggingface_hub import get_session
from foundrylocal.downloads.hub_child.session import prepare
before = list(get_session().event_hooks["request"])
prepare({})
print(get_session().event_hooks["request"] == before)
"""
    assert run(code, HF_ENDPOINT="http://127.0.0.1:9") == "True"


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
