"""One model at a time: load it, unload it, delete it, without an operation of the server."""

from __future__ import annotations

import anyio
import anyio.to_thread

from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import ModelInUse, ModelNotFound
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica
from foundrylocal.pool.supply import Supply
from foundrylocal.server.requests import StartRequest
from foundrylocal.server.server import Server
from foundrylocal.server.state import Status
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import LoadOptions


class ModelManager:
    """Asks the server and its pool; owns nothing itself."""

    def __init__(
        self, server: Server, pool: Pool, supply: Supply, settings: SettingsStore, presets: PresetStore
    ) -> None:
        self._server = server
        self._pool = pool
        self._supply = supply
        self._settings = settings
        self._presets = presets

    async def load(
        self, model: Model, options: LoadOptions | None = None, *, is_strict: bool = False
    ) -> Replica | None:
        """Load the model beside the others, or start the server with it when nothing runs.

        `options` hold until the model is unloaded on request; one that is loaded otherwise is loaded again with them.
        None when it has left again already. Raises what a start raises; nothing is downloaded.
        """
        request = StartRequest(
            model.model_id, may_download=False, options=options or LoadOptions(), is_strict=is_strict
        )
        if self._server.state.status in (Status.STOPPED, Status.ERROR):
            await (await self._server.start(request)).result()
        elif (options is not None or is_strict) and self._is_servers_own(model):
            await (await self._server.switch(request)).result()
        elif options is not None or is_strict:
            await self._pool.load_with(model, request.options, is_strict=is_strict)
        else:
            async with self._server.lease(model.model_id):
                pass
        return self._pool.get(model)

    async def unload(self, model: Model) -> bool:
        """Unload the model when its requests have ended; False when it is not loaded."""
        self._pool.forget_options(model)
        if self._pool.get(model) is None:
            return False
        # A caller that disconnects must not cut short the requests that still run.
        with anyio.CancelScope(shield=True):
            await self._pool.unload_model(model, self._settings.current.drain_seconds)
        return True

    async def delete(self, model: Model) -> int:
        """Remove a model and its saved prompts from disk; bytes freed.

        Its preset stays, for the next download; an imported model leaves the registry, and its preset with it. Raises
        ModelInUse while it is loaded or the server's own.
        """
        if self._is_servers_own(model):
            raise _own_model_in_use(model)
        return await self._delete(model)

    async def remove(self, model: Model) -> int:
        """The same for a model that may be loaded, even the server's own: it is unloaded first.

        The server keeps running; requests for the model are refused until it is downloaded again. Raises ModelInUse
        while it is being loaded, fetched or switched to.
        """
        if self._is_servers_own(model) and self._server.state.status is not Status.RUNNING:
            raise _own_model_in_use(model)
        await self.unload(model)
        return await self._delete(model)

    async def _delete(self, model: Model) -> int:
        await self._pool.departed(model)  # after a switch, the model before leaves in the background
        with self._pool.block_loads(model):
            freed_bytes = await self._supply.delete(model)
        await self._pool.forget(model)
        if not self._is_registered(model):
            await anyio.to_thread.run_sync(self._presets.remove, model.model_id)
        return freed_bytes

    def _is_registered(self, model: Model) -> bool:
        try:
            return self._server.resolve(model.model_id) is model
        except ModelNotFound:
            return False

    def _is_servers_own(self, model: Model) -> bool:
        state = self._server.state
        return state.current is model and state.status not in (Status.STOPPED, Status.ERROR)


def _own_model_in_use(model: Model) -> ModelInUse:
    return ModelInUse(
        model.simple_name, "the server's current model", "Stop the server or switch to another model first."
    )
