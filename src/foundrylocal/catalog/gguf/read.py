"""Reads what a GGUF file says about its model, and checks whether the file can be trusted.

Invariant: a header is returned only when every limit holds and every tensor lies inside the file.
Reading takes at most one second of CPU time and a few megabytes, whatever the file contains. The
format: github.com/ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from foundrylocal.catalog.gguf.bytes import BoundedReader, GgufInvalid
from foundrylocal.catalog.gguf.header import CacheShape, GgufHeader, describe
from foundrylocal.catalog.gguf.metadata import Metadata
from foundrylocal.catalog.gguf.split import MAX_PARTS, describe_parts, parse_split_name
from foundrylocal.catalog.gguf.tensors import read_tensors
from foundrylocal.kit.sizes import format_bytes

__all__ = [
    "CacheShape",
    "GgufHeader",
    "GgufInvalid",
    "check_split",
    "open_metadata",
    "read_header",
    "read_model",
]


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of one file; blocking, so call it in a thread.

    Raises GgufInvalid when the file is not a sound GGUF, OSError when it cannot be read.
    """
    with _open_regular(path) as (file, size_bytes):
        return _parse(file, size_bytes)


@contextmanager
def open_metadata(path: Path, keeps: Callable[[bytes], bool]) -> Iterator[Metadata]:
    """The keys of one file that `keeps` names; blocking. Raises as `read_header` does."""
    with _open_regular(path) as (file, size_bytes):
        begun = _begin(file, size_bytes)
        yield Metadata(begun.reader, begun.key_count, keeps)


@contextmanager
def _open_regular(path: Path) -> Iterator[tuple[FileIO, int]]:
    if not stat.S_ISREG(path.stat().st_mode):
        raise GgufInvalid("It is not a regular file.")
    with FileIO(path, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise GgufInvalid("It is not a regular file.")
        yield file, status.st_size


def read_model(first: Path) -> tuple[GgufHeader, list[Path]]:
    """The header of a model with the sums over all its parts, and their paths in order.

    Blocking, up to a second for each part. Raises GgufInvalid when a part is missing, unsound or belongs to
    something else, OSError when one cannot be read.
    """
    part = parse_split_name(first.name)
    if part is None:
        header = read_header(first)
        if header.split_count > 1:
            raise GgufInvalid("It is one part of a split model, but its file name does not say which.")
        return header, [first]
    count = part.count
    if part.number != 1 or not 1 <= count <= MAX_PARTS:
        raise GgufInvalid("Its file name is not that of the first part of a split model.")
    paths = [first.with_name(part.of_part(number)) for number in range(1, count + 1)]
    missing = [number for number, path in enumerate(paths, 1) if not path.is_file()]
    if len(missing) == count:
        raise FileNotFoundError(errno.ENOENT, "No such file")
    if missing:
        what = describe_parts(missing)
        raise GgufInvalid(
            f"It is incomplete: {what} of {count} {'is' if len(missing) == 1 else 'are'} missing."
        )
    header = read_header(first)
    if count == 1 and header.split_count in (0, 1):
        return header, paths
    return _sum_up([header, *_read_others(paths[1:])], count), paths


def check_split(first: Path) -> list[Path]:
    """The paths of all parts of the model that begins with `first`, in order; raises as `read_model` does."""
    return read_model(first)[1]


def _read_others(paths: list[Path]) -> list[GgufHeader]:
    headers = []
    for number, path in enumerate(paths, 2):
        try:
            headers.append(read_header(path))
        except GgufInvalid as error:
            raise GgufInvalid(f"Part {number} is damaged: {error.reason}") from error
    return headers


def _sum_up(headers: list[GgufHeader], count: int) -> GgufHeader:
    first = headers[0]
    for number, header in enumerate(headers, 1):
        if header.split_count != count or header.split_no != number - 1:
            raise GgufInvalid(f"Part {number} of {count} claims to be another part, or of another model.")
    tensors = sum(header.tensor_count for header in headers)
    if first.split_tensor_count is None or tensors != first.split_tensor_count:
        raise GgufInvalid(f"Its parts have {tensors} tensors in total instead of {first.split_tensor_count}.")
    return replace(
        first,
        parameter_count=sum(header.parameter_count for header in headers),
        tensor_count=tensors,
        tensor_bytes=sum(header.tensor_bytes for header in headers),
        file_bytes=sum(header.file_bytes for header in headers),
        quantization=first.quantization or headers[-1].quantization,
    )


def _open_without_waiting(path: str, flags: int) -> int:
    # A named pipe that replaced the file after the check must not block the thread forever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class _Beginning(NamedTuple):
    """What stands at the beginning of every file; the reader is behind it, at the first key."""

    reader: BoundedReader
    version: int
    tensor_count: int
    key_count: int


def _begin(file: FileIO, size_bytes: int) -> _Beginning:
    if size_bytes < 24:
        raise GgufInvalid("It is too small to be a GGUF file.")
    reader = BoundedReader(file, size_bytes)
    if reader.take(4) != b"GGUF":
        raise GgufInvalid("It is not a GGUF file.")
    version = _checked_version(reader.u32())
    return _Beginning(reader, version, reader.u64(), reader.u64())


def _parse(file: FileIO, size_bytes: int) -> GgufHeader:
    reader, version, tensor_count, key_count = _begin(file, size_bytes)
    metadata = Metadata(reader, key_count)
    alignment = metadata.alignment()
    tensors = read_tensors(reader, tensor_count, alignment)
    data_offset = reader.position
    if tensors.count:
        data_offset = -(-data_offset // alignment) * alignment
        if data_offset + tensors.data_bytes > size_bytes:
            needed = format_bytes(data_offset + tensors.data_bytes)
            raise GgufInvalid(f"It is truncated: it has {format_bytes(size_bytes)} of {needed}.")
    return describe(version, metadata, tensors, data_offset, size_bytes)


def _checked_version(version: int) -> int:
    if version & 0xFFFF == 0:
        raise GgufInvalid("It is written for big-endian machines.")
    if version not in (2, 3):
        raise GgufInvalid(f"It is GGUF version {version}; versions 2 and 3 can be read.")
    return version
