"""Which address of this machine its Ray node has: Ray finds the node of a driver by that address alone."""

from __future__ import annotations

from pathlib import Path

from foundrylocal.engine.ray.node.address import (
    HeadAddress,
    UnusableAddress,
    check_own,
    own_address_towards,
    parse_head,
)
from foundrylocal.engine.ray.node.record import find_node


def find_own_address(head: str, state_dir: Path) -> str:
    """The address of the node that `foundrylocal cluster` runs for this home, or else of the way to the head.

    Blocking. Raises UnusableAddress.
    """
    record = find_node(state_dir)
    if record is not None:
        return record.address
    parsed = parse_head(head)
    return parsed.host if _is_here(parsed) else own_address_towards(parsed)


def _is_here(head: HeadAddress) -> bool:
    try:
        check_own(head.host)
    except UnusableAddress:
        return False
    return True
