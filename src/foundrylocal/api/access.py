"""Who may call the management API: the management key, and keys with the scope `read` or `manage`.

Invariant: without the setting management_key every caller may manage, and the service listens on this machine only
(`settings/exposure.py`). A revoked key ends its streams on this port too.
"""

from __future__ import annotations

import logging
from collections import defaultdict

import anyio
from fastapi import Request

from foundrylocal.api.paths import BASE_PATH
from foundrylocal.api.routes import pages
from foundrylocal.errors import FoundryLocalError, InvalidManagementKey
from foundrylocal.keys.api_key import Caller, KeyScope
from foundrylocal.keys.keyring import Keyring
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import App, Receive, Scope, Send
from foundrylocal.web.errors import send_error
from foundrylocal.web.keys import has_key, key_of

log = logging.getLogger("foundrylocal.API")

_OPEN = frozenset(prefix + path for prefix in ("", BASE_PATH) for path in pages.OPEN_PATHS)
_OPEN_PREFIXES = (pages.OPEN_PREFIX, BASE_PATH + pages.OPEN_PREFIX)
_READ_METHODS = ("GET", "HEAD")
_MAY_MANAGE = "foundrylocal.may_manage"


def may_manage(request: Request) -> bool:
    """Whether the caller may do everything; one with a key of scope `read` must not see secrets."""
    return bool(request.scope.get(_MAY_MANAGE))


class ManagementAccess:
    """ASGI middleware; the setting is read on each call, so changes apply at once."""

    def __init__(self, app: App, settings: SettingsStore, keyring: Keyring) -> None:
        self._app = app
        self._settings = settings
        self._keyring = keyring
        self._calls: defaultdict[str, set[anyio.CancelScope]] = defaultdict(set)
        keyring.on_removed(self._end_calls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        log.debug("Processing request: %s %s", scope["method"], scope["path"])
        try:
            caller = self._identify(scope)
        except FoundryLocalError as error:
            await send_error(send, error)
            return
        scope[_MAY_MANAGE] = caller is None or caller.may_manage
        if caller is None:
            await self._app(scope, receive, send)
            return
        with anyio.CancelScope() as call:
            self._calls[caller.name].add(call)
            try:
                await self._app(scope, receive, send)
            finally:
                self._calls[caller.name].discard(call)

    def _identify(self, scope: Scope) -> Caller | None:
        """The caller if it has a key of the keyring; None for one that needs none or has the management key."""
        key = self._settings.current.management_key
        is_open = scope["path"] in _OPEN or scope["path"].startswith(_OPEN_PREFIXES)
        if key is None or is_open or has_key(scope, key):
            return None
        caller = self._keyring.identify(key_of(scope))
        if caller is None:
            raise InvalidManagementKey
        caller.check_scope(KeyScope.READ if scope["method"] in _READ_METHODS else KeyScope.MANAGE)
        return caller

    def _end_calls(self, name: str) -> None:
        for call in self._calls.pop(name, ()):
            call.cancel()
