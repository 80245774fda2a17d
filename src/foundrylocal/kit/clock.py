"""Wall-clock time for display, in the published format; deadlines use the monotonic clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_s() -> float:
    """Seconds since the epoch in UTC: for display, never for deadlines."""
    return time.time()


def format_time(seconds: float) -> str:
    """`2025-01-20T10:30:00Z`, whole seconds, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
