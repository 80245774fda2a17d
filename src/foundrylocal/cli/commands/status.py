"""`foundrylocal status`: what runs, where it answers, with which key, and what failed last."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import facts


def status(*, as_json: bool) -> None:
    """Print the status; raises Failure when no service answers."""
    api = ManagementClient()
    answer = api.get("/status")
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    facts([("Service", api.url), ("Status", answer["status"])])
    show_access(answer)
    error = answer.get("last_error")
    if error:
        facts([("Last error", error.get("message")), ("Because", error.get("details"))])


def show_access(answer: dict[str, Any]) -> None:
    """What an application needs, out of an answer of /status; nothing while the server is down."""
    if not answer.get("is_running"):
        return
    health = answer.get("health") or {}
    facts(
        [
            ("Model", answer.get("current_model")),
            ("Loaded", answer.get("loaded_model_id") or "no (the next request loads it)"),
            ("Endpoint", health.get("endpoint")),
            ("API key", health.get("api_key")),
            ("Healthy", "yes" if health.get("is_healthy") else "not yet"),
        ]
    )
