"""Requests to the hub through a child process: one request, its events, its failure.

Invariant: huggingface_hub is never loaded into the service, and a child that is silent for the stall time is ended.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio

from foundrylocal.downloads import child
from foundrylocal.errors import ChecksumMismatch, DownloadFailed, FoundryLocalError

STALL_S = 30.0
# The child notices a stall itself; it is killed this much later.
STALL_MARGIN_S = 5.0

_log = logging.getLogger("foundrylocal.DownloadService")


class HubFailed(Exception):
    """One attempt failed; `error` is what the caller gets if there is no further attempt."""

    def __init__(
        self, error: FoundryLocalError | OSError, *, may_retry: bool, retry_after_s: float | None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.may_retry = may_retry
        self.retry_after_s = retry_after_s


async def run_request(
    request: dict[str, Any], *, cwd: Path, allowed_hosts: Sequence[str], stall_s: float = STALL_S
) -> AsyncGenerator[dict[str, Any], None]:
    """Carry out a request in a child process and yield its events; raises HubFailed or DownloadFailed.

    `allowed_hosts` are hosts that the hub may redirect to although they are private or without TLS.
    """
    has_succeeded = False
    request = {**request, "allowed_hosts": list(allowed_hosts), "stall_s": stall_s}
    # Without this every call would send the hub data about this machine, in extra requests.
    environment = {"HF_HUB_DISABLE_TELEMETRY": os.environ.get("HF_HUB_DISABLE_TELEMETRY", "1")}
    async with child.running(
        "foundrylocal.downloads.hub_child", (), cwd=cwd, environment=environment
    ) as process:
        assert process.stdin is not None  # noqa: S101 - it is always a pipe
        # Writing to a dead child fails; its exit is handled below.
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await process.stdin.send(json.dumps(request).encode() + b"\n")
        async with aclosing(child.lines(process.stdout, silence_s=stall_s + STALL_MARGIN_S)) as lines:
            try:
                async for line in lines:
                    event = _parse(line)
                    if event.get("event") == "error":
                        raise _failure(event)
                    if event:
                        yield event
            except TimeoutError:
                reason = f"The hub sent nothing for {stall_s:g} seconds."
                raise HubFailed(DownloadFailed(reason), may_retry=True, retry_after_s=None) from None
        has_succeeded = await process.wait() == 0
    if not has_succeeded:
        raise HubFailed(
            DownloadFailed("The download process ended unexpectedly."),
            may_retry=True,
            retry_after_s=None,
        )


def _parse(line: str) -> dict[str, Any]:
    """An event; an empty one for a line that is none, such as a library's warning."""
    try:
        event = json.loads(line)
    except ValueError:
        _log.debug("Output of the hub process: %s", line[:300])
        return {}
    return event if isinstance(event, dict) else {}


def _failure(event: dict[str, Any]) -> HubFailed:
    error: FoundryLocalError | OSError
    match event["kind"]:
        case "mismatch":
            error = ChecksumMismatch(event["name"], event["expected"], event["actual"])
        case "full" | "disk":
            error = OSError(event.get("errno", errno.EIO), event["text"])
        case _:
            error = DownloadFailed(event["text"])
    return HubFailed(error, may_retry=event["may_retry"], retry_after_s=event["retry_after_s"])
