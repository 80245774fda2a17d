"""Who calls the gateway, and what a caller may do there: keys, and Ollama's port, which asks for none.

Invariant: a call that changes the models on disk needs what the same call of the management API needs.
"""

from __future__ import annotations

from foundrylocal.errors import InvalidApiKey, InvalidManagementKey
from foundrylocal.gateway.ollama_port import is_on_ollama_port
from foundrylocal.keys.api_key import KEYLESS_CALLER, PUBLISHED_CALLER, Caller, KeyScope
from foundrylocal.keys.keyring import Keyring
from foundrylocal.server.server import Server
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import Scope
from foundrylocal.web.keys import has_key, key_of


class Access:
    """Tells callers apart; the keyring and the settings own what it decides by."""

    def __init__(self, server: Server, settings: SettingsStore, keyring: Keyring) -> None:
        self._server = server
        self._settings = settings
        self._keyring = keyring

    def identify(self, scope: Scope, *, is_change: bool = False) -> Caller:
        """Who calls. Raises InvalidApiKey, KeyExpired, ScopeNotAllowed."""
        if is_change:
            return self._identify_manager(scope)
        caller = self._by_key(scope)
        if caller is None:
            raise InvalidApiKey
        caller.check_scope(KeyScope.INFERENCE)
        return caller

    def _identify_manager(self, scope: Scope) -> Caller:
        management_key = self._settings.current.management_key
        if management_key is not None and has_key(scope, management_key):
            return KEYLESS_CALLER
        caller = self._by_key(scope)
        if caller is None:
            raise InvalidApiKey
        caller.check_scope(KeyScope.MANAGE)
        if management_key is not None and not caller.may_manage:
            raise InvalidManagementKey
        return caller

    def _by_key(self, scope: Scope) -> Caller | None:
        """The caller by its key. On Ollama's port none is needed, and one that is sent counts if it is known."""
        if has_key(scope, self._server.api_key):
            return PUBLISHED_CALLER
        given = key_of(scope)
        caller = self._keyring.identify(given) if given else None
        return KEYLESS_CALLER if caller is None and is_on_ollama_port(scope) else caller
