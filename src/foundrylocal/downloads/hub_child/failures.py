"""Explains failures of the hub in words for people, and whether a retry may help.

Invariant: no URL, token or path is in the words.
"""

from __future__ import annotations

import errno
from typing import Any

from huggingface_hub import errors

from foundrylocal.downloads.hub_child.messages import Failure

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}


_BY_CLASS: tuple[tuple[type[Exception], str, str], ...] = (
    (errors.OfflineModeIsEnabled, "offline", "Access to the hub is disabled: HF_HUB_OFFLINE is set."),
    (errors.GatedRepoError, "refused", "The model is gated: accept its terms on the hub, then set HF_TOKEN."),
    (
        errors.RepositoryNotFoundError,
        "missing",
        "The hub has no such repository, or it is private and HF_TOKEN is missing.",
    ),
    (errors.RevisionNotFoundError, "missing", "The repository on the hub does not have this revision."),
    (errors.EntryNotFoundError, "missing", "The repository on the hub does not have this file."),
    (errors.HFValidationError, "missing", "This is not a valid repository name."),
    (
        errors.FileMetadataError,
        "protocol",
        "The hub returned an invalid response. Check HF_ENDPOINT if it is set.",
    ),
)


def describe(error: BaseException) -> Failure:
    """The failure that an exception of the hub's client or of the disk stands for."""
    for known, kind, text in _BY_CLASS:
        if isinstance(error, known):
            return Failure(kind, text)
    if isinstance(error, errors.HfHubHTTPError):
        return _of_status(error)
    # The client's transport is httpx or a successor under another name, so its errors are recognized by name.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "TooManyRedirects" in kinds:
        return Failure("redirect", "The hub sent too many redirects.")
    if "TimeoutException" in kinds:
        return Failure("network", "The hub did not respond in time.", may_retry=True)
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
        text = (
            "The hub's rate limit was reached."
            if status == 429
            else f"The hub is having problems (HTTP {status})."
        )
        return Failure("busy", text, may_retry=True, retry_after_s=_retry_after_s(response))
    if status in (401, 403):
        return Failure(
            "refused", f"The hub refused access (HTTP {status}). Set HF_TOKEN if the repository needs one."
        )
    return Failure("missing" if status == 404 else "protocol", f"The hub responded with HTTP {status}.")


def _retry_after_s(response: Any) -> float | None:
    """The seconds in the Retry-After header; its rare form as a date is ignored."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
