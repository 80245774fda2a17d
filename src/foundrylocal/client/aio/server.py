"""The FoundryLocal server: start, switch, stop, status and plan."""

from __future__ import annotations

from foundrylocal.client.aio.operation import AsyncOperation
from foundrylocal.client.aio.resource import AsyncResource
from foundrylocal.client.call import Call, Options, given
from foundrylocal.client.gateway import GatewayAccess, access_of
from foundrylocal.client.timeouts import DOWNLOAD_TIMEOUT_S, UNLOAD_TIMEOUT_S
from foundrylocal.wire.plan import PlanAnswer
from foundrylocal.wire.server import DoneAnswer, StartAnswer, StatusAnswer


class AsyncServer(AsyncResource):
    """Calls about the server. `options` are those of a start: a mapping, or `wire.server.StartOptions`."""

    async def start(self, model: str, *, port: int | None = None, options: Options = None) -> StartAnswer:
        """Start the server with a model, download it first if necessary, and wait until it is ready."""
        body = given(model_name=model, port=port, options=options)
        return await self._send(Call("POST", "/start", StartAnswer, body, DOWNLOAD_TIMEOUT_S))

    def start_stream(
        self, model: str, *, port: int | None = None, options: Options = None
    ) -> AsyncOperation[StartAnswer]:
        """The same, with its progress."""
        body = given(model_name=model, port=port, options=options)
        return self._operate(Call("POST", "/start-stream", StartAnswer, body))

    async def switch(self, model: str, *, port: int | None = None, options: Options = None) -> StartAnswer:
        """Replace the server's model; the previous one keeps serving if the new one cannot be loaded."""
        body = given(model_name=model, port=port, options=options)
        return await self._send(Call("POST", "/switch-model", StartAnswer, body, DOWNLOAD_TIMEOUT_S))

    async def stop(self) -> DoneAnswer:
        """Stop the server, or cancel a start or switch in progress. The management API keeps running."""
        return await self._send(Call("POST", "/stop", DoneAnswer, timeout_s=UNLOAD_TIMEOUT_S))

    async def status(self) -> StatusAnswer:
        """What is running, with its address and key, and the last error."""
        return await self._send(Call("GET", "/status", StatusAnswer))

    async def plan(self, model: str, *, port: int | None = None, options: Options = None) -> PlanAnswer:
        """What a start would take and do; nothing is changed."""
        body = given(model_name=model, port=port, options=options)
        return await self._send(Call("POST", "/plan", PlanAnswer, body))

    async def gateway(self) -> GatewayAccess:
        """Address and key for the `openai` package. Raises ServerNotRunning."""
        return access_of(await self.status())
