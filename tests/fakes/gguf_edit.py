"""A real model with other keys in its header: what the engine makes of those can then be tested for real.

Invariant: the tensors stay what and where they are, since what is put before them keeps their alignment.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

_COUNT_AT, _KEYS_AT, _ALIGNMENT = 16, 24, 32
_UINT32, _STRING = 4, 8


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _key(name: str, value: int | str) -> bytes:
    if isinstance(value, int):
        return _text(name) + struct.pack("<II", _UINT32, value)
    return _text(name) + struct.pack("<I", _STRING) + _text(value)


def write_with_keys(model: Path, path: Path, keys: Mapping[str, int | str]) -> None:
    """Copy a model and give it these keys; one that it has already gets a name that nobody reads."""
    data = model.read_bytes()
    for name in keys:
        has = _text(name)
        data = data.replace(has, has[:-1] + b"_", 1)
    (count,) = struct.unpack_from("<Q", data, _COUNT_AT)
    head = b"".join(_key(name, value) for name, value in keys.items())
    room = -len(head + _key("test.filler", "")) % _ALIGNMENT
    head += _key("test.filler", " " * room)
    path.write_bytes(data[:_COUNT_AT] + struct.pack("<Q", count + len(keys) + 1) + head + data[_KEYS_AT:])
