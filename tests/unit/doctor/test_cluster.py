"""The checks of `cluster doctor`: what each finds, and what it says to do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foundrylocal.doctor.cluster import check_head, check_node, check_ports, check_token, check_versions
from foundrylocal.doctor.finding import Level
from foundrylocal.engine.ray.node.address import HeadAddress
from foundrylocal.engine.ray.node.record import NodeRecord, own_record
from foundrylocal.engine.ray.node.token import load_or_make_token, read_token

OUTSIDE = HeadAddress("192.168.1.10", 6379)
HERE = HeadAddress("127.0.1.1", 6379)
RECORD = own_record("head", HERE.host, str(HERE))


@pytest.fixture
def listening(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    with socket.create_server((request.param, 0)) as server:
        yield server.getsockname()


def test_beyond_loopback_a_cluster_needs_a_token(tmp_path: Path) -> None:
    assert check_token(tmp_path, None, False).level is Level.OK
    assert check_token(tmp_path, HERE, False).level is Level.OK
    missing = check_token(tmp_path, OUTSIDE, False)
    assert missing.level is Level.ERROR
    assert "cluster token --set" in (missing.action or "")
    assert check_token(tmp_path, OUTSIDE, True).level is Level.OK


def test_a_token_that_others_can_read_is_an_error_and_is_not_shown(tmp_path: Path) -> None:
    path = load_or_make_token(tmp_path)
    token = read_token(tmp_path) or ""
    assert check_token(tmp_path, OUTSIDE, False).level is Level.OK
    path.chmod(0o640)
    found = check_token(tmp_path, OUTSIDE, False)
    assert found.level is Level.ERROR
    assert token not in f"{found.message}{found.action}"


def test_a_node_of_this_home() -> None:
    assert check_node(None).level is Level.WARNING
    assert "The head runs here as 127.0.1.1" in check_node(RECORD).message


@pytest.mark.parametrize("listening", ["127.0.0.1"], indirect=True)
def test_a_head_that_can_be_reached_and_one_that_cannot(listening: tuple[str, int]) -> None:
    assert check_head(None).level is Level.OK
    assert check_head(HeadAddress(*listening)).level is Level.OK
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nothing listens on it
        refused = check_head(HeadAddress(*unused.getsockname()))
    assert refused.level is Level.ERROR
    assert "cluster head" in (refused.action or "")


@pytest.mark.parametrize("listening", ["0.0.0.0"], indirect=True)
def test_a_port_on_every_interface_is_named(listening: tuple[str, int]) -> None:
    assert check_ports(None).level is Level.OK
    found = check_ports(RECORD)
    assert found.level is Level.WARNING
    assert str(listening[1]) in found.message


@pytest.mark.parametrize("listening", ["127.0.0.1"], indirect=True)
def test_a_port_on_loopback_is_not_named(listening: tuple[str, int]) -> None:
    assert str(listening[1]) not in check_ports(RECORD).message


def test_a_node_that_has_ended_has_no_ports() -> None:
    gone = NodeRecord("node", 2**22 + 1, 0.0, "127.0.1.2", str(HERE))
    assert gone.pid != os.getpid()
    assert check_ports(gone).level is Level.OK


def _answer(**changes: Any) -> dict[str, Any]:
    node = {"name": "a", "state": "alive", "has_other_version": False, "versions": {"foundrylocal": "0.1.0"}}
    return {
        "state": "connected",
        "message": None,
        "action": None,
        "total_count": 1,
        "nodes": [{**node, **changes}],
    }


def test_nodes_with_another_version_or_without_an_answer_are_named() -> None:
    assert check_versions(None).level is Level.WARNING
    assert check_versions(_answer()).level is Level.OK
    other = check_versions(_answer(has_other_version=True, versions={"foundrylocal": "9.9"}))
    assert (other.level, "a (9.9)" in other.message) == (Level.ERROR, True)
    assert check_versions(_answer(state="lost")).level is Level.WARNING
    unreachable = {**_answer(), "state": "unreachable", "message": "Gone", "action": "Wait."}
    assert check_versions(unreachable).level is Level.ERROR
