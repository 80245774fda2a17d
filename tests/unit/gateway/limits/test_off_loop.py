"""Which checks run in a thread."""

from __future__ import annotations

import threading

import anyio
import pytest

from foundrylocal.gateway.limits.off_loop import SMALL_BODY_BYTES, OffLoop


def thread_of(raw: bytes) -> int:
    return threading.get_ident()


@pytest.mark.parametrize(
    ("raw", "is_on_loop"),
    [
        (b'{"messages":[]}', True),
        (b'{"json_schema":{}}', False),
        (b'{"grammar":"x"}', False),
        (b'{"tools":[]}', False),
        (rb'{"t\u006fols":[]}', False),
        (b'{"previous_response_id":"resp_x"}', False),
        (b" " * (SMALL_BODY_BYTES + 1), False),
    ],
)
def test_large_bodies_and_what_is_compiled_are_checked_in_a_thread(raw: bytes, is_on_loop: bool) -> None:
    async def main() -> int:
        return await OffLoop().run(thread_of, raw)

    assert (anyio.run(main) == threading.get_ident()) is is_on_loop


def test_what_a_check_raises_is_raised() -> None:
    def fail(raw: bytes) -> None:
        raise ValueError(raw)

    for raw in (b"a", b"grammar"):
        with pytest.raises(ValueError, match=raw.decode()):
            anyio.run(OffLoop().run, fail, raw)
