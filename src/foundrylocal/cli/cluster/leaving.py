"""`cluster leave`: end the node of this home by its pid and forget its cluster."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import say
from foundrylocal.engine.ray.node.command import session_folder
from foundrylocal.engine.ray.node.record import NodeRecord, find_node
from foundrylocal.engine.ray.node.storage import storage_folder
from foundrylocal.home.folders import Folders
from foundrylocal.settings.saved_file import NAME, change_setting, read_saved

# The node takes 27 s at most to end its processes.
LEAVE_TIMEOUT_S = 30.0
_POLL_S = 0.1


def leave_cluster() -> None:
    """End the node, and on the head the cluster with what it kept. Raises Failure."""
    folders = Folders.locate()
    record = find_node(folders.state)
    if record is not None:
        _end(folders.state, record)
    has_forgotten = _forget(folders)
    if record is None and not has_forgotten:
        raise Failure("No node of a cluster runs for this home", None, "foundrylocal cluster status")
    if record is not None:
        say(f"{record.address} has left the cluster at {record.head}.")
    if has_forgotten:
        say(
            "The setting cluster_address is removed: from its next start the service runs models on this machine."
        )


def _end(state: Path, record: NodeRecord) -> None:
    deadline = time.monotonic() + LEAVE_TIMEOUT_S
    try:
        os.kill(record.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Failure(
            f"The node (pid {record.pid}) belongs to another user", None, "run this as that user"
        ) from error
    # By the record: a process that has ended may stay listed until its parent looks.
    while find_node(state) == record:
        if time.monotonic() > deadline:
            raise Failure(
                f"The node (pid {record.pid}) did not end within {LEAVE_TIMEOUT_S:g} s",
                None,
                f"kill -9 {record.pid}",
            )
        time.sleep(_POLL_S)


def _forget(folders: Folders) -> bool:
    """Remove what the cluster left in this home; whether the settings named it."""
    for folder in (storage_folder(folders.state), session_folder(folders.state)):
        _remove(folder)
    try:
        if "cluster_address" not in read_saved(folders.config / NAME):
            return False
        change_setting(folders.config, "cluster_address", None)
    except (OSError, ValueError) as error:
        raise Failure(
            "The setting cluster_address cannot be removed", str(error), "foundrylocal doctor"
        ) from error
    return True


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
