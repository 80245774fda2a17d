"""Checks of the ports that the service listens on."""

from __future__ import annotations

from collections.abc import Callable

from foundrylocal.doctor.finding import Finding, error, ok
from foundrylocal.errors import FoundryLocalError, PortInUse
from foundrylocal.web.listener import bind, port_owner


def check_port(
    host: str, port: int, setting: str, *, is_ours: bool, bind_problem: Callable[[str, int], str | None]
) -> Finding:
    """Whether a port is free or used by this service itself; `setting` is the one that chooses it."""
    if port == 0:
        return ok(f"{setting} is 0: any free port is used.")
    if is_ours:
        return ok(f"Port {port} is used by this service.")
    problem = bind_problem(host, port)
    if problem is None:
        return ok(f"Port {port} is free.")
    return error(
        f"Port {port} cannot be used: {problem}.",
        f"Stop the other program, or choose another port: foundrylocal config {setting}=PORT "
        f"(or FOUNDRYLOCAL_{setting.upper()}=PORT).",
    )


def bind_problem(host: str, port: int) -> str | None:
    """Why the service could not listen there; None when it could. Blocking."""
    try:
        sockets = bind(host, port)
    except PortInUse:
        return f"{port_owner(port) or 'another program'} listens on it"
    except FoundryLocalError as failure:
        return f"{failure.message} ({failure.details})" if failure.details else failure.message
    for sock in sockets:
        sock.close()
    return None
