"""HTTP clients of the verbs, on the transport of `foundrylocal.client`: answers as plain JSON, failures as Failure.

`--json` prints all that the service answered, so the verbs take no shapes of it, which would also slow their start.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from foundrylocal.cli.failure import Failure, NotOurs, Refused, Unreachable, as_failure
from foundrylocal.client import addresses, errors
from foundrylocal.client.addresses import BASE_PATH, Address, with_query
from foundrylocal.client.addresses import model_path as model_path
from foundrylocal.client.errors import ClientError
from foundrylocal.client.timeouts import CALL_TIMEOUT_S, STREAM_TIMEOUT_S
from foundrylocal.client.transport import Transport, decoded, encoded

Json = dict[str, Any]

SERVICE_NAME = "foundry-local-api"
CHECK_TIMEOUT_S = 5.0


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise as_failure(error) from error


class HttpClient:
    """Calls to one address. Raises Failure."""

    def __init__(self, url: str, key: str | None = None) -> None:
        with _failures():
            self._transport = Transport(Address.parse(url), key)
        self.host = self._transport.address.host
        self.port = self._transport.address.port
        self.url = self._transport.url

    def call(self, method: str, path: str, body: object = None, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """The decoded answer. Raises Refused if it is an error."""
        with _failures():
            return self._decode(self._transport.call(method, path, encoded(body), timeout_s))

    def events(
        self, method: str, path: str, body: object = None, *, timeout_s: float = STREAM_TIMEOUT_S
    ) -> Generator[str, None, None]:
        """The data of each event as it arrives; closing the iterator ends the request."""
        with _failures():
            yield from self._transport.events(method, path, encoded(body), timeout_s)

    def _decode(self, data: bytes | str) -> Any:
        value = decoded(data)
        if value is None:
            raise NotOurs(self.url, "Its answer is not JSON.")
        return value


class ManagementClient(HttpClient):
    """The management API; it needs the key only if the service has one."""

    def __init__(self, url: str | None = None) -> None:
        super().__init__(url or addresses.default_url(), os.environ.get(addresses.KEY_VARIABLE))

    def get(self, path: str, **query: object) -> Any:
        return self.call("GET", BASE_PATH + with_query(path, query))

    def post(self, path: str, body: object = None, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        return self.call("POST", BASE_PATH + path, body, timeout_s=timeout_s)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", BASE_PATH + path)

    def operate(self, path: str, body: object = None) -> Generator[Json, None, None]:
        """The parsed events of an operation; the last one is `success` or `error`."""
        for text in self.events("POST", BASE_PATH + path, body):
            yield self._decode(text)

    def watch(self, path: str, **query: object) -> Generator[Json, None, None]:
        """The parsed events of a stream."""
        for text in self.events("GET", BASE_PATH + with_query(path, query)):
            yield self._decode(text)

    def check(self, *, timeout_s: float = CHECK_TIMEOUT_S) -> Json:
        """The health of the service. Raises Unreachable or NotOurs."""
        try:
            health = self.call("GET", f"{BASE_PATH}/health", timeout_s=timeout_s)
        except (Unreachable, Refused, NotOurs):
            raise
        except Failure as failure:
            raise NotOurs(self.url, failure.why or failure.what) from failure
        if not isinstance(health, dict) or health.get("service") != SERVICE_NAME:
            raise NotOurs(self.url, "Its health answer is not that of a FoundryLocal API.")
        return health


def error_of(body: object, status: int) -> Failure:
    """The error in an answer or a final event."""
    found = errors.error_of(body, status)
    return (
        Failure(f"The service answered {status}", None, "foundrylocal logs --level ERROR")
        if found is None
        else as_failure(found)
    )
