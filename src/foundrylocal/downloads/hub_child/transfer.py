"""One attempt at the files of a repository: metadata of all, then the bytes of each that is missing.

Invariant: only bytes that the server says belong at the end of the partial file are appended to it; a response
that ignores the range, or has another size, is never used. huggingface_hub's `hf_hub_download` cannot resume
across processes, so its building blocks are used: metadata, headers, session, errors and Xet.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.file_download import HfFileMetadata
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

from foundrylocal.downloads.hub_child import xet
from foundrylocal.downloads.hub_child.messages import Failure, emit
from foundrylocal.downloads.hub_child.places import Places
from foundrylocal.downloads.hub_child.session import CONNECT_S, timeouts
from foundrylocal.downloads.hub_child.xet import XetSource
from foundrylocal.downloads.staging.partial_file import PartialFile

REPORT_EVERY_S = 0.1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One requested file with its metadata from the hub."""

    url: str
    partial: PartialFile
    metadata: HfFileMetadata
    size_bytes: int | None
    sha256: str | None
    headers: dict[str, str]
    stall_s: float
    xet: XetSource | None

    @property
    def version(self) -> str:
        return f"{self.metadata.etag} {self.size_bytes}"


class _Progress:
    """The bytes of all files together, reported by a thread while they change.

    If the reading code reported them itself, the last ones would go unreported while the connection stalls.
    """

    def __init__(self) -> None:
        self._finished = 0
        self._now = 0
        self._reported = -1
        self._lock = threading.Lock()
        threading.Thread(target=self._report_forever, name="progress", daemon=True).start()

    def find(self, size_bytes: int) -> None:
        """The next file has this many bytes from an earlier attempt."""
        with self._lock:
            self._now = self._reported = self._finished + size_bytes
            emit({"event": "found", "bytes": self._reported})

    def at(self, size_bytes: int) -> None:
        """The current file has this many bytes."""
        self._now = self._finished + size_bytes

    def end_file(self, size_bytes: int) -> None:
        self._finished += size_bytes
        self._now = self._finished
        self.flush()

    def flush(self) -> None:
        with self._lock:
            if self._now != self._reported:
                self._reported = self._now
                emit({"event": "bytes", "bytes": self._reported})

    def _report_forever(self) -> None:
        while True:
            self.flush()
            time.sleep(REPORT_EVERY_S)


def download(request: dict[str, Any], places: Places) -> None:
    """Download `files` (path, name, size_bytes, sha256) of `repo` at `revision` into `folder`."""
    folder, stall_s = Path(request["folder"]), float(request["stall_s"])
    progress = _Progress()
    wanted = []
    for entry in request["files"]:
        partial = PartialFile(folder, entry["name"])
        sha256 = partial.finished()
        if sha256 is not None and entry["sha256"] in (None, sha256):
            size = partial.final.stat().st_size
            progress.find(size)
            progress.end_file(size)
            emit({"event": "file", "name": entry["name"], "sha256": sha256, "size_bytes": size})
        else:
            wanted.append(_look_up(request, places, entry, partial, stall_s))
    emit({"event": "plan", "sizes": {file.partial.final.name: file.size_bytes for file in wanted}})
    for file in wanted:
        sha256 = _fetch(file, progress)
        size = file.partial.size_bytes
        progress.end_file(size)
        emit({"event": "file", "name": file.partial.final.name, "sha256": sha256, "size_bytes": size})


def _look_up(
    request: dict[str, Any], places: Places, entry: dict[str, Any], partial: PartialFile, stall_s: float
) -> _Wanted:
    revision = request["revision"] or constants.DEFAULT_REVISION
    url = hf_hub_url(request["repo"], entry["path"], revision=revision)
    metadata = get_hf_file_metadata(url, timeout=min(CONNECT_S, stall_s))
    etag = (metadata.etag or "").lower()
    etag_sha256 = etag if _SHA256.fullmatch(etag) else None
    published = entry["sha256"]
    if published is not None and etag_sha256 not in (None, published):
        raise Failure(
            "mismatch",
            "The file on the hub no longer matches the published one.",
            expected=published,
            actual=etag_sha256,
            name=entry["name"],
        )
    size = entry["size_bytes"] if entry["size_bytes"] is not None else metadata.size
    headers = build_hf_headers(library_name="foundrylocal")
    headers["Accept-Encoding"] = "identity"
    source = xet.source(metadata.xet_file_data, headers, size, places) if request["may_use_xet"] else None
    return _Wanted(url, partial, metadata, size, published or etag_sha256, headers, stall_s, source)


def _fetch(file: _Wanted, progress: _Progress) -> str:
    """Fetch all bytes of one file; returns its sha256."""
    partial = file.partial

    def heartbeat() -> None:
        emit({"event": "checking"})

    partial.open(file.version, file.size_bytes, heartbeat)
    try:
        progress.find(partial.size_bytes)
        if file.size_bytes is None or partial.size_bytes < file.size_bytes:
            for data in _bytes(file):
                partial.write(data)
                progress.at(partial.size_bytes)
                if file.size_bytes is not None and partial.size_bytes > file.size_bytes:
                    raise _unfit(partial, "more bytes than the file's size")
        if file.size_bytes is not None and partial.size_bytes < file.size_bytes:
            raise Failure("network", "The connection to the hub was closed too early.", may_retry=True)
        return partial.finish(file.sha256)
    finally:
        partial.close()


def _bytes(file: _Wanted) -> Iterator[bytes]:
    """The missing bytes: by Xet if the hub offers it and it works, else by plain HTTP."""
    if file.xet is not None:
        try:
            yield from file.xet.stream(file.partial.size_bytes)
            return
        except xet.XetFailed:
            # What has arrived is good: plain HTTP continues after it.
            emit({"event": "checking"})
    yield from _http_bytes(file)


def _http_bytes(file: _Wanted) -> Iterator[bytes]:
    """From the hub's own URL, so that the redirect is fresh; the client drops the token on the way."""
    partial = file.partial
    for _ in range(2):
        start = partial.size_bytes
        headers = {**file.headers, **({"Range": f"bytes={start}-"} if start else {})}
        with get_session().stream(
            "GET", file.url, headers=headers, timeout=timeouts(file.stall_s)
        ) as response:
            if start and response.status_code == 416:
                partial.restart()
                continue
            hf_raise_for_status(response)
            if start and not _continues(response, start, file.size_bytes):
                partial.restart()
                if response.status_code != 200:
                    continue
            _require_fit(response, file)
            # As they arrive: waiting for a full chunk would make a slow connection look stalled.
            yield from response.iter_raw()
            return
    raise _unfit(partial, "byte ranges other than the requested ones")


def _continues(response: Any, start: int, size_bytes: int | None) -> bool:
    """Whether a response begins where the partial file ends; a whole file in response to a range does not."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code != 206 or found is None or int(found[1]) != start:
        return False
    return found[3] == "*" or size_bytes is None or int(found[3]) == size_bytes


def _require_fit(response: Any, file: _Wanted) -> None:
    """Refuse a response larger than the rest of the file before any of its bytes is used."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _unfit(file.partial, "a compressed file")
    length = response.headers.get("Content-Length")
    if length is None or file.size_bytes is None:
        return
    if int(length) > file.size_bytes - file.partial.size_bytes:
        raise _unfit(file.partial, "more bytes than the file's size")


def _unfit(partial: PartialFile, what: str) -> Failure:
    partial.discard()
    return Failure("protocol", f"The hub sent {what}.", may_retry=True)
