"""Queries to the hub: which repositories match some words, and what one of them has.

Invariant: queries run in a child process, are bounded in number and time, and store nothing.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from foundrylocal.catalog.registry import parse_file
from foundrylocal.downloads.hub import request as hub
from foundrylocal.downloads.hub.choices import Choice, Offer, offer_of
from foundrylocal.downloads.hub.request import HubFailed
from foundrylocal.errors import DownloadFailed, InvalidRequest

RESPONSE_TIMEOUT_S = 60.0
MAX_RESULTS = 50
MAX_QUERY_CHARS = 200
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository with GGUF files, as the hub describes it; `revision` is the commit that was described."""

    repo: str
    revision: str | None
    license: str | None
    downloads: int | None
    is_gated: bool
    offer: Offer

    @property
    def choices(self) -> tuple[Choice, ...]:
        return self.offer.choices


async def look_up(
    repo: str, revision: str | None = None, *, allowed_hosts: Sequence[str] = ()
) -> HubRepository:
    """One repository; raises InvalidRequest for an invalid name, DownloadFailed."""
    if not _REPO.fullmatch(repo):
        raise InvalidRequest(
            "This is not the name of a repository on the hub", "Write OWNER/REPO.", param="model"
        )
    request = {"command": "files", "repo": repo, "revision": revision}
    found = await _repositories(request, allowed_hosts)
    if not found:
        raise DownloadFailed("The hub returned no repository.")
    return found[0]


async def search(query: str, *, limit: int = 10, allowed_hosts: Sequence[str] = ()) -> list[HubRepository]:
    """Repositories with GGUF files that match some words, most downloaded first; raises DownloadFailed."""
    if not 1 <= limit <= MAX_RESULTS:
        raise InvalidRequest("limit is out of range", f"The range is 1 to {MAX_RESULTS}.", param="limit")
    if len(query) > MAX_QUERY_CHARS:
        raise InvalidRequest(
            "The query is too long", f"The limit is {MAX_QUERY_CHARS} characters.", param="query"
        )
    return await _repositories({"command": "search", "query": query, "limit": limit}, allowed_hosts)


async def _repositories(request: dict[str, Any], allowed_hosts: Sequence[str]) -> list[HubRepository]:
    found: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    try:
        with anyio.fail_after(RESPONSE_TIMEOUT_S):
            folder = Path(tempfile.gettempdir())
            async with aclosing(hub.run_request(request, cwd=folder, allowed_hosts=allowed_hosts)) as events:
                async for event in events:
                    match event["event"]:
                        case "repository":
                            found.append((event, []))
                        case "gguf":
                            found[-1][1].append(event)
    except HubFailed as failure:
        error = failure.error
        raise (DownloadFailed(error.strerror) if isinstance(error, OSError) else error) from None
    except TimeoutError:
        raise DownloadFailed(f"The hub did not answer within {RESPONSE_TIMEOUT_S:g} seconds.") from None
    return [_repository(facts, files) for facts, files in found]


def _repository(facts: Mapping[str, Any], files: Iterable[Mapping[str, Any]]) -> HubRepository:
    """A repository from the hub's response; raises DownloadFailed if that has other fields or types."""
    try:
        repo, revision = facts["repo"], facts["revision"]
        if not (isinstance(repo, str) and isinstance(revision, str | None) and _REPO.fullmatch(repo)):
            raise TypeError("a repository has a name")
        license_name, downloads = facts["license"], facts["downloads"]
        return HubRepository(
            repo=repo,
            revision=revision,
            license=license_name if isinstance(license_name, str) else None,
            downloads=downloads if isinstance(downloads, int) else None,
            is_gated=bool(facts["is_gated"]),
            offer=offer_of([parse_file(file) for file in files]),
        )
    except (KeyError, TypeError, ValueError):
        raise DownloadFailed(
            "The hub returned an invalid response. Check HF_ENDPOINT if it is set."
        ) from None
