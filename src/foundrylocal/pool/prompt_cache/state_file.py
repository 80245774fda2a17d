"""The files in which llama.cpp saves a slot: their header and their tokens, which are never shown or logged."""

from __future__ import annotations

import struct
import zlib
from array import array
from pathlib import Path

_HEADER = struct.Struct("<3I")  # magic, version, number of tokens
_MAGIC = 0x67677371
_TOKEN_BYTES = 4
# Builds that can save images put this before the tokens, a version and the number of tokens; after them comes what
# they know of the images. In the place of an image's tokens there are as many of these.
_NO_TOKEN = -1
_PACKED_HEAD = 3


class StateFileInvalid(Exception):
    """It is not a complete state file."""


def read_tokens(path: Path) -> array[int]:
    """The tokens whose state is in the file. In place of those of images are numbers that differ when the images do.

    Raises StateFileInvalid, OSError.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            raise StateFileInvalid("it is shorter than its header")
        magic, _, count = _HEADER.unpack(head)
        if magic != _MAGIC:
            raise StateFileInvalid("it does not begin as a state file does")
        data = file.read(min(count * _TOKEN_BYTES, path.stat().st_size))
    if len(data) < count * _TOKEN_BYTES:
        raise StateFileInvalid("it ends within its tokens")
    tokens = array("i")
    tokens.frombytes(data)
    return _unpacked(tokens) if tokens[:1] == array("i", [_NO_TOKEN]) else tokens


def _unpacked(packed: array[int]) -> array[int]:
    count = packed[_PACKED_HEAD - 1] if len(packed) >= _PACKED_HEAD else -1
    if not 0 <= count <= len(packed) - _PACKED_HEAD:
        raise StateFileInvalid("its tokens have an unknown form")
    tokens = packed[_PACKED_HEAD : _PACKED_HEAD + count]
    images = ~zlib.crc32(packed[_PACKED_HEAD + count :].tobytes()) | -(1 << 31)
    return array("i", (images if token == _NO_TOKEN else token for token in tokens))


def common_prefix_length(first: array[int], second: array[int]) -> int:
    """How many tokens both begin with."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
