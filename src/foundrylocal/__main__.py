"""`python -m foundrylocal`: the same as the command `foundrylocal`."""

from __future__ import annotations

import sys

from foundrylocal.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
