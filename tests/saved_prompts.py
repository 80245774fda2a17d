"""What tests of saved prompts ask a service with the fake worker, and find in its folder."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import httpx

from tests.running import BASE_MODEL, CHAT_MODEL, Service, eventually, store_tiny_model

WORDS = 300
FLAGS = "--keep-prompts"


def messages(turns: int = 1, topic: str = "word") -> list[dict[str, str]]:
    """A conversation whose first message is long; with more turns it goes on from there."""
    told = [{"role": "user", "content": " ".join(f"{topic}{number}" for number in range(WORDS))}]
    for turn in range(1, turns):
        told += [{"role": "assistant", "content": "word0"}, {"role": "user", "content": f"more {turn}"}]
    return told


def chat(service: Service, told: list[dict[str, str]], model: str = CHAT_MODEL) -> int:
    """Tokens of the prompt that came from the cache."""
    with service.gateway() as gateway:
        body = {"model": model, "messages": told, "max_tokens": 1}
        answer = gateway.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "word0"
    return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])


def unload(service: Service, model: str = CHAT_MODEL) -> None:
    assert service.post(f"/models/{model}/unload").status_code == 200


def listed(service: Service) -> dict[str, Any]:
    return dict(service.get("/prompt-cache").json())


def saved(service: Service, count: int = 1) -> dict[str, Any]:
    """The list, once so many prompts are in it: they are checked and listed after the unload."""

    def look() -> Any:
        answer = listed(service)
        return answer if sum(model["prompts"] for model in answer["models"]) == count else None

    return dict(eventually(f"{count} prompts are saved", look))


def folder(home: Path) -> Path:
    return home / "state" / "prompt-cache"


def unlisted(home: Path) -> list[str]:
    """Files of the folder that its list does not name; a list that is being written has some time to be there."""
    with contextlib.suppress(AssertionError):
        eventually("only what is listed is there", lambda: not _unlisted_now(home), timeout_s=5.0)
    return _unlisted_now(home)


def _unlisted_now(home: Path) -> list[str]:
    index = folder(home) / "index.json"
    names = {one["name"] for one in json.loads(index.read_bytes())["prompts"]} if index.exists() else set()
    found = folder(home).iterdir() if folder(home).exists() else ()
    return sorted(one.name for one in found if one.name not in names | {"index.json"})


def props(service: Service) -> dict[str, Any]:
    """What the fake worker tells of itself."""
    run_folder = service.run_folder()
    assert run_folder is not None
    (socket,) = run_folder.glob("*.sock")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))) as client:
        return dict(client.get("http://worker/props").json()["fake"])


def store_models(home: Path) -> None:
    """Two models whose workers keep prompts."""
    store_tiny_model(home, CHAT_MODEL, worker_flags=FLAGS)
    store_tiny_model(home, BASE_MODEL, worker_flags=FLAGS)
