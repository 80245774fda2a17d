"""Operations of the service, followed until they end.

Invariant: the last event of the stream decides the outcome, and Ctrl-C cancels what this command started.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from foundrylocal.cli.client import ManagementClient, error_of, model_path
from foundrylocal.cli.failure import Failure, Refused
from foundrylocal.cli.render import OperationView, say

Json = dict[str, Any]

# A plain switch answers when it is done: draining (30 s), then loading (180 s); the download comes before it.
SWITCH_TIMEOUT_S = 300.0
# An import from the hub answers when the download is complete.
IMPORT_TIMEOUT_S = 86_400.0
SHOWN_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What an application needs to use the FoundryLocal server; `is_ours` if this command started it."""

    endpoint: str
    key: str
    model: str
    model_id: str
    is_ours: bool


def follow(api: ManagementClient, path: str, body: object, cancel: Callable[[], object]) -> Json:
    """Run an operation, show its progress and return the data of its success. Raises Failure."""
    try:
        with OperationView() as view, contextlib.closing(api.operate(path, body)) as events:
            for event in events:
                if event.get("type") == "error":
                    raise error_of(event, 500)
                view.show(event)
                if event.get("type") == "success":
                    data = event.get("data")
                    return data if isinstance(data, dict) else {}
    except KeyboardInterrupt:
        with contextlib.suppress(Failure):
            cancel()
        raise
    raise Failure(
        "The service disconnected before the operation ended",
        None,
        "foundrylocal status, then run the same command again",
    )


def download(api: ManagementClient, model: str) -> Json:
    """Download a model. After Ctrl-C the service keeps the partial download if its source can resume."""

    def cancel() -> None:
        api.delete(f"/downloads/{model_path(model).removeprefix('/models/')}")

    return follow(api, model_path(model, "/download-stream"), None, cancel)


def import_from_hub(api: ManagementClient, body: Json) -> Json:
    """Make a repository on the hub a model and download it, with its progress shown. Raises Failure.

    The call answers when it is done, so the list of downloads says meanwhile how far it is.
    """
    with ThreadPoolExecutor(1) as beside, OperationView() as view:
        answer = beside.submit(api.post, "/models/import", body, timeout_s=IMPORT_TIMEOUT_S)
        model = ""
        try:
            while not wait([answer], SHOWN_EVERY_S).done:
                for download in api.get("/downloads")["downloads"]:
                    if download["model_id"].partition(":")[0].lower().startswith(body["repo"].lower()):
                        model = download["model_id"]
                        view.show(_progress_of(download))
        except KeyboardInterrupt:
            with contextlib.suppress(Failure):
                if model:
                    api.delete(f"/downloads/{model_path(model).removeprefix('/models/')}")
            raise
    imported: Json = answer.result()
    return imported


def _progress_of(download: Json) -> Json:
    measure = download["progress"] or {}
    done = f": {measure['percent']:.0f} %" if measure.get("percent") is not None else ""
    return {
        "message": f"{download['state'].capitalize()} {download['model_name']}{done}",
        "progress": measure,
    }


def start(api: ManagementClient, model: str, port: int | None = None) -> Json:
    """Start the server with a model; Ctrl-C cancels the start."""
    body: Json = {"model_name": model}
    if port is not None:
        body["port"] = port
    return follow(api, "/start-stream", body, lambda: api.post("/stop"))


def switch(api: ManagementClient, model: str) -> Json:
    """Switch the running server to another model; download it first, with its progress shown."""
    if not _is_on_disk(find_model(api, model)):
        download(api, model)
    say(f"Switching to {model}...")
    answer: Json = api.post("/switch-model", {"model_name": model}, timeout_s=SWITCH_TIMEOUT_S)
    say(str(answer.get("message", "")))
    return answer


def ensure_running(api: ManagementClient, model: str, port: int | None) -> RunningServer:
    """Make sure that the server runs with this model: start it or switch it if necessary. Raises Failure."""
    status = api.get("/status")
    entry = find_model(api, model)
    is_running = status.get("status") == "running"
    if is_running and entry and status.get("current_model") == entry["simple_name"]:
        say(f"The server is already running with {entry['simple_name']}.")
        return _server(api, {}, is_ours=False)
    if not _is_on_disk(entry):
        download(api, model)
    if is_running:
        say(f"The server is running with {status.get('current_model')}.")
        return _server(api, switch(api, model), is_ours=False)
    try:
        return _server(api, start(api, model, port), is_ours=True)
    except Refused as refusal:
        if refusal.code == "port_in_use":
            refusal.next_step = "foundrylocal run --server-port 0"
        raise


def ensure_served(api: ManagementClient, model: str) -> RunningServer:
    """A running server, whatever its own model is: a request may name another one, which is loaded beside it.

    Starts the server with `model` when none is running. Raises Failure.
    """
    if api.get("/status").get("status") == "running":
        return _server(api, {}, is_ours=False)
    return ensure_running(api, model, None)


def find_model(api: ManagementClient, name: str) -> Json | None:
    """The registry's entry for a simple name or an id; None if there is none."""
    wanted = name.lower()
    for entry in api.get("/models").get("models", []):
        if wanted in (entry["simple_name"].lower(), entry["model_id"].lower()):
            found: Json = entry
            return found
    return None


def _is_on_disk(entry: Json | None) -> bool:
    return bool(entry and entry.get("is_downloaded"))


def _server(api: ManagementClient, answer: Json, *, is_ours: bool) -> RunningServer:
    """Take the address and key from the answer of a start, or from the status if they are missing."""
    status = {} if answer.get("api_key") else api.get("/status")
    health = status.get("health") or {}
    model = answer.get("model") or status.get("current_model")
    endpoint, key = (
        answer.get("endpoint") or health.get("endpoint"),
        answer.get("api_key") or health.get("api_key"),
    )
    if not endpoint or not key or not model:
        raise Failure("The server did not report its address", None, "foundrylocal status")
    model_id = answer.get("loaded_model_id") or status.get("loaded_model_id") or model
    return RunningServer(endpoint, key, model, model_id, is_ours)
