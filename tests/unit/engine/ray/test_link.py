"""The link to a cluster as the service waits for it; a child that ends is another's test."""

from __future__ import annotations

import anyio

from foundrylocal.engine.ray.link import Link
from tests.fakes import virtual_time


def test_whoever_waits_for_the_link_hears_of_the_first_child_that_connects() -> None:
    async def main() -> None:
        link = Link({}, on_hello=lambda: None, on_event=lambda event: None)
        with anyio.fail_after(2):
            async with anyio.create_task_group() as group:
                group.start_soon(link.wait_up, 3600)
                await anyio.sleep(1)
                link._set_down("The head does not listen yet.")  # a child ended before it was connected
                link._set_up("127.0.1.1")

    virtual_time.run(main)
