"""Where requests wait while a switch exchanges two models that do not fit in memory together."""

from __future__ import annotations

from foundrylocal.kit.changes import Changes


class Gate:
    """Open, but for the time of such an exchange."""

    def __init__(self) -> None:
        self._is_open = True
        self._changes = Changes()

    def close(self) -> None:
        """From now on requests wait."""
        self._is_open = False

    def open(self) -> None:
        """Let those that wait pass, and all that come."""
        self._is_open = True
        self._changes.notify()

    async def wait_open(self) -> None:
        """Return when the gate is open; the operation that closed it bounds the wait."""
        await self._changes.wait_until(lambda: self._is_open)
