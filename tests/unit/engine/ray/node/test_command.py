"""What `ray start` is called with: no secret in its arguments, and an environment that states its authentication."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from foundrylocal.engine.node import NodeVersions
from foundrylocal.engine.ray.node.address import HeadAddress
from foundrylocal.engine.ray.node.command import (
    NodeOffer,
    head_command,
    join_command,
    labeled_gpus,
    session_folder,
)
from foundrylocal.engine.ray.node.environment import has_token, ray_environment
from foundrylocal.engine.ray.node.storage import UnusableStorage, parse_storage
from foundrylocal.engine.ray.node.token import load_or_make_token, read_token

HEAD = HeadAddress("192.168.1.10", 6379)
OFFER = NodeOffer("192.168.1.11", 1 << 30)
VERSIONS = NodeVersions("0.1.0+local", "3.11.7", "2.60.0")


def test_no_argument_holds_the_token(tmp_path: Path) -> None:
    path = load_or_make_token(tmp_path)
    token = read_token(tmp_path) or ""
    commands = [head_command(OFFER, HEAD, tmp_path, VERSIONS), join_command(OFFER, HEAD, tmp_path, VERSIONS)]
    assert [one for command in commands for one in command if token in one] == []
    environment = ray_environment(path, {"RAY_AUTH_TOKEN": "stale", "FOUNDRYLOCAL_MANAGEMENT_KEY": "secret"})
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(path)
    assert [name for name, value in environment.items() if value in (token, "stale", "secret")] == []


def test_a_head_starts_neither_dashboard_nor_autoscaler(tmp_path: Path) -> None:
    command = head_command(OFFER, HEAD, tmp_path, VERSIONS)
    assert {"--head", "--block", "--port=6379", "--include-dashboard=false", "--no-monitor"} <= set(command)
    assert "--node-ip-address=192.168.1.11" in command
    assert f"--memory={1 << 30}" in command


def test_a_node_tells_its_versions_as_labels(tmp_path: Path) -> None:
    command = join_command(OFFER, HEAD, tmp_path, VERSIONS)
    assert "--address=192.168.1.10:6379" in command
    assert "--labels=foundrylocal-version=0.1.0_local,python-version=3.11.7,ray-version=2.60.0" in command


def test_a_node_tells_the_memory_of_its_gpus_as_a_label(tmp_path: Path) -> None:
    sizes = (8 << 30, (24 << 30) + 1)
    command = join_command(replace(OFFER, gpu_bytes=sizes), HEAD, tmp_path, VERSIONS)
    [labels] = [one.removeprefix("--labels=") for one in command if one.startswith("--labels=")]
    found = dict(label.split("=") for label in labels.split(","))
    assert found["gpu-memory-mb"] == "8192.24576"
    assert labeled_gpus(found) == (8 << 30, 24 << 30)
    many = head_command(replace(OFFER, gpu_bytes=(999_999 << 20,) * 99), HEAD, tmp_path, VERSIONS)
    assert all(
        len(label.split("=")[1]) <= 63 for one in many if "labels" in one for label in one[9:].split(",")
    )
    for text in ("", "8192.", "a", "-1", "8192,1"):
        assert labeled_gpus({"gpu-memory-mb": text}) == ()
    assert labeled_gpus({}) == ()


def test_health_checks_find_a_lost_node_within_ten_seconds() -> None:
    environment = ray_environment(None, {})
    period, timeout, threshold = (
        int(environment[f"RAY_health_check_{name}"])
        for name in ("period_ms", "timeout_ms", "failure_threshold")
    )
    assert (period + timeout) * threshold + int(environment["RAY_health_check_initial_delay_ms"]) <= 10_000
    assert environment["RAY_worker_niceness"] == "0"
    assert environment["RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL"] == "minor"


def test_authentication_is_stated_and_never_left_to_a_default() -> None:
    assert ray_environment(None, {})["RAY_AUTH_MODE"] == "disabled"
    in_kubernetes = {"RAY_AUTH_TOKEN": "t" * 32}
    assert ray_environment(None, in_kubernetes)["RAY_AUTH_MODE"] == "token"
    assert has_token(None, in_kubernetes)
    assert not has_token(None, {})


def test_the_folder_of_ray_leaves_room_for_the_path_of_a_socket(tmp_path: Path) -> None:
    # Ray adds "/session_2026-11-26_05-00-00_000000_4194304/sockets/plasma_store".
    deep = tmp_path / ("x" * 200)
    assert len(str(session_folder(deep))) + 63 < 107
    assert session_folder(deep) != session_folder(tmp_path)


def test_storage_in_memory_on_disk_and_in_redis(tmp_path: Path) -> None:
    assert parse_storage("memory", tmp_path).environment == {}
    on_disk = parse_storage("disk", tmp_path)
    assert on_disk.environment == {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(on_disk.folder)}
    assert on_disk.is_kept
    in_redis = parse_storage("redis://127.0.0.1:6380", tmp_path).environment
    assert in_redis["RAY_REDIS_ADDRESS"] == "127.0.0.1:6380"
    assert in_redis["RAY_external_storage_namespace"].startswith("foundrylocal-")
    assert parse_storage("rediss://r:1", tmp_path).environment["RAY_REDIS_ADDRESS"] == "rediss://r:1"


@pytest.mark.parametrize(
    "text", ["redis://:secret@127.0.0.1:6380", "redis://user:secret@r:1", "redis://r", "ftp://r:1", ""]
)
def test_a_password_of_redis_would_be_in_a_process_argument(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnusableStorage) as caught:
        parse_storage(text, tmp_path)
    assert "secret" not in caught.value.reason + caught.value.action
