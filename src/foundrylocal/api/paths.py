"""Paths: the base path, how a path names a model, and which methods a path allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import compile_path

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import EndpointNotFound, MethodNotAllowed, ModelNotFound

BASE_PATH = "/iblink/v1/foundry-local"

# The end of a route that takes any name, so it may match another route's path too.
ANY_NAME = "/{model_name:path}"


class _ModelName(Convertor[str]):
    """A model's name before an action; its slash may be plain or %2F."""

    regex = (
        r"(?:(?!/(?:download|download-stream|load|unload|preset|verify|pause|resume|tune|tune-stream)$).)+"
    )

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


# Starlette keeps convertors by name in one global table; a route says `{model_name:model}`.
register_url_convertor("model", _ModelName())


def has_head(path: str) -> bool:
    """Whether HEAD is allowed where GET is: everywhere except on streams, which never end."""
    return not path.endswith(("/stream", "/events"))


class MethodTable:
    """The methods of each path over all routes; the framework's own answer knows only the first match."""

    def __init__(self, routers: Iterable[tuple[str, APIRouter]]) -> None:
        self._rows: list[tuple[str, re.Pattern[str], set[str]]] = [
            (route.path, compile_path(prefix + route.path)[0], set(route.methods or ()))
            for prefix, router in routers
            for route in router.routes
            if isinstance(route, APIRoute)
        ]

    def allowed(self, path: str) -> list[str]:
        """The methods allowed there, sorted; empty when no route has that path.

        The routes that take any name count only where no other route matches.
        """
        matches = [(route, methods) for route, pattern, methods in self._rows if pattern.match(path)]
        found = {method for route, methods in matches if not route.endswith(ANY_NAME) for method in methods}
        found = found or {method for _, methods in matches for method in methods}
        return sorted(found | ({"HEAD"} if "GET" in found and has_head(path) else set()))


def model_at_path(request: Request, name: str, resolve: Callable[[str], Model]) -> Model:
    """The model named by a path that may also be another route's path.

    Raises ModelNotFound, or MethodNotAllowed when it is such a path and no model has that name.
    """
    try:
        return resolve(name)
    except ModelNotFound:
        path = request.url.path
        if not name:
            raise EndpointNotFound(request.method, path) from None
        methods: MethodTable = request.app.state.methods
        allowed = methods.allowed(path)
        if request.method not in allowed:
            raise MethodNotAllowed(request.method, path[:200], allowed) from None
        raise
