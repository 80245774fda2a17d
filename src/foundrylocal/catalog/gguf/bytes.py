"""Reads an untrusted file forward, in pieces, and stops at fixed limits.

Invariant: it holds one piece of the file, and its work is bounded by `CPU_LIMIT_S`, whatever the file claims.
"""

from __future__ import annotations

import struct
import time
from io import FileIO

HEADER_LIMIT_BYTES = 256 * 1024 * 1024
STRING_LIMIT_BYTES = 16 * 1024 * 1024
ARRAY_LIMIT = 4 * 1024 * 1024

# Far above what a real header takes (a vocabulary of 260,000 tokens: 0.1 s). CPU time of this thread, so that
# a slow disk or a busy machine does not make a good file look bad.
CPU_LIMIT_S = 0.7

_PIECE_BYTES = 256 * 1024
_CHECK_EVERY = 4096

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class GgufInvalid(ValueError):
    """The file is not a GGUF that can be trusted; `reason` is one sentence without the path."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def readable(raw: bytes, limit: int = 60) -> str:
    """Text from the file made safe to display: printable characters only, at most `limit` of them."""
    text = raw[: limit * 4].decode("utf-8", "replace")
    clean = "".join(letter if letter.isprintable() else "?" for letter in text)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


class BoundedReader:
    """Reads numbers and text forward, or skips them; raises GgufInvalid at a limit or the end of the file."""

    def __init__(self, file: FileIO, size_bytes: int) -> None:
        self._file = file
        self._size = size_bytes
        self._end = min(size_bytes, HEADER_LIMIT_BYTES)
        self._piece = b""
        self._start = 0  # position of the piece in the file
        self._at = 0  # position of the next byte in the piece; may be past its end after a skip
        self._strings_left = ARRAY_LIMIT
        self._started_s = time.thread_time()

    @property
    def position(self) -> int:
        return self._start + self._at

    @property
    def left_bytes(self) -> int:
        return self._size - self.position

    def check_time(self) -> None:
        """Raise GgufInvalid when the work so far exceeds what any real header needs."""
        if time.thread_time() - self._started_s > CPU_LIMIT_S:
            raise GgufInvalid("Its header takes too long to read.")

    def u32(self) -> int:
        at = self._reserve(4)
        value: int = _U32.unpack_from(self._piece, at)[0]
        return value

    def u64(self) -> int:
        at = self._reserve(8)
        value: int = _U64.unpack_from(self._piece, at)[0]
        return value

    def take(self, count: int) -> bytes:
        at = self._reserve(count)
        return self._piece[at : at + count]

    def text(self, limit_bytes: int, what: str) -> bytes:
        """The bytes of one string of at most `limit_bytes`."""
        length = self.u64()
        if length > limit_bytes:
            raise GgufInvalid(f"{what} is too long: {length} bytes, the limit is {limit_bytes}.")
        return self.take(length)

    def skip(self, count: int) -> None:
        self._require(count)
        self._at += count

    def skip_string(self) -> int:
        """Skip one string and return its length in bytes."""
        length = self.u64()
        self._check_string(length)
        self.skip(length)
        return length

    def skip_strings(self, count: int) -> None:
        """Skip an array of strings; all arrays of a file share one limit on their number."""
        if count > self._strings_left:
            raise GgufInvalid(f"It lists more than {ARRAY_LIMIT} strings.")
        self._strings_left -= count
        while count:
            batch = min(count, _CHECK_EVERY)
            self._skip_batch(batch)
            self.check_time()
            count -= batch

    def reread(self, position: int, count: int) -> bytes:
        """Bytes from an earlier position in the header, which forward reading has already passed."""
        self._file.seek(position)
        raw = self._file.read(count)
        if len(raw) != count:
            raise GgufInvalid("It changed while it was being read.")
        return raw

    def _skip_batch(self, count: int) -> None:
        # The one loop that runs hundreds of thousands of times for a good file: its vocabulary. It works on local
        # names, and takes the careful path only where a string leaves the piece.
        unpack, piece, at = _U64.unpack_from, self._piece, self._at
        last = len(piece) - 8
        for _ in range(count):
            if at > last:
                self._at = at
                at = self._reserve(8)
                piece, last = self._piece, len(self._piece) - 8
                self._at = at
            length = unpack(piece, at)[0]
            if length > STRING_LIMIT_BYTES:
                self._check_string(length)
            at += 8 + length
        self._at = at
        self._require(0)

    @staticmethod
    def _check_string(length: int) -> None:
        if length > STRING_LIMIT_BYTES:
            raise GgufInvalid(f"It has a string of {length} bytes, the limit is {STRING_LIMIT_BYTES}.")

    def _require(self, count: int) -> None:
        if self.position + count <= self._end:
            return
        if self._size > HEADER_LIMIT_BYTES and self.position + count <= self._size:
            raise GgufInvalid(f"Its header is longer than {HEADER_LIMIT_BYTES // 1024**2} MB.")
        raise GgufInvalid("It is truncated: the file ends inside its header.")

    def _reserve(self, count: int) -> int:
        """Ensure `count` bytes are in the piece, step over them, and return where they begin in it."""
        at = self._at
        if at + count > len(self._piece):
            self._require(count)
            self._fill(count)
            at = 0
        self._at = at + count
        return at

    def _fill(self, count: int) -> None:
        self.check_time()
        position = self.position
        self._file.seek(position)
        wanted = min(max(count, _PIECE_BYTES), self._end - position)
        parts: list[bytes] = []
        while wanted:
            part = self._file.read(wanted)
            if not part:
                raise GgufInvalid("It changed while it was being read.")
            parts.append(part)
            wanted -= len(part)
        self._piece = b"".join(parts)
        self._start, self._at = position, 0
