"""Operations of the service, followed until they end.

Invariant: the last event of the stream decides the outcome, and Ctrl-C cancels what this command started.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from foundrylocal.cli.client import ManagementClient, error_of, model_path
from foundrylocal.cli.failure import Failure, Refused
from foundrylocal.cli.render import OperationView, say

Json = dict[str, Any]

# A plain switch answers when it is done: draining (30 s), then loading (180 s); the download comes before it.
SWITCH_TIMEOUT_S = 300.0
# An import from the hub answers when the download is complete.
IMPORT_TIMEOUT_S = 86_400.0
# Loading answers when it is done; the service's own deadline follows its progress.
LOAD_TIMEOUT_S = 600.0
# Running answers end first.
UNLOAD_TIMEOUT_S = 120.0
SHOWN_EVERY_S = 0.5


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
        try:
            while not wait([answer], SHOWN_EVERY_S).done:
                if (download := _import_under_way(api, body)) is not None:
                    view.show(_progress_of(download))
        except KeyboardInterrupt:
            with contextlib.suppress(Failure):
                _cancel_import(api, body, answer)
            raise
    imported: Json = answer.result()
    return imported


def _import_under_way(api: ManagementClient, body: Json) -> Json | None:
    """The download of the repository; None until the hub has said what there is."""
    downloads: list[Json] = api.get("/downloads")["downloads"]
    return next((one for one in downloads if _is_import(one["model_id"], body)), None)


def _is_import(model_id: str, body: Json) -> bool:
    """Whether that is the model of the repository: `org/Tiny-Q8_0-GGUF` of `org/Tiny-GGUF`, or its given name."""
    owner, _, repo = body["repo"].lower().partition("/")
    name = body.get("name", "").lower() or repo.removesuffix("gguf").rstrip("-_.")
    return model_id.lower() == f"{owner}/{name}" or model_id.lower().startswith(f"{owner}/{name}-")


def _cancel_import(api: ManagementClient, body: Json, answer: Future[Any]) -> None:
    """Cancel the download, which may not have begun yet: the call would go on without this command."""
    while (download := _import_under_way(api, body)) is None:
        if wait([answer], SHOWN_EVERY_S).done:
            return
    api.delete(f"/downloads/{model_path(download['model_id']).removeprefix('/models/')}")


def fetch(api: ManagementClient, source: str) -> Json:
    """Download a model that the service knows, or else a repository of the hub of that name. Raises Failure."""
    try:
        return download(api, source)
    except Refused as refusal:
        if refusal.code != "model_not_found" or (body := _repository(source)) is None:
            raise
        data = import_from_hub(api, body)
        say(str(data["message"]))
        return data


def _repository(source: str) -> Json | None:
    """What to ask the hub for; None if `source` does not look like a repository."""
    try:
        body = import_body(source, None)
    except Failure:
        return None
    return body if "repo" in body else None


def import_body(source: str, name: str | None, mode: str = "copy") -> Json:
    """What POST /models/import gets: a path that exists here wins over a repository of that name. Raises Failure."""
    path = Path(source).expanduser()
    if path.exists():
        return {"path": str(path.absolute()), "mode": mode, **({"name": name} if name else {})}
    repo, _, quantization = source.removeprefix("hf.co/").partition(":")
    if source.lower().endswith(".gguf") or repo.count("/") != 1 or not all(repo.split("/")):
        raise Failure(
            f"There is no file '{source}', and no program has a model of that name",
            "A repository on the hub is written OWNER/REPO; foundrylocal search WORDS finds some.",
            "foundrylocal import --list",
        )
    body = {"repo": repo, "quantization": quantization, "name": name}
    return {field: value for field, value in body.items() if value}


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
    found = find_model(api, model)
    if found is None or not found["is_downloaded"]:
        download(api, model)
    say(f"Switching to {model}...")
    answer: Json = api.post("/switch-model", {"model_name": model}, timeout_s=SWITCH_TIMEOUT_S)
    say(str(answer.get("message", "")))
    return answer


def find_model(api: ManagementClient, name: str) -> Json | None:
    """Everything about the model of that name, id or alias; None if the service does not know it."""
    try:
        found: Json = api.get(model_path(name))
    except Refused as refusal:
        if refusal.code != "model_not_found":
            raise
        return None
    return found
