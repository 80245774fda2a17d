"""The service that `run` uses: one that is already running, or one that it starts and stops itself.

Invariant: a service started here ends with the command, however that ends, unless --keep was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from foundrylocal.cli.background_service import READY_TIMEOUT_S, ServiceProcess, start_service
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure, Refused, Unreachable
from foundrylocal.cli.render import say
from foundrylocal.client.addresses import default_url

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Service:
    """The management API, and whether this command started it."""

    api: ManagementClient
    is_ours: bool


@contextmanager
def find_or_start(port: int | None, *, keep: bool) -> Iterator[Service]:
    """Find the service, or start one and stop it afterwards. Raises Failure."""
    url = default_url() if port is None else f"http://127.0.0.1:{port}"
    api = ManagementClient(url)
    if port != 0:
        try:
            api.check()
        except Unreachable as failure:
            if api.host not in _LOOPBACK:
                raise failure from None
        else:
            yield Service(api, is_ours=False)
            return
    with _started(api, port, keep=keep) as service:
        yield service


@contextmanager
def _started(api: ManagementClient, port: int | None, *, keep: bool) -> Iterator[Service]:
    asked = api.port if port is None else port
    say(f"No service is running. Starting one on {f'port {asked}' if asked else 'any free port'}.")
    arguments = ["--port", str(asked), *(["--host", api.host] if api.host != "127.0.0.1" else [])]
    started = start_service(arguments, ends_with_us=not keep)
    is_kept = False
    try:
        url = started.wait_ready()
        if url is None:
            # Another command may have started one at the same moment; use that one.
            yield Service(_find_other(api, asked, started), is_ours=False)
            return
        ready = ManagementClient(url)
        ready.check(timeout_s=READY_TIMEOUT_S)
        say(f"Service ready at {ready.url} (log files: {started.logs})")
        yield Service(ready, is_ours=True)
        is_kept = keep
    except Failure as failure:
        if "foundrylocal logs" in (failure.next_step or ""):
            # The service ends with this command; after that only its log files are left.
            failure.next_step = f"see the log files in {started.logs}"
        raise
    finally:
        if not is_kept:
            started.end()


def _find_other(api: ManagementClient, port: int, started: ServiceProcess) -> ManagementClient:
    try:
        if port:
            api.check()
            return api
    except Refused:
        raise
    except Failure:
        pass
    failure = started.why_it_ended("foundrylocal run")
    failure.exit_code = 1  # 2 is for a wrong command line, and that of `run` is right
    raise failure
