"""Tests with real Ray nodes that take minutes: `make cluster` runs them, `make test` does not."""

from __future__ import annotations

import os

from foundrylocal.engine.ray.node.installed import installation_problem

IS_ASKED_FOR = os.environ.get("CLUSTER_SLOW") == "1"
collect_ignore_glob = [] if IS_ASKED_FOR and installation_problem() is None else ["test_*.py"]
