"""The service itself: health, settings, logs, events, the machine and its engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from foundrylocal.client.addresses import with_query
from foundrylocal.client.aio.resource import AsyncResource
from foundrylocal.client.call import Call, read_as
from foundrylocal.client.change import read_change
from foundrylocal.client.timeouts import DOCTOR_TIMEOUT_S
from foundrylocal.wire.cluster import ClusterAnswer
from foundrylocal.wire.config import SettingsAnswer
from foundrylocal.wire.doctor import DoctorAnswer
from foundrylocal.wire.engines import EnginesAnswer
from foundrylocal.wire.events import Change
from foundrylocal.wire.machine import Machine
from foundrylocal.wire.markdown import MarkdownAnswer
from foundrylocal.wire.models import OpenAIModelList
from foundrylocal.wire.server import HealthAnswer, InfoAnswer, LogLine


class AsyncService(AsyncResource):
    """Calls about the service."""

    async def health(self) -> HealthAnswer:
        """Whether the service, and the server if it should run, answer."""
        return await self._send(Call("GET", "/health", HealthAnswer))

    async def info(self) -> InfoAnswer:
        """Version, capabilities and configuration of the service."""
        return await self._send(Call("GET", "/info", InfoAnswer))

    async def settings(self) -> SettingsAnswer:
        """Every setting."""
        return await self.update_settings()

    async def update_settings(self, **changes: Any) -> SettingsAnswer:
        """Change settings, as in `update_settings(port=1235)`; `defaults=True` resets all others."""
        return await self._send(Call("POST", "/config", SettingsAnswer, changes))

    async def logs(
        self, *, count: int | None = None, level: str | None = None, source: str | None = None
    ) -> list[LogLine]:
        """Recent log entries, oldest first; 100 unless `count` says otherwise."""
        path = with_query("/logs", {"count": count, "level": level, "source": source})
        return await self._send(Call("GET", path, list[LogLine]))

    async def follow_logs(self, *, tail: int = 0) -> AsyncIterator[LogLine]:
        """Log entries as they are written, after the last `tail` ones; it ends when the service does."""
        call = Call("GET", with_query("/logs/stream", {"tail": tail}), LogLine)
        async with aclosing(self._watch(call)) as texts:
            async for text in texts:
                yield read_as(LogLine, text, self._transport.url)

    async def events(self) -> AsyncIterator[Change]:
        """The state of everything, then each change: server, downloads, models, requests, memory, disk."""
        async with aclosing(self._watch(Call("GET", "/events", dict[str, Any]))) as texts:
            async for text in texts:
                change = read_change(text, self._transport.url)
                if change is not None:
                    yield change

    async def machine(self) -> Machine:
        """Memory, GPUs and disk, and what each loaded model uses."""
        return await self._send(Call("GET", "/machine", Machine))

    async def engines(self) -> EnginesAnswer:
        """The engines of this machine and their devices."""
        return await self._send(Call("GET", "/engines", EnginesAnswer))

    async def cluster(self) -> ClusterAnswer:
        """The machines that run models, with their memory and versions, and the replicas on them."""
        return await self._send(Call("GET", "/cluster", ClusterAnswer))

    async def doctor(self) -> DoctorAnswer:
        """Check the machine; each problem comes with what to do about it."""
        return await self._send(Call("GET", "/doctor", DoctorAnswer, timeout_s=DOCTOR_TIMEOUT_S))

    async def metrics(self) -> str:
        """Figures in the text format of Prometheus."""
        return await self._send(Call("GET", "/metrics", str))

    async def openai_models(self) -> OpenAIModelList:
        """The downloaded models as OpenAI's API lists them."""
        return await self._send(Call("GET", "//v1/models", OpenAIModelList))

    async def markdown(self, text: str) -> MarkdownAnswer:
        """Markdown as a tree of harmless elements, as the dashboard shows it."""
        return await self._send(Call("POST", "/markdown", MarkdownAnswer, {"text": text}))
