"""What the server's operations work on: each part is the owner of its own state."""

from __future__ import annotations

from dataclasses import dataclass

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import OperationCancelled
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.supply import Supply
from foundrylocal.server.current import CurrentModel
from foundrylocal.server.gate import Gate
from foundrylocal.server.operations import Operations
from foundrylocal.server.port import ServerPort
from foundrylocal.server.recovery import Recovery
from foundrylocal.server.requests import ServerInfo
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
    api_key: str

    def info(self, model: Model) -> ServerInfo:
        """The answer to a start. Raises OperationCancelled when the port has been closed meanwhile."""
        number, url = self.port.number, self.port.url
        if number is None or url is None:
            raise OperationCancelled("The start")
        return ServerInfo(number, model, url, self.api_key)
