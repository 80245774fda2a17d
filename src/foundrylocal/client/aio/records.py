"""What the service keeps: presets, downloads, keys, requests and saved prompts."""

from __future__ import annotations

from typing import Any

from foundrylocal.client.addresses import model_path, quoted, with_query
from foundrylocal.client.aio.resource import AsyncResource
from foundrylocal.client.call import Call, given
from foundrylocal.wire.downloads import CancelAnswer, DownloadList, PauseAnswer
from foundrylocal.wire.keys import KeyCreated, KeyList, KeyRevoked
from foundrylocal.wire.presets import PresetAnswer, PresetChangeAnswer
from foundrylocal.wire.prompt_cache import PromptCacheCleared, PromptCacheList
from foundrylocal.wire.requests import RequestDetails, RequestEndedAnswer, RequestList


class AsyncPresets(AsyncResource):
    """Calls about the presets of models: what is saved for one model."""

    async def show(self, model: str) -> PresetAnswer:
        """What is saved for a model, what its next load and requests use, and where each value comes from."""
        return await self._send(Call("GET", model_path(model, "/preset"), PresetAnswer))

    async def save(self, model: str, *, dry_run: bool = False, **values: Any) -> PresetChangeAnswer:
        """Save values for a model, as in `save(model, temperature=0.2)`; None removes one."""
        body = values | ({"dry_run": True} if dry_run else {})
        return await self._send(Call("POST", model_path(model, "/preset"), PresetChangeAnswer, body))

    async def reset(self, model: str) -> PresetChangeAnswer:
        """Remove everything that is saved for a model."""
        return await self._send(Call("DELETE", model_path(model, "/preset"), PresetChangeAnswer))


class AsyncDownloads(AsyncResource):
    """Calls about downloads; `models.download` starts one."""

    async def list(self) -> DownloadList:
        """Running, queued and paused downloads, and those that ended lately."""
        return await self._send(Call("GET", "/downloads", DownloadList))

    async def pause(self, model: str) -> PauseAnswer:
        """Pause a download. Received bytes are kept, and it stays paused when the service is restarted."""
        return await self._send(Call("POST", f"/downloads/{quoted(model)}/pause", PauseAnswer))

    async def resume(self, model: str) -> PauseAnswer:
        """Continue a paused download where it stopped."""
        return await self._send(Call("POST", f"/downloads/{quoted(model)}/resume", PauseAnswer))

    async def cancel(self, model: str) -> CancelAnswer:
        """Cancel a running or paused download; received bytes are kept."""
        return await self._send(Call("DELETE", f"/downloads/{quoted(model)}", CancelAnswer))


class AsyncKeys(AsyncResource):
    """Calls about the keys of the gateway, besides the published one."""

    async def list(self) -> KeyList:
        """The keys with their rules and what they have used, never the keys themselves."""
        return await self._send(Call("GET", "/keys", KeyList))

    async def add(self, name: str, **rules: Any) -> KeyCreated:
        """Create a key. Only this answer ever holds the key. `rules` are the other fields of `wire.keys.KeyBody`."""
        return await self._send(Call("POST", "/keys", KeyCreated, given(name=name, **rules)))

    async def remove(self, name: str) -> KeyRevoked:
        """Revoke a key; its running requests end."""
        return await self._send(Call("DELETE", f"/keys/{quoted(name)}", KeyRevoked))


class AsyncRequests(AsyncResource):
    """Calls about the requests that the gateway answers and has answered."""

    async def list(
        self,
        *,
        limit: int | None = None,
        model: str | None = None,
        key: str | None = None,
        status: str | None = None,
    ) -> RequestList:
        """Running and recent requests with their figures, newest first; never their content."""
        query = {"limit": limit, "model": model, "key": key, "status": status}
        return await self._send(Call("GET", with_query("/requests", query), RequestList))

    async def show(self, request_id: str) -> RequestDetails:
        """One request; with its bodies if the setting capture_requests keeps them."""
        return await self._send(Call("GET", f"/requests/{quoted(request_id)}", RequestDetails))

    async def end(self, request_id: str) -> RequestEndedAnswer:
        """End a running request; its client gets an error."""
        return await self._send(Call("DELETE", f"/requests/{quoted(request_id)}", RequestEndedAnswer))


class AsyncPromptCache(AsyncResource):
    """Calls about the saved prompts of models that are not loaded."""

    async def list(self) -> PromptCacheList:
        """The saved prompts by model; a prompt itself is never shown."""
        return await self._send(Call("GET", "/prompt-cache", PromptCacheList))

    async def clear(self, model: str | None = None) -> PromptCacheCleared:
        """Remove the saved prompts of one model, or of all."""
        path = "/prompt-cache" if model is None else f"/prompt-cache/{quoted(model)}"
        return await self._send(Call("DELETE", path, PromptCacheCleared))
