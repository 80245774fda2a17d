"""What a service that has just started has not imported: packages that few requests need, and that cost."""

from __future__ import annotations

import subprocess
import sys

LATER = (
    "xllamacpp",
    "llguidance",
    "huggingface_hub",
    "httpx",
    "numpy",
    "ray",
    "foundrylocal.engine.ray.launcher",
    "foundrylocal.engine.ray.orders",
    "rich",
    "cyclopts",
    "markdown_it",
    "pydantic.v1.main",
)


def test_the_service_imports_what_costs_only_when_it_is_needed() -> None:
    program = (
        "import gc, sys\n"
        "from foundrylocal.cli.lean_import import import_runtime\n"
        "assert import_runtime().serve and gc.isenabled()\n"
        f"print([name for name in {LATER!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
