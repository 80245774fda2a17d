"""The child process that runs pip: a program that nothing imports.

Invariant: it is pip with the given arguments, and it ends with its parent.
"""

from __future__ import annotations

import runpy
import sys

from foundrylocal.downloads.guard import end_with_parent


def main() -> None:
    end_with_parent()
    sys.argv[0] = "pip"
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
