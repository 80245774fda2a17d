"""Replaces keys and tokens in log lines before they are recorded anywhere."""

from __future__ import annotations

import re

_SECRETS = re.compile(
    r"(?P<key>\b(?:fl|hf|sk)[-_][A-Za-z0-9_\-]{12,})"
    r"|(?P<bearer>\b(?:Bearer|Basic)\s+)[^\s\"',;]+"
    r"|(?P<login>://)[^/\s:@]+:[^/\s@]+@",
    re.IGNORECASE,
)


def _replace(found: re.Match[str]) -> str:
    return f"{found.group('bearer') or found.group('login') or ''}[redacted]" + (
        "@" if found.group("login") else ""
    )


class Redaction:
    """Replaces text that looks like a secret, and the exact secrets it was given."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()

    def add(self, secret: str | None) -> None:
        if secret:
            self._known = self._known | {secret}  # a new set: other threads may be reading the old one

    def clean(self, text: str) -> str:
        for secret in self._known:
            text = text.replace(secret, "[redacted]")
        return _SECRETS.sub(_replace, text)
