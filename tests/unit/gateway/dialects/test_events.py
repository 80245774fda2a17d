"""Events of a stream in bytes."""

from __future__ import annotations

import pytest

from foundrylocal.gateway.dialects.events import whole_events
from tests.unit.gateway.dialects.prepare import FIRST, LAST, TOKENS


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_events_are_whole_however_they_are_read(size: int) -> None:
    stream = FIRST + TOKENS * 3 + LAST + b"data: [DONE]\n\n"
    rest, blocks = b"", []
    for begin in range(0, len(stream), size):
        block, rest = whole_events(rest, stream[begin : begin + size])
        assert not block or block.endswith(b"\n\n")
        blocks.append(block)
    assert (b"".join(blocks), rest) == (stream, b"")
