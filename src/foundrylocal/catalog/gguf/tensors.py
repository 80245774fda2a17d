"""Walks the tensor table of a GGUF and summarizes it.

Invariant: a summary exists only for a table in which every tensor has a known type and size and begins where the
previous one ended, as the engine requires; so none overlap.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Final

from foundrylocal.catalog.gguf.bytes import BoundedReader, GgufInvalid, readable
from foundrylocal.catalog.gguf.types import REMOVED_TENSOR_TYPES, TENSOR_TYPES, TensorType

TENSOR_LIMIT: Final = 100_000
NAME_LIMIT_BYTES: Final = 63  # the engine keeps 64 with the closing zero
DIMENSION_LIMIT: Final = 4

_INT64_MAX: Final = 2**63 - 1
_CHECK_EVERY: Final = 512
# Dimensions, then type and offset, for 1 to 4 dimensions.
_SHAPES: Final = tuple(struct.Struct(f"<{count}QIQ") for count in range(DIMENSION_LIMIT + 1))


@dataclass(frozen=True, slots=True)
class TensorTable:
    """All tensors of a file together; `data_bytes` spans from the first byte to the last one used."""

    count: int
    parameter_count: int
    data_bytes: int
    most_used_type: str | None


def read_tensors(reader: BoundedReader, count: int, alignment: int) -> TensorTable:
    """Check `count` entries from the reader's position on; raises GgufInvalid."""
    if count > TENSOR_LIMIT:
        raise GgufInvalid(f"It claims {count} tensors, the limit is {TENSOR_LIMIT}.")
    names: set[bytes] = set()
    elements_by_type: Counter[str] = Counter()
    expected = end = 0
    for number in range(count):
        if number % _CHECK_EVERY == 0:
            reader.check_time()
        name = reader.text(NAME_LIMIT_BYTES, "The name of a tensor")
        if name in names:
            raise GgufInvalid(f"It has the tensor '{readable(name)}' twice.")
        names.add(name)
        dimension_count = reader.u32()
        if not 1 <= dimension_count <= DIMENSION_LIMIT:
            raise GgufInvalid(f"Its tensor '{readable(name)}' has {dimension_count} dimensions.")
        shape = _SHAPES[dimension_count]
        *dimensions, type_number, offset = shape.unpack(reader.take(shape.size))
        kind = _known_type(name, type_number)
        elements = _count_elements(name, dimensions, kind)
        elements_by_type[kind.name] += elements
        if offset != expected:
            raise GgufInvalid(f"Its tensor '{readable(name)}' is at {offset} instead of {expected}.")
        end = offset + elements // kind.block_elements * kind.block_bytes
        if end > _INT64_MAX:
            raise GgufInvalid("Its tensors are larger than any file can be.")
        expected = -(-end // alignment) * alignment
    most_used = elements_by_type.most_common(1)
    return TensorTable(count, elements_by_type.total(), end, most_used[0][0] if most_used else None)


def _known_type(name: bytes, number: int) -> TensorType:
    kind = TENSOR_TYPES.get(number)
    if kind is not None:
        return kind
    if number in REMOVED_TENSOR_TYPES:
        raise GgufInvalid(
            f"Its tensor '{readable(name)}' is of type {number}, which engines no longer support."
        )
    # A type newer than this program: its size is unknown, so the file cannot be checked. The engine of this
    # program could not load it either.
    raise GgufInvalid(
        f"Its tensor '{readable(name)}' is of type {number}, which this version does not support."
    )


def _count_elements(name: bytes, dimensions: list[int], kind: TensorType) -> int:
    elements = 1
    for dimension in dimensions:
        elements *= dimension
        if not 1 <= elements < _INT64_MAX:
            what = "an empty dimension" if elements == 0 else "more values than can be counted"
            raise GgufInvalid(f"Its tensor '{readable(name)}' has {what}.")
    if dimensions[0] % kind.block_elements:
        raise GgufInvalid(
            f"Its tensor '{readable(name)}' has rows of {dimensions[0]} values, "
            f"and {kind.name} needs a multiple of {kind.block_elements}."
        )
    return elements
