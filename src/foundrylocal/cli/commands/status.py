"""`foundrylocal status`: what is running, its address and key, and the last error."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import facts


def command(as_json: AsJson = False) -> None:
    """Show what is running, with its address and key.

    \b
    Examples:
      foundrylocal status
      foundrylocal status --json
    """
    api = ManagementClient()
    answer = api.get("/status")
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    error = answer.get("last_error") or {}
    facts(
        [
            ("Service", api.url),
            ("Status", answer["status"]),
            *_access(answer),
            ("Last error", error.get("message")),
            ("Because", error.get("reason") or error.get("details")),
        ]
    )


def show_access(answer: dict[str, Any]) -> None:
    """Print what an application needs from an answer of /status; nothing while the server is stopped."""
    facts(_access(answer))


def _access(answer: dict[str, Any]) -> list[tuple[str, object]]:
    if not answer.get("is_running"):
        return []
    health = answer.get("health") or {}
    return [
        ("Model", answer.get("current_model")),
        ("Loaded", answer.get("loaded_model_id") or "no (the next request loads it)"),
        ("Endpoint", health.get("endpoint")),
        ("API key", health.get("api_key")),
        ("Healthy", "yes" if health.get("is_healthy") else "not yet"),
    ]
