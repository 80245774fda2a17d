"""The table of routes: none needs a thread to be called, and no model is hidden by another route's path."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import iscoroutinefunction

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from foundrylocal.api.app import ROUTERS
from foundrylocal.api.paths import BASE_PATH, MethodTable

ROUTES = [route for _, router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{min(route.methods)} {route.path}")
def test_row_30_a_route_and_its_dependencies_need_no_thread(route: APIRoute) -> None:
    calls = list(_calls(route.dependant))
    assert calls
    assert [call for call in calls if not iscoroutinefunction(call)] == []


FIXED = sorted({part for route in ROUTES for part in route.path.split("/") if part and "{" not in part})


@pytest.mark.parametrize("name", [*FIXED, *(f"local/{name}" for name in FIXED)])
def test_a_model_named_like_a_route_can_be_shown_and_deleted(name: str) -> None:
    path = f"{BASE_PATH}/models/{name}"
    shown = {
        route.endpoint.__name__
        for method, route in ((method, route) for route in ROUTES for method in route.methods)
        if method == "DELETE" and route.path_regex.match(f"/models/{name}")
    }
    # A preset's path may be a model's too: its route asks which of the two names a model.
    assert shown - ({"reset_preset"} if name.endswith("/preset") else set()) == {"delete"}
    assert MethodTable(ROUTERS).allowed(path)
