"""Endpoints whose answers the engine gives in their published form: embeddings, rerank, infill, tokens, templates."""

from __future__ import annotations

from collections.abc import Callable

from foundrylocal.gateway.dialects.base import B, Dialect


class Plain(Dialect[B]):
    """One of them; `check` refuses what the types let pass."""

    def __init__(self, path: str, shape: type[B], check: Callable[[B], None] | None = None) -> None:
        super().__init__(path, shape)
        self._check = check

    def check(self, body: B) -> None:
        if self._check is not None:
            self._check(body)
