"""Which checks run in a thread."""

from __future__ import annotations

import threading

import anyio
import pytest

from foundrylocal.gateway.limits import off_loop
from foundrylocal.gateway.limits.off_loop import MAX_THREADS, SMALL_BODY_BYTES, OffLoop, RequestTooComplex


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


def test_a_check_that_takes_too_long_is_refused_and_leaves_the_loop_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end = threading.Event()

    def hang(raw: bytes) -> None:
        may_end.wait(60)

    async def main() -> None:
        checks = OffLoop()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for _ in range(MAX_THREADS + 2):  # those that wait for a thread are bounded too
                    group.start_soon(refused, checks)
        may_end.set()
        # Its threads are free again as soon as what hung in them has ended.
        with anyio.fail_after(30):
            assert await checks.run(thread_of, b"grammar") != threading.get_ident()

    async def refused(checks: OffLoop) -> None:
        with pytest.raises(RequestTooComplex, match="took too long"):
            await checks.run(hang, b"grammar")

    monkeypatch.setattr(off_loop, "CHECK_TIMEOUT_S", 0.2)
    anyio.run(main)


def test_what_a_check_raises_is_raised() -> None:
    def fail(raw: bytes) -> None:
        raise ValueError(raw)

    for raw in (b"a", b"grammar"):
        with pytest.raises(ValueError, match=raw.decode()):
            anyio.run(OffLoop().run, fail, raw)
