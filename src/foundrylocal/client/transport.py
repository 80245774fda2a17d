"""HTTP for the synchronous client and the command line: every wait is bounded, and every failure is a ClientError.

The command line starts with it, so it uses the standard library's client, which is imported in a few milliseconds.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from foundrylocal.client.addresses import Address
from foundrylocal.client.errors import (
    ApiError,
    ConnectionLost,
    NoAnswer,
    NotFoundryLocal,
    Unreachable,
    error_of,
)
from foundrylocal.kit import sse

_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


class Transport:
    """Calls to one address, each on its own connection, so that threads may share it."""

    def __init__(self, address: Address, key: str | None = None) -> None:
        self.address = address
        self._key = key

    @property
    def url(self) -> str:
        return self.address.url

    @contextmanager
    def _open(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and yield the answer, whatever its status; close the connection on exit."""
        address = self.address
        connection = _CONNECTIONS[address.scheme](address.host, address.port, timeout=timeout_s)
        try:
            self._connect(connection)
            connection.request(method, address.prefix + path, body, headers_of(self._key, body))
            with connection.getresponse() as answer:
                yield answer
        except TimeoutError as error:
            raise NoAnswer(self.url, timeout_s) from error
        except (http.client.HTTPException, OSError) as error:
            raise ConnectionLost(self.url, str(error) or type(error).__name__) from error
        finally:
            connection.close()

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.connect()
        except ConnectionRefusedError as error:
            raise Unreachable(self.url, "Nothing is listening there.") from error
        except OSError as error:
            raise Unreachable(self.url, error.strerror or str(error) or type(error).__name__) from error

    def call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> bytes:
        """The body of the answer. Raises ApiError if it is an error."""
        with self._open(method, path, body, timeout_s) as answer:
            data = answer.read()
            if answer.status >= 400:
                raise refusal(self.url, answer.status, data, answer.getheader("Retry-After"))
        return data

    def events(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> Generator[str, None, None]:
        """The data of each server-sent event as it arrives; closing the generator ends the request."""
        with self._open(method, path, body, timeout_s) as answer:
            if answer.status >= 400:
                raise refusal(self.url, answer.status, answer.read(), answer.getheader("Retry-After"))
            # readline, because iterating would wait until a whole buffer is full.
            lines = iter(answer.readline, b"")
            yield from sse.parse(line.decode("utf-8", "replace").rstrip("\r\n") for line in lines)

    def close(self) -> None:
        """Nothing stays open between calls."""


def headers_of(key: str | None, body: bytes | None) -> dict[str, str]:
    """The headers of a request."""
    headers = {"Accept": "application/json, text/event-stream"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    return headers


def refusal(url: str, status: int, data: bytes, retry_after: str | None = None) -> ApiError | NotFoundryLocal:
    """The error that an answer with such a status is."""
    found = error_of(decoded(data), status, retry_after)
    return found or NotFoundryLocal(url, f"It answered {status}.")


def encoded(body: object) -> bytes | None:
    """The body as it is sent; None sends none."""
    return None if body is None else json.dumps(body).encode()


def decoded(data: bytes | str) -> Any:
    """The JSON value; None if it is not JSON."""
    try:
        return json.loads(data)
    except ValueError:
        return None
