"""`foundrylocal serve`: run the services in this process until they are told to end."""

from __future__ import annotations


def serve(host: str | None, port: int | None, *, verbose: bool = False) -> int:
    """Run both services; the exit code of the process."""
    from foundrylocal import runtime

    return runtime.serve(host=host, port=port, verbose=verbose)
