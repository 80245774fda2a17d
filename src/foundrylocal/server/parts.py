"""What the server's operations work on: each part is the owner of its own state."""

from __future__ import annotations

from dataclasses import dataclass

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import OperationCancelled
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.supply import Supply
from foundrylocal.server.current import CurrentModel
from foundrylocal.server.desired import Desired, DesiredFile
from foundrylocal.server.gate import Gate
from foundrylocal.server.operations import Operations
from foundrylocal.server.port import ServerPort
from foundrylocal.server.recovery import Recovery
from foundrylocal.server.requests import ServerInfo, StartRequest
from foundrylocal.server.state import ServerState
from foundrylocal.settings.store import SettingsStore


@dataclass(frozen=True, slots=True)
class ServerParts:
    """Handed to each operation as a whole."""

    state: ServerState
    operations: Operations
    current: CurrentModel
    recovery: Recovery
    pool: Pool
    supply: Supply
    port: ServerPort
    gate: Gate
    settings: SettingsStore
    desired: DesiredFile
    api_key: str

    async def remember(self, model: Model, request: StartRequest) -> None:
        """From now on this is what the server is to serve, after a crash of the service too."""
        if self.port.number is not None:
            await self.desired.write(
                Desired(
                    model_id=model.model_id,
                    port=self.port.number,
                    health_period_s=request.health_period_s,
                    options=request.options,
                )
            )

    def info(self, model: Model) -> ServerInfo:
        """The answer to a start. Raises OperationCancelled when the port has been closed meanwhile."""
        number, url = self.port.number, self.port.url
        if number is None or url is None:
            raise OperationCancelled("The start")
        return ServerInfo(number, model, url, self.api_key)
