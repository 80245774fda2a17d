"""Calls that ask no engine: what a handler gets of one, and a row for each path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from foundrylocal.errors import InvalidJson
from foundrylocal.gateway.dialects.refusals import refuse_invalid
from foundrylocal.keys.api_key import Caller
from foundrylocal.web.asgi import Receive, Scope, Send, send_whole
from foundrylocal.web.body import read_body

MAX_BODY_BYTES = 1024 * 1024
READ_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an endpoint, and who makes it."""

    scope: Scope
    receive: Receive
    send: Send
    caller: Caller

    async def read(self, shape: type[Any]) -> Any:
        """The body in its shape. Raises InvalidJson, InvalidRequest."""
        raw = await read_body(self.scope, self.receive, MAX_BODY_BYTES)
        try:
            return msgspec.json.decode(raw, type=shape)
        except msgspec.ValidationError as error:
            refuse_invalid(str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidJson(f"{error}.") from None

    async def answer(self, body: Any) -> None:
        await send_whole(self.send, 200, msgspec.json.encode(body))

    async def answer_empty(self) -> None:
        await send_whole(self.send, 200, b"")


Handler = Callable[[Call], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path; `is_change` needs the management key where one is set."""

    methods: tuple[str, ...]
    handler: Handler
    is_change: bool = False
