"""Errors about keys: facts without HTTP, as in `errors/`."""

from __future__ import annotations

from foundrylocal.errors import FoundryLocalError, InvalidApiKey, sentence


class KeyExpired(InvalidApiKey):
    """The key is known, but its expiry date has passed."""

    def __init__(self, expired_at: str) -> None:
        super().__init__()
        self.message = "This API key has expired"
        self.details = f"It expired at {expired_at}. Ask the administrator of this service for a new key."


class KeyRevoked(InvalidApiKey):
    """The key was revoked while one of its requests was running."""

    def __init__(self) -> None:
        super().__init__()
        self.message = "This API key was revoked"
        self.details = "Ask the administrator of this service for a new key."


class ScopeNotAllowed(FoundryLocalError):
    """The key is valid, and its scope does not cover this call."""

    type, code = "permission_error", "scope_not_allowed"

    def __init__(self, scope: str, needed: str) -> None:
        super().__init__(
            "This key may not make this call",
            f"Its scope is '{scope}' and the call needs '{needed}'. POST /keys creates a key with another scope.",
        )


class ModelNotAllowed(FoundryLocalError):
    type, code = "permission_error", "model_not_allowed"

    def __init__(self, model_name: str) -> None:
        super().__init__(
            f"This key may not use model '{model_name}'",
            "GET /v1/models lists the models that it may use. Name one of them in 'model'.",
            param="model",
        )


class RateLimitExceeded(FoundryLocalError):
    """The key has used up its allowance; `limit` names the limit, such as `20 requests per minute`."""

    type, code = "rate_limit_error", "rate_limit_exceeded"

    def __init__(self, limit: str, retry_after_s: int) -> None:
        super().__init__(
            "This key has reached its limit",
            f"The limit is {limit}. Try again in {retry_after_s} s.",
        )
        self.retry_after_s = retry_after_s


class KeyNotFound(FoundryLocalError):
    type, code = "not_found_error", "key_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no key named '{name}'", "GET /keys lists the keys.")


class KeyExists(FoundryLocalError):
    type, code = "conflict_error", "key_exists"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is already a key named '{name}'", "Choose another name, or revoke that key first."
        )


class TooManyKeys(FoundryLocalError):
    type, code = "conflict_error", "too_many_keys"

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are already {limit} keys", "Revoke one that nobody uses, then try again.")


class KeysNotSaved(FoundryLocalError):
    """The file of the keys could not be written; `reason` is the operating system's error text."""

    def __init__(self, reason: str) -> None:
        super().__init__("The keys could not be saved", f"{sentence(reason)} Nothing has changed; try again.")
