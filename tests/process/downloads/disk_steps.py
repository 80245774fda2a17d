"""One step of what is kept on disk, in a process of its own, for tests that fail or kill it at a system call.

`disk_steps.py CACHE STEP`: `commit` commits the files that `stage` left; `delete` removes the model, `restamp`
notes its files' times, `reclaim` takes it apart; `pending` and `imports` add to the lists in STATE. Ends with
0, or with REFUSED for an error of the disk; it prints nothing, as that would be one more system call.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from dataclasses import replace
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[2]))

from fakes.gguf_corpus import gguf
from foundrylocal.catalog.library import Library, StagedFile, Stored
from foundrylocal.catalog.registry import HubSource, Model, Registry, SourceFile
from foundrylocal.downloads.imports.records import ImportedModels
from foundrylocal.downloads.pending import PendingDownloads
from foundrylocal.errors import DiskRefused

REFUSED = 3
DATA = gguf()
SHA256 = hashlib.sha256(DATA).hexdigest()
FILES = ("tiny.gguf", "mmproj-tiny.gguf")
SOURCE = HubSource("me/repo", None, tuple(SourceFile(name, len(DATA), SHA256) for name in FILES))
MODEL = Model("me/Tiny-GGUF", "Tiny-GGUF", None, None, None, None, None, (), (SOURCE,))

OLD_MODEL = replace(MODEL, model_id="me/Old-GGUF", simple_name="Old-GGUF")
STATE = "state"


def stage(cache: Path) -> None:
    """The files as a download leaves them."""
    partial = Library(cache).place(MODEL.model_id).partial
    partial.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (partial / name).write_bytes(DATA)


def commit(library: Library) -> None:
    place = library.place(MODEL.model_id)
    library.commit(MODEL, place, [StagedFile(place.partial / name, SHA256) for name in FILES])


def recorded(library: Library) -> Stored:
    stored = library.recorded(MODEL.model_id)
    assert stored is not None
    return stored


async def add_to_pending(state: Path, model: Model) -> None:
    pending = PendingDownloads(state / "downloads.json")
    await pending.load()
    await pending.add(model.model_id)


async def add_to_imports(state: Path, model: Model) -> None:
    imported = ImportedModels(state / "imported.json", Registry())
    await imported.load()
    await imported.add(model)


def main(cache: Path, step: str) -> None:
    library = Library(cache)
    logging.disable()
    try:
        match step:
            case "commit":
                commit(library)
            case "delete":
                library.delete(MODEL.model_id)
            case "restamp":
                library.restamp(recorded(library))
            case "reclaim":
                library.reclaim(recorded(library), {FILES[0]})
            case "pending":
                anyio.run(add_to_pending, cache / STATE, MODEL)
            case "imports":
                anyio.run(add_to_imports, cache / STATE, MODEL)
    except (OSError, DiskRefused):
        sys.exit(REFUSED)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
