"""When a change of a setting holds; the command line and the documentation are derived from it."""

from __future__ import annotations

from enum import StrEnum

from foundrylocal.wire.load_options import LoadSettings


class Applies(StrEnum):
    """From when on; the text continues `port holds`."""

    AT_ONCE = "at once"
    NEXT_LOAD = "from the next load of a model on"
    SERVER_START = "when the server is started again"
    SERVICE_START = "when the service is started again"


_LATER = {
    **dict.fromkeys(LoadSettings.model_fields, Applies.NEXT_LOAD),
    **dict.fromkeys(("memory_reserve_mb", "memory_budget_mb"), Applies.NEXT_LOAD),
    **dict.fromkeys(("port", "gateway_host"), Applies.SERVER_START),
    **dict.fromkeys(
        ("api_host", "api_port", "load_at_start", "worker_command", "cluster_address"), Applies.SERVICE_START
    ),
}


def applies(name: str) -> Applies:
    """When a change of this setting holds."""
    return _LATER.get(name, Applies.AT_ONCE)
