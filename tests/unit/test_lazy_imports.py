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
    "rich",
    "cyclopts",
    "markdown_it",
)


def test_the_service_imports_what_costs_only_when_it_is_needed() -> None:
    program = f"import sys, foundrylocal.runtime; print([name for name in {LATER!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
