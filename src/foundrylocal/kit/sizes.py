"""Sizes in the published format: divided by 1024, one decimal."""

from __future__ import annotations


def format_bytes(count: int) -> str:
    """`500.0 MB`; bytes too have one decimal (`512.0 B`)."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        # Round before comparing, so that 1023.96 KB becomes 1.0 MB and not 1024.0 KB.
        if round(value, 1) < 1024:
            return f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"
