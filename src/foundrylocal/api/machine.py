"""Describes the machine's memory and disk, and how much each loaded model uses; gathers it and owns nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil

from foundrylocal.api.services import Services
from foundrylocal.catalog.library import Stored
from foundrylocal.catalog.memory import available_bytes
from foundrylocal.downloads.space import disk_usage
from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.engine.replica import node_name
from foundrylocal.kit.clock import format_time, now_s
from foundrylocal.pool.roster import Replica

_MB = 1024 * 1024


async def describe_machine(
    services: Services, stored: Sequence[Stored], devices: Sequence[Device] | None = None
) -> dict[str, Any]:
    """The machine as /machine and /events render it; `stored` are the models on disk.

    `devices` are the engine's; /events leaves them out, since a broken driver may take long to answer.
    """
    resident = {status.id: status.memory_bytes for status in await services.server.pool.statuses()}
    return {
        "memory": await _memory(services),
        "gpus": None if devices is None else [_gpu(one) for one in devices if one.kind is DeviceKind.GPU],
        "disk": await anyio.to_thread.run_sync(_disk, services.library.cache_dir, stored),
        "models": [
            _model(services, replica, resident.get(replica.spec.id, 0))
            for replica in services.server.pool.with_memory()
        ],
    }


def _gpu(device: Device) -> dict[str, Any]:
    return {
        "name": device.name,
        "total_bytes": _rounded(device.memory_bytes),
        "free_bytes": _rounded(device.free_bytes),
    }


async def _memory(services: Services) -> dict[str, Any]:
    budget_mb = services.settings.current.memory_budget_mb
    free = await services.planner.free_bytes()
    leaving = sum(
        replica.spec.memory_bytes
        for replica in services.server.pool.replicas()
        if not replica.is_current and not services.server.pool.stay(replica).is_pinned
    )
    return {
        "total_bytes": _rounded(psutil.virtual_memory().total),
        "available_bytes": _rounded(await anyio.to_thread.run_sync(available_bytes)),
        "free_bytes": _rounded(max(0, free)),
        "evictable_bytes": _rounded(leaving),
        "reserve_bytes": services.planner.reserve_bytes,
        "budget_bytes": None if budget_mb is None else budget_mb * _MB,
    }


def _disk(cache_dir: Path, stored: Sequence[Stored]) -> dict[str, Any]:
    total, free = disk_usage(cache_dir)
    return {
        "total_bytes": _rounded(total),
        "free_bytes": _rounded(free),
        "models_bytes": sum(one.size_bytes for one in stored),
        "partial_bytes": _rounded(sum(_size(path) for path in (cache_dir / "partial").glob("*/*/*"))),
    }


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0  # it was moved or removed a moment ago


def _model(services: Services, replica: Replica, resident_bytes: int) -> dict[str, Any]:
    return {
        "model": replica.model.simple_name,
        "model_id": replica.model.model_id,
        "replica": replica.id,
        "node": node_name(replica.node),
        "state": replica.state.value,
        "memory_bytes": _rounded(resident_bytes),
        "estimated_bytes": replica.spec.memory_bytes,
        "context_size": replica.spec.context_size,
        "parallel": replica.spec.parallel,
        "is_pinned": replica.is_current or services.server.pool.stay(replica).is_pinned,
        "loaded_at": format_time(replica.loaded_at) if replica.loaded_at else None,
        "unloads_at": _unloads_at(services, replica),
    }


def _unloads_at(services: Services, replica: Replica) -> str | None:
    limit_s = services.server.pool.stay(replica).idle_limit_s
    if limit_s is None or replica.in_flight:
        return None
    return format_time(now_s() + replica.last_used + limit_s - anyio.current_time())


def _rounded(size: int) -> int:
    """To whole MB, so that a figure which hardly moves is no news."""
    return round(size / _MB) * _MB
