"""`foundrylocal shutdown`: stop the service of this home, with everything that it runs.

There is no endpoint for it: a page, or a program with a key of the API, must not be able to stop the service for
everybody. The process that holds the lock of the home gets SIGTERM.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import say

# The service bounds its own shutdown to a few seconds; answers that still run end with it.
END_TIMEOUT_S = 30.0
_POLL_S = 0.05


def command() -> None:
    """Stop the service and unload all its models.

    `stop` stops only the server and keeps the management API. Running downloads
    continue when the service is next started.

    \b
    Examples:
      foundrylocal shutdown
    """
    from foundrylocal.home.folders import Folders
    from foundrylocal.home.lock import is_home_held
    from foundrylocal.home.service_address import find_service

    state = Folders.locate().state
    if not is_home_held(state):
        say("No service is running with this home.")
        return
    found = find_service(state)
    if found is None:
        raise Failure("The service is starting up or shutting down right now", None, "foundrylocal status")
    _refuse_another(found.url)
    try:
        os.kill(found.pid, signal.SIGTERM)
    except OSError as error:
        raise Failure(
            f"The service (process {found.pid}) cannot be stopped",
            error.strerror,
            f"run this command as the user of process {found.pid}",
        ) from error
    _wait_for_the_end(state, found.pid)
    say(f"The service at {found.url} has stopped.")


def _refuse_another(url: str) -> None:
    """FOUNDRYLOCAL_URL may name a service that is not the one of this home."""
    given = os.environ.get("FOUNDRYLOCAL_URL")
    if given and given.rstrip("/").rpartition(":")[2] != url.rpartition(":")[2]:
        raise Failure(
            f"FOUNDRYLOCAL_URL points to a different service than the one of this home ({url})",
            "shutdown stops only the service of this home.",
            "unset FOUNDRYLOCAL_URL, or stop the other service where it runs",
            exit_code=2,
        )


def _wait_for_the_end(state: Path, pid: int) -> None:
    from foundrylocal.home.lock import is_home_held

    deadline_s = time.monotonic() + END_TIMEOUT_S
    while is_home_held(state):
        if time.monotonic() > deadline_s:
            raise Failure(
                f"The service did not stop within {END_TIMEOUT_S:g} s",
                None,
                f"see `foundrylocal logs`, or kill process {pid}",
            )
        time.sleep(_POLL_S)
