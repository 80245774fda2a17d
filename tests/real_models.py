"""Real models: fetched once through the product, kept in the test cache, copied where a test may delete them."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from foundrylocal.catalog.library import Library, StagedFile
from foundrylocal.catalog.registry import Registry
from tests.fakes.gguf_edit import write_with_keys
from tests.running import CHAT_MODEL_ID, TEST_MODELS

_FETCH = (
    "import anyio, pathlib, sys\n"
    "from foundrylocal.catalog.library import Library\n"
    "from foundrylocal.catalog.registry import Registry\n"
    "from foundrylocal.downloads.manager import DownloadManager\n"
    "async def main():\n"
    "    cache = pathlib.Path(sys.argv[1]); registry = Registry.load()\n"
    "    manager = DownloadManager(registry, Library(cache), state_dir=cache)\n"
    "    async with anyio.create_task_group() as group:\n"
    "        await group.start(manager.run)\n"
    "        await manager.fetch(registry.find(sys.argv[2])).result()\n"
    "        group.cancel_scope.cancel()\n"
    "anyio.run(main)\n"
)


def fetch(model_id: str) -> None:
    """See that the model is in the test cache; one of several test processes downloads it when it is not."""
    TEST_MODELS.mkdir(exist_ok=True)
    with (TEST_MODELS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if Library(TEST_MODELS).get(model_id) is None:
            name = model_id.rpartition("/")[2]
            subprocess.run([sys.executable, "-c", _FETCH, str(TEST_MODELS), name], check=True, timeout=900)


def copy_into(cache: Path, *model_ids: str) -> None:
    """Put copies of fetched models into another cache folder, files with their times."""
    for model_id in model_ids:
        fetch(model_id)
        source = Library(TEST_MODELS).place(model_id).folder
        shutil.copytree(source, Library(cache).place(model_id).folder)


def store_variant(
    home: Path,
    name: str,
    keys: Mapping[str, int | str],
    write_projector: Callable[[Path], None] | None = None,
) -> None:
    """Put the starter model with these keys in its header on disk, as that model of the catalog."""
    fetch(CHAT_MODEL_ID)
    chat = Library(TEST_MODELS).get(CHAT_MODEL_ID)
    assert chat is not None
    library, model = Library(home / "cache"), Registry.load().find(name)
    place = library.place(model.model_id)
    place.partial.mkdir(parents=True)
    files = [place.partial / "variant.gguf"]
    write_with_keys(chat.model_path, files[0], keys)
    if write_projector is not None:
        files.append(place.partial / "mmproj-variant.gguf")
        write_projector(files[1])
    staged = [StagedFile(file, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    library.commit(model, place, staged)
