"""Where the management API answers: how its address is written, and how its paths are built."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from foundrylocal.client.errors import InvalidAddress

BASE_PATH = "/iblink/v1/foundry-local"
URL_VARIABLE = "FOUNDRYLOCAL_URL"
KEY_VARIABLE = "FOUNDRYLOCAL_MANAGEMENT_KEY"
DEFAULT_PORT = 9500
_PORTS = {"http": 80, "https": 443}


def default_url() -> str:
    """FOUNDRYLOCAL_URL, or the running service of this home, or the configured port on this machine."""
    return (
        os.environ.get(URL_VARIABLE)
        or _address_of_home()
        or f"http://127.0.0.1:{os.environ.get('FOUNDRYLOCAL_API_PORT') or DEFAULT_PORT}"
    )


def _address_of_home() -> str | None:
    # Imported here: a caller that gives the address needs none of it.
    from foundrylocal.home.folders import Folders, HomeUnusable
    from foundrylocal.home.service_address import find_address

    try:
        return find_address(Folders.locate().state)
    except HomeUnusable:
        return None


@dataclass(frozen=True, slots=True)
class Address:
    """Scheme, host and port of a service, and what precedes its paths."""

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take `http://host:port`, `host:port`, or either with the base path. Raises InvalidAddress."""
        parts = urlsplit(url if "//" in url else f"http://{url}")
        try:
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError):
            raise InvalidAddress(url) from None
        if not parts.hostname:
            raise InvalidAddress(url)
        prefix = parts.path.rstrip("/").removesuffix(BASE_PATH)
        return cls(parts.scheme, parts.hostname, port, prefix)

    @property
    def is_local(self) -> bool:
        """Whether it is written as an address of this machine."""
        return self.host in ("localhost", "127.0.0.1", "::1")

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"


def quoted(name: str) -> str:
    """A name as one segment of a path, whatever characters it contains."""
    return quote(name, safe="")


def model_path(name: str, verb: str = "") -> str:
    """The path of a model, and of an action on it."""
    return f"/models/{quoted(name)}{verb}"


def with_query(path: str, query: Mapping[str, object]) -> str:
    """The path with those parameters that are not None."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
