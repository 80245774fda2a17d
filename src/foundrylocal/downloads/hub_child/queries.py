"""Queries to the hub: the files of a repository, and which repositories match a search.

Invariant: results are passed on as the hub gave them, bounded in number and length: one line for a repository,
then one for each of its files. Nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from huggingface_hub import HfApi

from foundrylocal.downloads.hub_child.messages import emit
from foundrylocal.downloads.hub_child.places import Places
from foundrylocal.downloads.hub_child.session import CONNECT_S

MAX_FILES = 5000
# A line must not be longer than the service reads; real names are far shorter.
MAX_PATH_CHARS = 1024
MAX_FACT_CHARS = 200
MAX_CONCURRENT_QUERIES = 4


def files(request: dict[str, Any], _places: Places) -> None:
    """The GGUF files of `repo` at `revision`, with the commit they belong to."""
    _emit(*_files_of(HfApi(), request["repo"], request["revision"]))


def search(request: dict[str, Any], _places: Places) -> None:
    """Up to `limit` GGUF repositories for the words in `query`, most downloaded first, with their files."""
    api = HfApi()
    found = [
        info.id
        for info in api.list_models(
            search=request["query"], filter="gguf", sort="downloads", limit=int(request["limit"])
        )
    ]
    with ThreadPoolExecutor(MAX_CONCURRENT_QUERIES) as pool:
        for result in pool.map(lambda repo: _files_or_none(api, repo), found):
            if result is not None:
                _emit(*result)


def _emit(repository: dict[str, Any], found: list[dict[str, Any]]) -> None:
    emit({"event": "repository", **repository})
    for file in found:
        emit({"event": "gguf", **file})


def _files_or_none(api: HfApi, repo: str) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    try:
        return _files_of(api, repo, None)
    except Exception:  # noqa: BLE001 - one unreadable repository must not hide the others
        return None


def _files_of(api: HfApi, repo: str, revision: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    info = api.model_info(repo, revision=revision, files_metadata=True, timeout=CONNECT_S)
    card: Any = info.card_data
    facts = {
        "repo": _short_text(info.id) or repo,
        "revision": _short_text(info.sha),
        "license": _short_text(card.get("license")) if card is not None else None,
        "downloads": info.downloads,
        "is_gated": bool(info.gated),
    }
    return facts, list(_gguf_files(info.siblings or ()))


def _short_text(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= MAX_FACT_CHARS else None


def _gguf_files(siblings: Iterable[Any]) -> Iterable[dict[str, Any]]:
    for sibling in list(siblings)[:MAX_FILES]:
        if sibling.rfilename.lower().endswith(".gguf") and len(sibling.rfilename) <= MAX_PATH_CHARS:
            lfs = sibling.lfs
            sha256 = (lfs.get("sha256") if isinstance(lfs, dict) else lfs.sha256) if lfs else None
            # The service rejects an invalid sha256, and must not mistake it for an unknown one.
            reported = None if sha256 is None else str(sha256)[:MAX_FACT_CHARS]
            yield {"path": sibling.rfilename, "size_bytes": sibling.size, "sha256": reported}
