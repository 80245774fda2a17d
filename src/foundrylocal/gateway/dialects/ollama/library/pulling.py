"""The answer to /api/pull: the download's progress as lines, or one object at its end."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import msgspec

from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.imports.importer import Importer
from foundrylocal.downloads.manager import Downloaded, DownloadManager
from foundrylocal.errors import FoundryLocalError, InternalError, ModelNotFound
from foundrylocal.events import Failed, Progress
from foundrylocal.gateway.dialects.ollama.errors import error_text, ollama_error
from foundrylocal.gateway.dialects.ollama.library.aliases import NO_PRESET, Aliases
from foundrylocal.gateway.dialects.ollama.library.pull import BEGINNING, ENDING, PullLines
from foundrylocal.gateway.dialects.ollama.library.shapes import PullBody
from foundrylocal.gateway.dialects.ollama.stream import NDJSON, encode_line
from foundrylocal.kit.operation import Operation
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import Header, Scope, Send, send_whole
from foundrylocal.web.peer import PEER_EXTENSION, Peer

_HUB_PREFIXES = ("hf.co/", "huggingface.co/")
_STREAM_HEADERS: list[Header] = [(b"content-type", NDJSON), (b"cache-control", b"no-cache")]


class Pulling:
    """Downloads models for Ollama's clients; the download manager owns the downloads."""

    def __init__(
        self,
        resolve: Callable[[str], Model],
        downloads: DownloadManager,
        importer: Importer,
        settings: SettingsStore,
        aliases: Aliases,
    ) -> None:
        self._resolve = resolve
        self._downloads = downloads
        self._importer = importer
        self._settings = settings
        self._aliases = aliases

    async def answer(self, body: PullBody, scope: Scope, send: Send) -> None:
        """Download the model and answer. Raises the errors that are known before the download begins."""
        peer: Peer = scope["extensions"][PEER_EXTENSION]["peer"]
        model = await self._find(body.named)
        download = self._downloads.fetch(model)
        with anyio.CancelScope() as while_there, peer.on_disconnect(while_there.cancel):
            if body.stream is False:
                await download.result()
                await send_whole(send, 200, msgspec.json.encode(ENDING[-1]))
                return
            await download.begun()
            await self._send_progress(model, download, send)
            return
        with anyio.CancelScope(shield=True):
            await self._downloads.withdraw(download)

    async def _find(self, name: str) -> Model:
        """The model of that name; one of the hub, `hf.co/OWNER/REPO:Q4_K_M`, joins the registry with it."""
        try:
            return self._resolve(name)
        except ModelNotFound as error:
            if not name.lower().startswith(_HUB_PREFIXES):
                raise ollama_error(error, name) from None
        reference = name.partition("/")[2]
        allowed = self._settings.current.hub_allowed_hosts
        model = await self._importer.from_hub(reference.removesuffix(":latest"), allowed_hosts=allowed)
        await self._aliases.add(name, model, NO_PRESET, param="model")
        return model

    async def _send_progress(self, model: Model, download: Operation[Downloaded], send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        await _send_part(send, encode_line(BEGINNING))
        lines = PullLines(model)
        with download.watch() as events:
            async for event in events:
                if isinstance(event, Progress):
                    if block := b"".join(encode_line(line) for line in lines.lines(event)):
                        await _send_part(send, block)
                elif isinstance(event, Failed):
                    error = event.error if isinstance(event.error, FoundryLocalError) else InternalError()
                    await _send_part(send, encode_line({"error": error_text(error)}))
                else:
                    await _send_part(send, b"".join(encode_line(line) for line in ENDING))
        await send({"type": "http.response.body", "body": b""})


async def _send_part(send: Send, block: bytes) -> None:
    await send({"type": "http.response.body", "body": block, "more_body": True})
