"""`python -m foundrylocal.cli.health_probe`: whether the service of this home lives, for containers and supervisors.

Exit code 0 while it answers, degraded or not: a model that does not answer is restarted by the service itself. The
output is one word or one line, and never a key, since supervisors keep it.
"""

from __future__ import annotations

import sys

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure


def main() -> int:
    """Ask /health once; 0 if it was answered, otherwise 1."""
    try:
        print(ManagementClient().get("/health")["status"])
    except Failure as failure:
        print(failure.what)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
