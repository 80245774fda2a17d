"""The child process that talks to the hub, the only place where huggingface_hub is loaded.

Invariant: it carries out the one request on its stdin, reports on stdout, and ends with its parent.
"""

from __future__ import annotations

import logging

from foundrylocal.downloads.guard import end_with_parent
from foundrylocal.downloads.hub_child import queries, transfer
from foundrylocal.downloads.hub_child.failures import describe
from foundrylocal.downloads.hub_child.messages import Failure, emit, read_request
from foundrylocal.downloads.hub_child.session import prepare

_COMMANDS = {"download": transfer.download, "files": queries.files, "search": queries.search}


def main() -> int:
    request = read_request()
    end_with_parent()
    # The library's own warnings contain URLs; what matters is reported as an error.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    try:
        _COMMANDS[request["command"]](request, prepare(request))
    except Failure as failure:
        emit(failure.as_event())
        return 1
    except Exception as error:  # noqa: BLE001 - the service must learn the reason, whatever it is
        emit(describe(error).as_event())
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
