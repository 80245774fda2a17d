"""The keys of this service: who calls, what each key may still use, and the changes to them.

Invariant: the list of keys in memory is the one on disk; a change is saved before it holds. What keys have used is
saved every few seconds while it changes and when the service ends, never within a request.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread

from foundrylocal.keys.api_key import RESERVED_NAMES, ApiKey, Caller, hash_secret, new_secret
from foundrylocal.keys.errors import KeyExists, KeyExpired, KeyNotFound, KeyRevoked, KeysNotSaved, TooManyKeys
from foundrylocal.keys.key_file import KeyFile
from foundrylocal.keys.usage import KeyUsage
from foundrylocal.keys.usage_file import UsageFile
from foundrylocal.kit.clock import format_time, now_s
from foundrylocal.kit.wake import Wake

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

MAX_KEYS = 200
SAVE_PERIOD_S = 2.0
LAST_USED_PRECISION_S = 60.0
Clock = Callable[[], float]


class Keyring:
    """Owner of the keys and of what they have used; `clock` is monotonic, `utc_clock` is UTC."""

    def __init__(self, state_dir: Path, *, clock: Clock = monotonic, utc_clock: Clock = now_s) -> None:
        self._file = KeyFile(state_dir)
        self._usage_file = UsageFile(state_dir)
        self._clock = clock
        self._utc_clock = utc_clock
        self._keys = {key.name: key for key in self._file.load()}
        self._digests = _digests(self._keys)
        self._usage = self._load_usage()
        self._unsaved = Wake()
        self._is_usage_unsaved = False
        self._changes = anyio.Lock()
        self._on_removed: list[Callable[[str], object]] = []

    # --- requests ---------------------------------------------------------------------------------------

    def identify(self, secret: bytes | None) -> Caller | None:
        """The caller with that secret; None when no key has it. Raises KeyExpired."""
        if secret is None or not self._digests:
            return None
        digest = hash_secret(secret)
        found: ApiKey | None = None
        # Compare with all of them, each in constant time: the response time must reveal nothing about a key.
        for expected, key in self._digests:
            if hmac.compare_digest(digest, expected):
                found = key
        if found is None:
            return None
        utc_s = self._utc_clock()
        if found.expires_at_s is not None and found.expires_at_s <= utc_s:
            raise KeyExpired(format_time(found.expires_at_s))
        self._note_use(found.name, utc_s)
        return Caller(found.name, found)

    def admit(self, caller: Caller) -> None:
        """Count a request. Raises RateLimitExceeded when its key is out of its limits, KeyRevoked."""
        if caller.key is not None:
            self._check_current(caller)
            self._usage_of(caller.name).admit(caller.key, self._clock(), self._utc_clock())
            self._note_unsaved()

    def check_tokens(self, caller: Caller) -> None:
        """Raise RateLimitExceeded when the day's tokens of its key are used up, which may happen while it waits."""
        if caller.key is not None:
            self._check_current(caller)
            self._usage_of(caller.name).check_tokens(caller.key, self._utc_clock())

    def add_tokens(self, caller: Caller, tokens: int) -> None:
        """Count the tokens of a request that has ended, those from the prompt cache too."""
        if caller.key is not None and tokens and self._keys.get(caller.name) is caller.key:
            self._usage_of(caller.name).add_tokens(tokens, self._utc_clock())
            self._note_unsaved()

    def _check_current(self, caller: Caller) -> None:
        """Raise KeyRevoked if the key was revoked since it was identified; another may have its name by now."""
        if self._keys.get(caller.name) is not caller.key:
            raise KeyRevoked

    def _note_use(self, name: str, utc_s: float) -> None:
        usage = self._usage_of(name)
        # For people, so a minute is exact enough; a key that is used all the time costs no write each time.
        if usage.last_used_at_s is None or abs(utc_s - usage.last_used_at_s) >= LAST_USED_PRECISION_S:
            usage.last_used_at_s = utc_s
            self._note_unsaved()

    # --- management -------------------------------------------------------------------------------------

    def all(self) -> list[ApiKey]:
        """All keys, in the order of their creation."""
        return list(self._keys.values())

    def has(self, name: str) -> bool:
        """Whether requests may still come under that name."""
        return name in self._keys or name in RESERVED_NAMES

    def used(self, name: str) -> tuple[int, int, float | None]:
        """What a key has used: requests of the last minute, tokens of the day, and when it was last used."""
        usage = self._usage.get(name) or KeyUsage()
        now_s = self._utc_clock()
        return usage.requests_last_minute(self._clock()), usage.tokens_today(now_s), usage.last_used_at_s

    async def add(self, draft: ApiKey) -> tuple[ApiKey, str]:
        """Create a key with the name and the rules of `draft`; returns it with its secret, the only copy of it.

        Raises KeyExists, TooManyKeys, KeysNotSaved.
        """
        secret = new_secret()
        digest = hash_secret(secret.encode()).hex()
        key = replace(draft, secret_sha256=digest, created_at_s=self._utc_clock())
        async with self._changes:
            if key.name in self._keys:
                raise KeyExists(key.name)
            if len(self._keys) >= MAX_KEYS:
                raise TooManyKeys(MAX_KEYS)
            await self._replace({**self._keys, key.name: key})
        log.info("Key '%s' was created with scope %s", key.name, key.scope.value)
        return key, secret

    async def remove(self, name: str) -> None:
        """Revoke a key: from now on it is refused, and what it runs ends. Raises KeyNotFound, KeysNotSaved."""
        async with self._changes:
            if name not in self._keys:
                raise KeyNotFound(name[:200])
            await self._replace({other: key for other, key in self._keys.items() if other != name})
            self._usage.pop(name, None)
            self._note_unsaved()
        log.info("Key '%s' was revoked", name)
        for listener in self._on_removed:
            listener(name)

    def on_removed(self, listener: Callable[[str], object]) -> None:
        """Call `listener` with the name of each key that is revoked."""
        self._on_removed.append(listener)

    async def _replace(self, keys: dict[str, ApiKey]) -> None:
        try:
            # A caller that leaves must not separate what is saved from what holds.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._file.save, list(keys.values()))
        except OSError as error:
            raise KeysNotSaved(error.strerror or str(error)) from None
        self._keys = keys
        self._digests = _digests(keys)

    # --- what was used ----------------------------------------------------------------------------------

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Save what keys have used from time to time and at the end, until cancelled."""
        task_status.started()
        try:
            while True:
                await self._unsaved.wait()
                await anyio.sleep(SAVE_PERIOD_S)
                if self._is_usage_unsaved:
                    await self._save_usage()
        finally:
            if self._is_usage_unsaved:
                with anyio.CancelScope(shield=True):
                    await self._save_usage()

    def _note_unsaved(self) -> None:
        self._is_usage_unsaved = True
        self._unsaved.set()

    async def _save_usage(self) -> None:
        self._is_usage_unsaved = False
        await anyio.to_thread.run_sync(self._usage_file.save, self._usage_to_save())

    def _usage_to_save(self) -> dict[str, Any]:
        now, utc_s = self._clock(), self._utc_clock()
        return {name: usage.to_dict(now, utc_s) for name, usage in self._usage.items()}

    def _load_usage(self) -> dict[str, KeyUsage]:
        now, utc_s = self._clock(), self._utc_clock()
        found: dict[str, KeyUsage] = {}
        for name, saved in self._usage_file.load().items():
            if name in self._keys:
                try:
                    found[name] = KeyUsage.from_dict(saved, now, utc_s)
                except (TypeError, ValueError, KeyError):
                    log.warning("The usage of key '%s' could not be read; counting starts at zero", name)
        return found

    def _usage_of(self, name: str) -> KeyUsage:
        return self._usage.setdefault(name, KeyUsage())


def _digests(keys: dict[str, ApiKey]) -> list[tuple[bytes, ApiKey]]:
    return [(bytes.fromhex(key.secret_sha256), key) for key in keys.values()]
