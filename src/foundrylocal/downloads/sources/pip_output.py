"""Reads pip's output: its progress lines, and why it failed, in words for people.

Invariant: no URL, host name or path that pip printed goes into an error.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterable

from foundrylocal.catalog.registry import PackagePart
from foundrylocal.errors import ChecksumMismatch, DownloadFailed, FoundryLocalError

PROGRESS = re.compile(r"Progress (\d{1,15}) of (\d{1,15})")

_log = logging.getLogger("foundrylocal.DownloadService")
_MISMATCH = re.compile(r"Expected sha256 (?:or\s+)?([0-9a-f]{64}).*?Got\s+([0-9a-f]{64})", re.DOTALL)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|not enough space on the disk", re.IGNORECASE)
_REFUSED = re.compile(r"\b(401|403)\b (?:Client )?Error|HTTP error (401|403)|User for .* login")
_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED|SSLError|certificate verify failed", re.IGNORECASE)
_NETWORK = re.compile(
    r"Retrying \(|Max retries exceeded|Connection(?: was)? (?:refused|reset|aborted|broken|interrupted)"
    r"|ConnectionError|NewConnectionError|NameResolutionError|Name or service not known|timed out"
    r"|Failed to (?:connect|establish)|IncompleteRead|incomplete-download|Network is unreachable"
    r"|\b5\d\d (?:Server )?Error|HTTP error 5\d\d",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"No matching distribution found|Could not find a version|HTTP error 404|404 Client Error"
)


def failure(output: Iterable[str], code: int, part: PackagePart) -> FoundryLocalError | OSError:
    """The error for a pip run that exited with `code`, from the last lines of its output."""
    text = "\n".join(output)
    _log.debug("pip exited with code %d: %s", code, _without_addresses(text[-2000:]))
    package = f"{part.package} {part.version}"
    if mismatch := _MISMATCH.search(text):
        return ChecksumMismatch(part.wheel, mismatch[1], mismatch[2])
    if _FULL.search(text):
        return OSError(errno.ENOSPC, "No space left on device")
    if _REFUSED.search(text):
        return DownloadFailed(f"The package index refused access to {package}.")
    if _CERTIFICATE.search(text):
        return DownloadFailed("The package index's certificate could not be verified.")
    if _NETWORK.search(text):
        return DownloadFailed("The package index could not be reached.")
    if _MISSING.search(text):
        return DownloadFailed(f"The package index does not have {package}.")
    return DownloadFailed(
        f"pip could not download {package} (exit code {code}). Set default_log_level to DEBUG for pip's output."
    )


def _without_addresses(text: str) -> str:
    return re.sub(r"(?:https?|file)://\S+|host='[^']*'", "…", text)
