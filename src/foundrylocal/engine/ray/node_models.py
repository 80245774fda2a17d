"""Everything on disk that a replica needs on its node: its model, its draft model, its adapters.

Invariant: what a replica uses is held until `release`, so that no other replica's fetch removes it.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from foundrylocal.catalog.library import Library
from foundrylocal.engine.ray.node_files import FetchAll, NodeModel, ServiceFetcher, ensure_model
from foundrylocal.engine.ray.node_hub import HubFetcher
from foundrylocal.engine.ray.orders import FileServerAddress, FileSet, FilesMode, NodeOrder
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import FoundryLocalError, ModelNotDownloaded

REPORT_PERIOD_S = 0.25


class NodeModels:
    """Brings onto this node what one order needs; `where` is the link's file server as of now."""

    def __init__(
        self, order: NodeOrder, library: Library, where: Callable[[], FileServerAddress | None]
    ) -> None:
        self._order = order
        self._library = library
        self._held: list[NodeModel] = []
        self._before_bytes = 0
        self._bytes = 0  # of the model that is being fetched
        self._fetch: FetchAll = (
            HubFetcher(order.hub_allowed_hosts)
            if order.files_mode is FilesMode.HUB
            else ServiceFetcher(where)
        )

    async def bring(self, on_share: Callable[[float], None]) -> ReplicaSpec:
        """The spec with paths of this node, once all files are here; `on_share` gets 0.0 to 1.0.

        Raises DownloadFailed, ChecksumMismatch, InsufficientDiskSpace, ModelNotDownloaded, OSError.
        """
        order = self._order
        if order.file_sets is None:
            return order.spec
        if order.files_mode is FilesMode.PATH:
            await anyio.to_thread.run_sync(require_shared, order.file_sets, order.node)
            return order.spec
        async with anyio.create_task_group() as group:
            group.start_soon(self._report, on_share)
            try:
                for wanted in order.file_sets:
                    self._held.append(
                        await anyio.to_thread.run_sync(
                            ensure_model, self._library, wanted, self._fetch, self._note_bytes
                        )
                    )
                    self._before_bytes += wanted.size_bytes
                    self._bytes = 0
            except (FoundryLocalError, OSError) as error:
                failure: Exception | None = error
            else:
                failure = None
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        paths = {path: here for model in self._held for path, here in model.paths.items()}
        return with_paths(order.spec, paths)

    def _note_bytes(self, count: int) -> None:
        """Called in the fetching thread."""
        self._bytes = count

    async def _report(self, on_share: Callable[[float], None]) -> None:
        all_bytes = max(1, sum(one.size_bytes for one in self._order.file_sets or ()))
        while True:
            on_share(min(1.0, (self._before_bytes + self._bytes) / all_bytes))
            await anyio.sleep(REPORT_PERIOD_S)

    def release(self) -> None:
        """The replica has ended."""
        for model in self._held:
            model.release()
        self._held.clear()


def with_paths(spec: ReplicaSpec, paths: Mapping[Path, Path]) -> ReplicaSpec:
    """The same replica, with its files at other places."""
    return replace(
        spec,
        model_path=paths[spec.model_path],
        projector_path=paths[spec.projector_path] if spec.projector_path else None,
        draft_path=paths[spec.draft_path] if spec.draft_path else None,
        adapters=tuple(replace(one, path=paths[one.path]) for one in spec.adapters),
    )


def require_shared(sets: tuple[FileSet, ...], node: str) -> None:
    """See that all files are at the same paths here; blocks on the disk. Raises ModelNotDownloaded."""
    for file in (file for one in sets for file in one.files):
        try:
            found = file.path.stat()
        except OSError as error:
            problem = error.strerror or "It cannot be read"
        else:
            if stat.S_ISREG(found.st_mode) and found.st_size == file.size_bytes:
                continue
            problem = f"It has {found.st_size} bytes instead of {file.size_bytes}"
        raise ModelNotDownloaded(
            f"'{file.name}' is not on node {node} in the folder where the service has it: {problem}. Mount the "
            "models' folder there under the same path, or set cluster_files to service."
        )
