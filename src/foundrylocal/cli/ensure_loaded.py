"""A model ready to answer: the server is running, and the model is loaded alongside the others.

Invariant: no model is unloaded to make room. What does not fit alongside the others is refused, with a next step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.failure import Failure, Refused
from foundrylocal.cli.operations import LOAD_TIMEOUT_S, fetch, find_model, start
from foundrylocal.cli.render import say
from foundrylocal.kit.sizes import format_bytes

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What an application needs to use a model; `is_ours` if this command started the server for it.

    `has_loaded` if it loaded the model into a server that ran already.
    """

    endpoint: str
    key: str
    model: str
    model_id: str
    is_ours: bool
    has_loaded: bool = False


def ensure_loaded(api: ManagementClient, model: str, gateway_port: int | None = None) -> RunningServer:
    """Make sure the model is loaded: start the server with it, or load it alongside the others. Raises Failure."""
    is_running = api.get("/status")["status"] == "running"
    details = find_model(api, model)
    if is_running and details and details["is_loaded"]:
        say(f"{details['simple_name']} is already loaded.")
        return _server(api, details)
    details = _on_disk(api, model, details, is_running=is_running)
    if is_running:
        _load_alongside(api, details)
        return _server(api, details, has_loaded=True)
    try:
        start(api, model, gateway_port)
    except Refused as refusal:
        if refusal.code == "port_in_use":
            refusal.next_step = "foundrylocal run --gateway-port 0"
        raise
    return _server(api, details, is_ours=True)


def ensure_served(api: ManagementClient, model: str) -> RunningServer:
    """A running server with any model: a request may name another one, which is then loaded alongside it.

    Starts the server with `model` when none is running. Raises Failure.
    """
    status = api.get("/status")
    if status["status"] != "running":
        return ensure_loaded(api, model)
    name = str(status.get("current_model"))
    return _server(api, {"simple_name": name, "model_id": status.get("loaded_model_id") or name})


def _on_disk(api: ManagementClient, model: str, details: Json | None, *, is_running: bool) -> Json:
    """Make sure the model is on disk; one that will not fit in memory is not downloaded."""
    if details is None:
        return _known(api, str(fetch(api, model).get("model_name", model)))
    if details["is_downloaded"]:
        return details
    if is_running:
        _require_room(api, details)
    else:
        _require_fit(api, details["simple_name"])
    fetch(api, details["simple_name"])
    return _known(api, details["simple_name"])


def _known(api: ManagementClient, model: str) -> Json:
    found: Json = api.get(model_path(model))
    return found


def _require_fit(api: ManagementClient, model: str) -> None:
    plan = api.post("/plan", {"model_name": model})
    if not plan["fits"]:
        refusal = plan["refusal"]
        why = refusal.get("reason") or refusal.get("details")
        raise Refused(507, str(refusal.get("code")), refusal["message"], why)


def _require_room(api: ManagementClient, details: Json) -> None:
    """Raise Failure if another model would have to be unloaded for this one."""
    memory = details["memory"]
    if memory is None or memory["fits_now"]:
        return
    others = _loaded(api)
    name, need = details["simple_name"], memory["total_formatted"]
    alongside = f" alongside {', '.join(others)}" if others else ""
    next_steps = [f"foundrylocal unload {others[-1]}"] if others else []
    raise Failure(
        f"There is not enough memory to load {name}{alongside}",
        f"It needs {'at least ' if memory['is_lower_bound'] else ''}{need} of memory, and "
        f"{format_bytes(memory['available_bytes'])} are free.",
        ", or ".join([*next_steps, f"foundrylocal plan {name}"]),
    )


def _loaded(api: ManagementClient) -> list[str]:
    return [str(one["simple_name"]) for one in api.get("/models/loaded")["models"]]


def _load_alongside(api: ManagementClient, details: Json) -> None:
    _require_room(api, details)
    name, others = details["simple_name"], _loaded(api)
    alongside = f" alongside {', '.join(others)}" if others else ""
    say(f"Loading {name}{alongside}...")
    say(str(api.post(model_path(name, "/load"), timeout_s=LOAD_TIMEOUT_S)["message"]))


def _server(
    api: ManagementClient, model: Json, *, is_ours: bool = False, has_loaded: bool = False
) -> RunningServer:
    health = api.get("/status").get("health") or {}
    endpoint, key = health.get("endpoint"), health.get("api_key")
    if not endpoint or not key:
        raise Failure("The server did not report its address and key", None, "foundrylocal status")
    return RunningServer(endpoint, key, model["simple_name"], model["model_id"], is_ours, has_loaded)
