"""What to tell a client that calls a path which the gateway does not have, and a browser at its root."""

from __future__ import annotations

from collections.abc import Iterable

MODELS_PATH = "/v1/models"
ROOT_TEXT = (
    "This is the FoundryLocal gateway, an OpenAI-compatible API for programs.\n"
    "Set a client's base URL to this address followed by /v1 (Anthropic clients: without /v1) and send the API key.\n"
    "The dashboard and the API key are on the management API, port 9500 by default.\n"
)
_MANAGEMENT_PREFIX = "/iblink/"


def hint_for(path: str, routes: Iterable[str]) -> str:
    """The next step for a client that called `path`; `routes` are the paths of the inference routes."""
    published = (*routes, MODELS_PATH)
    if path.startswith("/v1/v1/"):
        return (
            "The path has /v1 twice. The base URL of OpenAI clients ends with one /v1; that of Anthropic clients "
            "has none, since they add it."
        )
    if f"/v1{path}" in published or path.startswith("/models/"):
        return f"The path lacks /v1: use /v1{path}. The base URL of OpenAI clients ends with /v1."
    if path.startswith(_MANAGEMENT_PREFIX):
        return "This is the gateway. The management API has a port of its own, 9500 by default."
    if (meant := _path_within(path, published)) is not None:
        return (
            f"The path has more than {meant}, so the base URL is wrong: that of OpenAI clients is this address and "
            "/v1, that of other clients this address alone."
        )
    return f"The gateway has {', '.join(published)} and /health."


def _path_within(path: str, published: Iterable[str]) -> str | None:
    """The longest published path, or its part after /v1, with which `path` ends, slashes too many aside."""
    plain = "/".join(["", *filter(None, path.split("/"))])
    ends = [one for one in published if plain.endswith((one, one.removeprefix("/v1")))]
    return max(ends, key=len, default=None)
