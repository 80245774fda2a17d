"""Where things are: the base path, how a model is named in a path, and which methods a path has."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import compile_path

BASE_PATH = "/iblink/v1/foundry-local"


class _ModelName(Convertor[str]):
    """A model's name in a path, its slash plain or as %2F; never one of the fixed names beside it."""

    regex = (
        r"(?!(?:downloaded|loaded|unload-all|import|importable|search)$)"
        r"(?:(?!/(?:download|download-stream|load|unload|verify)$).)+"
    )

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


# Starlette keeps convertors by name in one table; a route says `{model_name:model}`.
register_url_convertor("model", _ModelName())


def has_head(path: str) -> bool:
    """Whether HEAD answers where GET does: everywhere but for streams, which have no end to wait for."""
    return not path.endswith(("/stream", "/events"))


class MethodTable:
    """The methods of each path, all routes taken together: the framework's own answer knows only the first."""

    def __init__(self, routers: Iterable[tuple[str, APIRouter]]) -> None:
        self._rows: list[tuple[re.Pattern[str], set[str]]] = [
            (compile_path(prefix + route.path)[0], set(route.methods or ()))
            for prefix, router in routers
            for route in router.routes
            if isinstance(route, APIRoute)
        ]

    def allowed(self, path: str) -> list[str]:
        """What may be called there, sorted; nothing where there is no such path."""
        found = {method for pattern, methods in self._rows if pattern.match(path) for method in methods}
        return sorted(found | ({"HEAD"} if "GET" in found and has_head(path) else set()))
