"""What a key is: its name, the hash of its secret, and what it may do.

Invariant: a secret exists in the answer that creates it and nowhere else; everything here holds its hash.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from foundrylocal.keys.errors import ModelNotAllowed, ScopeNotAllowed

PUBLISHED_KEY_NAME = "default"
"""How the published key, which /start and /status return, is called in figures and in the record of requests."""
NO_KEY_NAME = "none"
"""The same for requests on a port that needs no key."""
RESERVED_NAMES = frozenset({PUBLISHED_KEY_NAME, NO_KEY_NAME, "management"})
_PREFIX = "fl-"
_SECRET_BYTES = 32


class KeyScope(Enum):
    """What kinds of calls a key may make."""

    INFERENCE = "inference"  # the gateway
    READ = "read"  # reading calls of the management API
    MANAGE = "manage"  # everything


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key; times are UTC seconds since the epoch. A limit that is None does not apply."""

    name: str
    secret_sha256: str
    created_at_s: float
    scope: KeyScope = KeyScope.INFERENCE
    models: tuple[str, ...] | None = None
    """Ids of the models that it may use; None means all."""
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None
    expires_at_s: float | None = None

    @property
    def has_limits(self) -> bool:
        return self.requests_per_minute is not None or self.tokens_per_day is not None

    def to_dict(self) -> dict[str, Any]:
        """The key as it is saved."""
        return {**asdict(self), "scope": self.scope.value}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> ApiKey:
        """The key that was saved. Raises TypeError, ValueError, KeyError for anything else."""
        fields = dict(saved)
        fields["scope"] = KeyScope(fields["scope"])
        if fields.get("models") is not None:
            fields["models"] = tuple(str(name) for name in fields["models"])
        key = cls(**fields)
        if not isinstance(key.name, str) or len(bytes.fromhex(key.secret_sha256)) != 32:
            raise ValueError("not a key")
        return key


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the name of its key, and the key if it is one with rules of its own.

    The published key and a port without keys have no rules: `key` is None, and everything is allowed.
    """

    name: str
    key: ApiKey | None = None

    def may_use(self, model_id: str) -> bool:
        """Whether the key may use that model."""
        return self.key is None or self.key.models is None or model_id in self.key.models

    @property
    def may_manage(self) -> bool:
        """Whether the key opens every call of the management API."""
        return self.key is not None and self.key.scope is KeyScope.MANAGE

    def check_model(self, model_id: str, model_name: str) -> None:
        """Raise ModelNotAllowed, which names the model as `model_name`, if the key may not use it."""
        if not self.may_use(model_id):
            raise ModelNotAllowed(model_name)

    def check_scope(self, needed: KeyScope) -> None:
        """Raise ScopeNotAllowed if the key may not make calls that need that scope."""
        if self.key is not None and self.key.scope not in (needed, KeyScope.MANAGE):
            raise ScopeNotAllowed(self.key.scope.value, needed.value)


PUBLISHED_CALLER = Caller(PUBLISHED_KEY_NAME)
KEYLESS_CALLER = Caller(NO_KEY_NAME)


def new_secret() -> str:
    """A new random secret of 256 bits."""
    return _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def hash_secret(secret: bytes) -> bytes:
    """What is kept of a secret.

    One round of SHA-256 is right here. Slow, salted hashes protect passwords, which people choose and others can
    guess. These secrets are 256 random bits: nobody can search them, and a slow hash would only slow each request.
    """
    return hashlib.sha256(secret).digest()
