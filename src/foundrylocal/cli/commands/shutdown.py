"""`foundrylocal shutdown`: end the service of this home, with everything that it runs.

There is no endpoint for it: a page or a program with a key of the API must not end the service for everybody. The
process that holds the lock of the home gets the signal that Ctrl-C in its terminal would send.
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
    """End the service with all its models.

    `stop` ends the server only, and keeps the management API. Downloads that
    run are kept, and continue when the service is started again.

    \b
    Examples:
      foundrylocal shutdown
    """
    from foundrylocal.settings.folders import Folders
    from foundrylocal.settings.home_lock import is_home_held
    from foundrylocal.settings.service_address import find_service

    state = Folders.locate().state
    if not is_home_held(state):
        say("No service is running with this home.")
        return
    found = find_service(state)
    if found is None:
        raise Failure("The service is starting or ending at this moment", None, "foundrylocal status")
    _refuse_another(found.url)
    try:
        os.kill(found.pid, signal.SIGTERM)
    except OSError as error:
        raise Failure(
            f"The service (process {found.pid}) cannot be ended",
            error.strerror,
            f"end process {found.pid} as its user",
        ) from error
    _wait_for_the_end(state, found.pid)
    say(f"The service at {found.url} has ended.")


def _refuse_another(url: str) -> None:
    """FOUNDRYLOCAL_URL may name a service that is not the one of this home."""
    given = os.environ.get("FOUNDRYLOCAL_URL")
    if given and given.rstrip("/").rpartition(":")[2] != url.rpartition(":")[2]:
        raise Failure(
            f"FOUNDRYLOCAL_URL names another service than that of this home ({url})",
            "shutdown ends the service of this home only.",
            "unset FOUNDRYLOCAL_URL, or end the other service where it runs",
            exit_code=2,
        )


def _wait_for_the_end(state: Path, pid: int) -> None:
    from foundrylocal.settings.home_lock import is_home_held

    deadline_s = time.monotonic() + END_TIMEOUT_S
    while is_home_held(state):
        if time.monotonic() > deadline_s:
            raise Failure(
                f"The service has not ended in {END_TIMEOUT_S:g} s",
                None,
                f"see `foundrylocal logs`, or end process {pid} yourself",
            )
        time.sleep(_POLL_S)
