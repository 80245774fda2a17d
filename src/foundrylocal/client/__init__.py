"""The typed client of the management API, synchronous and asynchronous.

    from foundrylocal.client import FoundryLocal

    with FoundryLocal() as client:
        print(client.start("SmolLM2-135M-Instruct-Q4_1-GGUF").endpoint)

Both clients are imported when they are first used: the command line needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from foundrylocal.client.errors import ApiError, ClientError

if TYPE_CHECKING:
    from foundrylocal.client.aio.client import AsyncFoundryLocal as AsyncFoundryLocal
    from foundrylocal.client.aio.operation import AsyncOperation as AsyncOperation
    from foundrylocal.client.gateway import GatewayAccess as GatewayAccess
    from foundrylocal.client.sync.client import FoundryLocal as FoundryLocal
    from foundrylocal.client.sync.operation import Operation as Operation

__all__ = [
    "ApiError",
    "AsyncFoundryLocal",
    "AsyncOperation",
    "ClientError",
    "FoundryLocal",
    "GatewayAccess",
    "Operation",
]

_LATER = {
    "AsyncFoundryLocal": "aio.client",
    "AsyncOperation": "aio.operation",
    "FoundryLocal": "sync.client",
    "GatewayAccess": "gateway",
    "Operation": "sync.operation",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'foundrylocal.client' has no attribute '{name}'")
    return getattr(import_module(f"foundrylocal.client.{_LATER[name]}"), name)
