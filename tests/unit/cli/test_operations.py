"""Operations of the service that a command follows, and what Ctrl-C does to them."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import pytest

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.operations import import_from_hub
from foundrylocal.client.addresses import quoted
from tests.fakes.management_api import Run, Script

ENDED_AFTER_S = 10.0


def listed(model_id: str) -> dict[str, Any]:
    return {"model_name": "Tiny", "model_id": model_id, "state": "downloading", "progress": None}


@pytest.mark.parametrize(
    ("body", "model_id"),
    [
        ({"repo": "org/Tiny-GGUF"}, "org/Tiny-Q8_0-GGUF"),
        ({"repo": "Org/tiny"}, "org/Tiny-Q8_0-GGUF"),
        ({"repo": "org/Tiny-GGUF", "name": "Mine"}, "org/mine"),
    ],
)
def test_ctrl_c_cancels_an_import_that_is_not_listed_yet(
    service: Script, body: dict[str, str], model_id: str
) -> None:
    is_interrupted, is_cancelled = threading.Event(), threading.Event()

    def import_model(body: Any) -> object:
        is_cancelled.wait(ENDED_AFTER_S)
        return 409, {"error": {"message": "Cancelled", "type": "x", "code": "operation_cancelled"}}

    def list_downloads(body: Any) -> object:
        if is_interrupted.is_set():
            return {"downloads": [listed("org/TinyLlama-Q8_0-GGUF"), listed(model_id)]}
        is_interrupted.set()
        os.kill(os.getpid(), signal.SIGINT)
        return {"downloads": []}

    def cancel(body: Any) -> object:
        is_cancelled.set()
        return {"success": True}

    service.on("POST /models/import", import_model)
    service.on("GET /downloads", list_downloads)
    service.on(f"DELETE /downloads/{quoted(model_id)}", cancel)
    with pytest.raises(KeyboardInterrupt):
        import_from_hub(ManagementClient(service.url), body)
    assert is_cancelled.is_set()


def test_an_import_as_json_shows_its_progress_beside_it(service: Script, run: Run) -> None:
    is_listed = threading.Event()

    def import_model(body: Any) -> object:
        is_listed.wait(ENDED_AFTER_S)
        return {"message": "Model imported successfully", "model_name": "Tiny-Q8_0-GGUF"}

    def list_downloads(body: Any) -> object:
        is_listed.set()
        return {"downloads": [listed("org/Tiny-Q8_0-GGUF")]}

    service.on("POST /models/import", import_model)
    service.on("GET /downloads", list_downloads)
    code, out, beside = run("import", "org/Tiny-GGUF", "--json")
    assert (code, json.loads(out)["model_name"]) == (0, "Tiny-Q8_0-GGUF")
    assert "Downloading Tiny" in beside
