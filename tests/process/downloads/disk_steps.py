"""One step of the library in a process of its own, for tests that fail or kill it at a system call.

`disk_steps.py CACHE STEP`: `commit` commits the files that `stage` left, `delete` removes the model. Ends
with 0, or with REFUSED for an error of the disk; it prints nothing, as that would be one more system call.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fakes.gguf_corpus import gguf
from foundrylocal.catalog.library import Library, StagedFile
from foundrylocal.catalog.registry import HubSource, Model, SourceFile

REFUSED = 3
DATA = gguf()
SHA256 = hashlib.sha256(DATA).hexdigest()
FILES = ("tiny.gguf", "mmproj-tiny.gguf")
SOURCE = HubSource("me/repo", None, tuple(SourceFile(name, len(DATA), SHA256) for name in FILES))
MODEL = Model("me/Tiny-GGUF", "Tiny-GGUF", None, None, None, None, None, (), (SOURCE,))


def stage(cache: Path) -> None:
    """The files as a download leaves them."""
    partial = Library(cache).place(MODEL.model_id).partial
    partial.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (partial / name).write_bytes(DATA)


def commit(library: Library) -> None:
    place = library.place(MODEL.model_id)
    library.commit(MODEL, place, [StagedFile(place.partial / name, SHA256) for name in FILES])


def main(cache: Path, step: str) -> None:
    library = Library(cache)
    try:
        if step == "delete":
            library.delete(MODEL.model_id)
        else:
            commit(library)
    except OSError:
        sys.exit(REFUSED)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
