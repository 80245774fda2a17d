"""Questions to the hub: the files of a repository, and which repositories there are.

Invariant: what is told are facts of the hub as it gave them, bounded in number and length: a line for a
repository, then one for each of its files; nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from huggingface_hub import HfApi

from foundrylocal.downloads.hub_child.places import Places
from foundrylocal.downloads.hub_child.session import CONNECT_S
from foundrylocal.downloads.hub_child.wire import tell

MAX_FILES = 5000
# A line must not be longer than the service reads; real names are far from these.
MAX_PATH_CHARS = 1024
MAX_WORD_CHARS = 200
ASKED_AT_ONCE = 4


def files(request: dict[str, Any], _places: Places) -> None:
    """The GGUF files of `repo` at `revision`, with the commit that they are of."""
    _tell(*_files_of(HfApi(), request["repo"], request["revision"]))


def search(request: dict[str, Any], _places: Places) -> None:
    """Up to `limit` GGUF repositories for the words in `query`, most downloaded first, with their files."""
    api = HfApi()
    found = [
        info.id
        for info in api.list_models(
            search=request["query"], filter="gguf", sort="downloads", limit=int(request["limit"])
        )
    ]
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        for answer in pool.map(lambda repo: _files_or_none(api, repo), found):
            if answer is not None:
                _tell(*answer)


def _tell(repository: dict[str, Any], found: list[dict[str, Any]]) -> None:
    tell({"event": "repository", **repository})
    for file in found:
        tell({"event": "gguf", **file})


def _files_or_none(api: HfApi, repo: str) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    try:
        return _files_of(api, repo, None)
    except Exception:  # noqa: BLE001 - one repository that cannot be read does not spoil the others
        return None


def _files_of(api: HfApi, repo: str, revision: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    info = api.model_info(repo, revision=revision, files_metadata=True, timeout=CONNECT_S)
    card: Any = info.card_data
    facts = {
        "repo": _word(info.id) or repo,
        "revision": _word(info.sha),
        "license": _word(card.get("license")) if card is not None else None,
        "downloads": info.downloads,
        "is_gated": bool(info.gated),
    }
    return facts, list(_gguf_files(info.siblings or ()))


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= MAX_WORD_CHARS else None


def _gguf_files(siblings: Iterable[Any]) -> Iterable[dict[str, Any]]:
    for sibling in list(siblings)[:MAX_FILES]:
        if sibling.rfilename.lower().endswith(".gguf") and len(sibling.rfilename) <= MAX_PATH_CHARS:
            lfs = sibling.lfs
            sha256 = (lfs.get("sha256") if isinstance(lfs, dict) else lfs.sha256) if lfs else None
            # The service refuses what is none, and must not take it for one that is not known.
            told = None if sha256 is None else str(sha256)[:MAX_WORD_CHARS]
            yield {"path": sibling.rfilename, "size_bytes": sibling.size, "sha256": told}
