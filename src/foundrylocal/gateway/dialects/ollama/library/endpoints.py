"""Ollama's endpoints on models: what there is, what is loaded, and changes to it.

Invariant: every error is raised before an answer begins, or is the last line of a stream.
"""

from __future__ import annotations

import anyio

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model, Registry
from foundrylocal.downloads.imports.importer import Importer
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.errors import FoundryLocalError, NotSupported
from foundrylocal.gateway.dialects.ollama.errors import NotPulled, ollama_error
from foundrylocal.gateway.dialects.ollama.library.aliases import Aliases
from foundrylocal.gateway.dialects.ollama.library.create import LINES, read_create
from foundrylocal.gateway.dialects.ollama.library.facts import ModelFacts
from foundrylocal.gateway.dialects.ollama.library.listing import list_loaded, list_models
from foundrylocal.gateway.dialects.ollama.library.parameters import parameter_lines
from foundrylocal.gateway.dialects.ollama.library.pulling import Pulling
from foundrylocal.gateway.dialects.ollama.library.shapes import CopyBody, CreateBody, ModelBody, PullBody
from foundrylocal.gateway.dialects.ollama.library.show import show_model
from foundrylocal.gateway.dialects.ollama.stream import NDJSON, encode_line
from foundrylocal.gateway.endpoints import READ_METHODS, Call, Endpoint
from foundrylocal.server.models import ModelManager
from foundrylocal.server.server import Server
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import send_whole
from foundrylocal.wire.presets import Preset

# The version of Ollama whose API this is: clients compare it with what they need.
OLLAMA_VERSION = "0.12.11"


class OllamaLibrary:
    """The endpoints of /api that ask no engine."""

    def __init__(
        self,
        server: Server,
        registry: Registry,
        library: Library,
        downloads: DownloadManager,
        importer: Importer,
        models: ModelManager,
        settings: SettingsStore,
        presets: PresetStore,
    ) -> None:
        self._server = server
        self._registry = registry
        self._models = models
        self._settings = settings
        self._facts = ModelFacts(library)
        self._aliases = Aliases(settings, registry, presets)
        self._pulling = Pulling(server.resolve, downloads, importer, settings, self._aliases)
        read, change = READ_METHODS, ("POST",)
        self.endpoints = {
            "/api/version": Endpoint(read, self._send_version),
            "/api/tags": Endpoint(read, self._send_list),
            "/api/ps": Endpoint(read, self._send_loaded),
            "/api/show": Endpoint(("POST",), self._send_details),
            "/api/pull": Endpoint(change, self._pull, is_change=True),
            "/api/copy": Endpoint(change, self._copy, is_change=True),
            "/api/create": Endpoint(change, self._create, is_change=True),
            "/api/delete": Endpoint(("DELETE",), self._delete, is_change=True),
            "/api/push": Endpoint(change, _refuse_push),
        }

    # --- what there is ----------------------------------------------------------------------------------

    async def _send_version(self, call: Call) -> None:
        await call.answer({"version": OLLAMA_VERSION})

    async def _send_list(self, call: Call) -> None:
        models = [model for model in self._registry.all() if call.caller.may_use(model.model_id)]
        aliases = self._settings.current.aliases
        await call.answer(
            await anyio.to_thread.run_sync(list_models, models, self._facts, aliases, self._server.resolve)
        )

    async def _send_loaded(self, call: Call) -> None:
        pool = self._server.pool
        usable = [one for one in pool.loaded() if call.caller.may_use(one.model.model_id)]
        loaded = [(replica, pool.expires_in_s(replica)) for replica in usable]
        await call.answer(await anyio.to_thread.run_sync(list_loaded, loaded, self._facts))

    async def _send_details(self, call: Call) -> None:
        body = await call.read(ModelBody)
        model = self._resolve(body.named)
        call.caller.check_model(model.model_id, body.named)
        on_disk = await anyio.to_thread.run_sync(self._facts.of, model)
        if on_disk is None:
            raise NotPulled(body.named)
        preset = self._aliases.preset_of(body.named, model)
        await call.answer(
            await anyio.to_thread.run_sync(
                show_model, on_disk, parameter_lines(preset), preset.system_prompt or ""
            )
        )

    # --- changes ----------------------------------------------------------------------------------------

    async def _pull(self, call: Call) -> None:
        await self._pulling.answer(await call.read(PullBody), call.scope, call.send)

    async def _copy(self, call: Call) -> None:
        body = await call.read(CopyBody)
        preset = self._aliases.own_preset(body.source)
        await self._aliases.add(body.destination, self._resolve(body.source), preset)
        await call.answer_empty()

    async def _create(self, call: Call) -> None:
        body = await call.read(CreateBody)
        base, preset = read_create(body)
        model = self._resolve(base)
        if await anyio.to_thread.run_sync(self._facts.of, model) is None:
            raise NotPulled(base)
        inherited = self._aliases.own_preset(base).saved()
        preset = Preset.model_validate({**inherited, **preset.saved()})
        await self._aliases.add(body.named, model, preset, param="model")
        if body.stream is False:
            await call.answer(LINES[-1])
        else:
            block = b"".join(encode_line(line) for line in LINES)
            await send_whole(call.send, 200, block, content_type=NDJSON)

    async def _delete(self, call: Call) -> None:
        body = await call.read(ModelBody)
        if not await self._aliases.remove(body.named):
            try:
                await self._models.remove(self._resolve(body.named))
            except FoundryLocalError as error:
                raise ollama_error(error, body.named) from None
        await call.answer_empty()

    def _resolve(self, name: str) -> Model:
        try:
            return self._server.resolve(name)
        except FoundryLocalError as error:
            raise ollama_error(error, name) from None


async def _refuse_push(call: Call) -> None:
    raise NotSupported("Pushing models is not supported", "This service publishes no models.")
