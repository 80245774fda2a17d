"""A file that arrives and is finished, in a process of its own: `finish_steps.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from foundrylocal.downloads.staging.partial_file import PartialFile

REFUSED = 3


def main(folder: Path) -> None:
    partial = PartialFile(folder, "tiny.gguf")
    try:
        partial.open("v1", None, lambda: None)
        partial.write(b"GGUF")
        partial.finish(None)
    except OSError:
        sys.exit(REFUSED)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
