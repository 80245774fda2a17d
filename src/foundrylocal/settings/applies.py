"""When a changed setting takes effect; the command line and the documentation are derived from it."""

from __future__ import annotations

from enum import StrEnum

from foundrylocal.wire.load_options import LoadSettings


class Applies(StrEnum):
    """When it takes effect; the text continues `port takes effect`."""

    AT_ONCE = "immediately"
    NEXT_LOAD = "with the next load of a model"
    SERVER_START = "when the server is next started"
    SERVICE_START = "when the service is next started"


_LATER = {
    **dict.fromkeys(LoadSettings.model_fields, Applies.NEXT_LOAD),
    **dict.fromkeys(("memory_reserve_mb", "memory_budget_mb", "engines", "cluster_files"), Applies.NEXT_LOAD),
    **dict.fromkeys(("port", "gateway_host"), Applies.SERVER_START),
    **dict.fromkeys(
        (
            "api_host",
            "api_port",
            "load_at_start",
            "worker_command",
            "cluster_address",
            "cluster_keep_seconds",
        ),
        Applies.SERVICE_START,
    ),
}


def applies(name: str) -> Applies:
    """When a change of this setting takes effect."""
    return _LATER.get(name, Applies.AT_ONCE)
