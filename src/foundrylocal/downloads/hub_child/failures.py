"""What went wrong with the hub, in words for a person, and whether trying again may help.

Invariant: no address, token or path is in the words.
"""

from __future__ import annotations

import errno
from typing import Any

from huggingface_hub import errors

from foundrylocal.downloads.hub_child.wire import Failure

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}


_BY_CLASS: tuple[tuple[type[Exception], str, str], ...] = (
    (errors.OfflineModeIsEnabled, "offline", "The hub is switched off: HF_HUB_OFFLINE is set."),
    (errors.GatedRepoError, "refused", "The model is gated: accept its terms on the hub and set HF_TOKEN."),
    (
        errors.RepositoryNotFoundError,
        "missing",
        "The hub has no such repository, or it is private and HF_TOKEN is not set.",
    ),
    (errors.RevisionNotFoundError, "missing", "The repository on the hub does not have this revision."),
    (errors.EntryNotFoundError, "missing", "The repository on the hub does not have this file."),
    (errors.HFValidationError, "missing", "This is not the name of a repository."),
    (errors.FileMetadataError, "protocol", "The hub's answer is not one of a hub."),
)


def describe(error: BaseException) -> Failure:
    """The failure that an exception of the hub's client or of the disk means."""
    for known, kind, text in _BY_CLASS:
        if isinstance(error, known):
            return Failure(kind, text)
    if isinstance(error, errors.HfHubHTTPError):
        return _of_status(error)
    # The client's transport is httpx or a successor of another name, so its errors are known by their names.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "TooManyRedirects" in kinds:
        return Failure("redirect", "The hub redirected in a circle.")
    if "TimeoutException" in kinds:
        return Failure("network", "The hub did not answer in time.", may_retry=True)
    if kinds & {"TransportError", "RequestError", "StreamError"}:
        return Failure("network", "The connection to the hub failed.", may_retry=True)
    if isinstance(error, OSError):
        return _of_disk(error)
    return Failure("fault", f"The download process failed: {type(error).__name__}.")


def _of_disk(error: OSError) -> Failure:
    kind = "full" if error.errno in _FULL else "disk"
    return Failure(kind, error.strerror or type(error).__name__, errno=error.errno or errno.EIO)


def _of_status(error: errors.HfHubHTTPError) -> Failure:
    response: Any = error.response
    status = int(response.status_code)
    if status in _RETRIED_STATUS:
        text = "The hub asked to wait." if status == 429 else f"The hub is in trouble (HTTP {status})."
        return Failure("busy", text, may_retry=True, retry_after_s=_retry_after_s(response))
    if status in (401, 403):
        return Failure(
            "refused", f"The hub refused access (HTTP {status}). A token in HF_TOKEN may be needed."
        )
    return Failure("missing" if status == 404 else "protocol", f"The hub answered with HTTP {status}.")


def _retry_after_s(response: Any) -> float | None:
    """Seconds as the Retry-After header has them; its rare form as a date is passed over."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
