"""A service that only downloads, for tests that kill it: `downloader.py HOME MODEL.json`.

It goes on with the journal, or starts the model when there is none; it prints `done` and ends when the model
is on disk, and names its own process first.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anyio

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, Model, Registry, parse_model
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher


def is_wanted(home: Path, model: Model) -> bool:
    """Whether the last run left the download in its journal."""
    try:
        return model.model_id in json.loads((home / "state" / "downloads.json").read_bytes())["downloads"]
    except FileNotFoundError:
        return False


async def run(home: Path, model: Model) -> None:
    library = Library(home / "cache")
    library.sweep()
    # The fake hub's storage is another origin, on loopback and without TLS.
    hub = HuggingFaceFetcher(allowed_hosts=lambda: ("localhost",))
    manager = DownloadManager(Registry([model]), library, state_dir=home / "state", fetchers={HubSource: hub})
    async with anyio.create_task_group() as tasks:
        await tasks.start(manager.run)
        await manager.fetch(model).result()
        print("done", flush=True)
        tasks.cancel_scope.cancel()


def main(home: Path, model_file: Path) -> None:
    model = parse_model(json.loads(model_file.read_bytes()))
    print(f"pid {os.getpid()}", flush=True)
    print("resumed" if is_wanted(home, model) else "fresh", flush=True)
    anyio.run(run, home, model)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
