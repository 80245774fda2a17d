"""What a client of the gateway needs: its address and key, as the `openai` package takes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from foundrylocal.client.errors import ServerNotRunning
from foundrylocal.wire.server import StatusAnswer


@dataclass(frozen=True, slots=True)
class GatewayAccess:
    """`OpenAI(base_url=access.base_url, api_key=access.api_key)`, and the current model for its requests."""

    base_url: str
    api_key: str = field(repr=False)
    model: str


def access_of(status: StatusAnswer) -> GatewayAccess:
    """Address and key of the running gateway. Raises ServerNotRunning."""
    health = status.health
    if not status.is_running or not health.endpoint or not health.api_key or not status.current_model:
        raise ServerNotRunning(status.status)
    return GatewayAccess(health.endpoint, health.api_key, status.current_model)
