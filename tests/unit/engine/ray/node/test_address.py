"""Addresses of a cluster: what is one, and which of them a node can use."""

from __future__ import annotations

import sys

import pytest

from foundrylocal.engine.ray.node.address import (
    LOOPBACK,
    HeadAddress,
    UnusableAddress,
    check_own,
    own_address_towards,
    parse_head,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.168.1.10:6380", "192.168.1.10", 6380),
        ("192.168.1.10", "192.168.1.10", 6379),
        (" head.lan:1 ", "head.lan", 1),
        ("[fd00::1]:65535", "fd00::1", 65535),
        ("[fd00::1]", "fd00::1", 6379),
        ("fd00::1", "fd00::1", 6379),
    ],
)
def test_an_address_of_a_head(text: str, host: str, port: int) -> None:
    head = parse_head(text)
    assert (head.host, head.port) == (host, port)
    assert parse_head(str(head)) == head


@pytest.mark.parametrize("text", ["", ":6379", "head:0", "head:65536", "head:x", "head:٣"])
def test_what_is_no_address_of_a_head(text: str) -> None:
    with pytest.raises(UnusableAddress) as caught:
        parse_head(text)
    assert "HOST:PORT" in caught.value.action


def test_only_addresses_count_as_loopback() -> None:
    assert HeadAddress("127.0.1.1", 1).is_loopback
    assert HeadAddress("::1", 1).is_loopback
    assert not HeadAddress("localhost", 1).is_loopback  # what it resolves to may change
    assert not HeadAddress("10.0.0.1", 1).is_loopback


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::"])
def test_an_address_that_ray_replaces_is_refused(address: str) -> None:
    with pytest.raises(UnusableAddress) as caught:
        check_own(address)
    assert LOOPBACK in caught.value.action


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.1.1 belongs to every Linux machine only")
def test_a_node_uses_an_address_of_this_machine() -> None:
    check_own(LOOPBACK)
    for address in ("192.0.2.1", "head.lan", ""):  # 192.0.2.0/24 is for documentation
        with pytest.raises(UnusableAddress):
            check_own(address)


def test_a_second_node_on_one_machine_names_its_address() -> None:
    with pytest.raises(UnusableAddress) as caught:
        own_address_towards(HeadAddress(LOOPBACK, 6379))
    assert "--address 127.0.1.2" in caught.value.action
