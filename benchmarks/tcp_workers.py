"""`foundrylocal` with workers that listen on loopback TCP, as they do on the nodes of a cluster."""

from __future__ import annotations

import sys

from foundrylocal.cli.main import main
from foundrylocal.engine.local.platform import processes

processes.HAS_UNIX_SOCKETS = False

if __name__ == "__main__":
    sys.exit(main())
