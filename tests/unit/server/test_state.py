"""The table of the server's states."""

from __future__ import annotations

import itertools

import anyio
import pytest

from foundrylocal.server.state import _LEGAL, ServerState, Status


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Status, Status)))
def test_only_the_steps_of_the_table_are_possible(before: Status, after: Status) -> None:
    async def main() -> None:
        state = ServerState()
        state.status = before
        if after in _LEGAL[before]:
            state.move(after, None)
            assert state.status is after
        else:
            with pytest.raises(RuntimeError):
                state.move(after, None)
            assert state.status is before

    anyio.run(main)


def test_from_every_state_there_is_a_way_to_stopped() -> None:
    for status in Status:
        reached, edge = {status}, {status}
        while edge:
            edge = set().union(*(_LEGAL[one] for one in edge)) - reached
            reached |= edge
        assert Status.STOPPED in reached
