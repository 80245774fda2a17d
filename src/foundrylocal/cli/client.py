"""HTTP clients for the CLI: every wait is bounded, and every error is readable.

They use the standard library's client because it imports in a few milliseconds.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from foundrylocal.cli.failure import Failure, NotOurs, Refused, Unreachable
from foundrylocal.kit import sse

Json = dict[str, Any]

BASE_PATH = "/iblink/v1/foundry-local"
SERVICE_NAME = "foundry-local-api"
CALL_TIMEOUT_S = 30.0
# A stream sends at least a comment every 15 s.
STREAM_TIMEOUT_S = 60.0


def default_url() -> str:
    """FOUNDRYLOCAL_URL, or the running service of this home, or the configured port on this machine."""
    if url := os.environ.get("FOUNDRYLOCAL_URL"):
        return url
    return _address_of_home() or f"http://127.0.0.1:{os.environ.get('FOUNDRYLOCAL_API_PORT') or 9500}"


def _address_of_home() -> str | None:
    from foundrylocal.settings.folders import Folders
    from foundrylocal.settings.home_lock import HomeUnusable
    from foundrylocal.settings.service_address import find_address

    try:
        return find_address(Folders.locate().state)
    except HomeUnusable:
        return None


class HttpClient:
    """Calls to one address, each on its own connection. Raises Failure."""

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise Failure(
                f"'{url}' is not the address of a service", "Write it as http://127.0.0.1:9500.", exit_code=2
            )
        self.host = parts.hostname
        self.port = port or (443 if parts.scheme == "https" else 80)
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._prefix = parts.path.rstrip("/").removesuffix(BASE_PATH)
        self._key = key
        shown = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"{parts.scheme}://{shown}:{self.port}{self._prefix}"

    @contextmanager
    def open(
        self, method: str, path: str, body: object = None, *, timeout_s: float = CALL_TIMEOUT_S
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and yield the answer, whatever its status; close the connection on exit."""
        connection = self._kind(self.host, self.port, timeout=timeout_s)
        headers = {"Accept": "application/json, text/event-stream"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            self._connect(connection)
            connection.request(method, self._prefix + path, _encode(body), headers)
            with connection.getresponse() as answer:
                yield answer
        except TimeoutError as error:
            raise Failure(
                f"{self.url} did not answer in {timeout_s:g} s", None, "foundrylocal status"
            ) from error
        except (http.client.HTTPException, OSError) as error:
            reason = str(error) or type(error).__name__
            raise Failure(f"The connection to {self.url} was lost", reason, "foundrylocal status") from error
        finally:
            connection.close()

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.connect()
        except ConnectionRefusedError as error:
            raise Unreachable(self.url, "Nothing is listening there.") from error
        except OSError as error:
            raise Unreachable(self.url, str(error) or type(error).__name__) from error

    def call(self, method: str, path: str, body: object = None, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """The decoded answer. Raises Refused if it is an error."""
        with self.open(method, path, body, timeout_s=timeout_s) as answer:
            data = answer.read()
            if answer.status >= 400:
                raise _refusal(answer.status, data)
        return _decode(self.url, data)

    def events(
        self, method: str, path: str, body: object = None, *, timeout_s: float = STREAM_TIMEOUT_S
    ) -> Generator[str, None, None]:
        """The data of each event as it arrives; closing the iterator ends the request."""
        with self.open(method, path, body, timeout_s=timeout_s) as answer:
            if answer.status >= 400:
                raise _refusal(answer.status, answer.read())
            # readline, because iterating would wait until a whole buffer is full.
            lines = iter(answer.readline, b"")
            yield from sse.parse(line.decode("utf-8", "replace").rstrip("\r\n") for line in lines)


class ManagementClient(HttpClient):
    """The management API; it needs the key only if the service has one."""

    def __init__(self, url: str | None = None) -> None:
        super().__init__(url or default_url(), os.environ.get("FOUNDRYLOCAL_MANAGEMENT_KEY"))

    def get(self, path: str, **query: object) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        return self.call("GET", f"{BASE_PATH}{path}" + (f"?{urlencode(given)}" if given else ""))

    def post(self, path: str, body: object = None, *, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        return self.call("POST", BASE_PATH + path, body, timeout_s=timeout_s)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", BASE_PATH + path)

    def operate(self, path: str, body: object = None) -> Generator[Json, None, None]:
        """The parsed events of an operation; the last one is `success` or `error`."""
        for text in self.events("POST", BASE_PATH + path, body):
            yield _decode(self.url, text.encode())

    def watch(self, path: str, **query: object) -> Generator[Json, None, None]:
        given = urlencode({name: value for name, value in query.items() if value is not None})
        for text in self.events("GET", f"{BASE_PATH}{path}?{given}"):
            yield _decode(self.url, text.encode())

    def check(self, *, timeout_s: float = 5.0) -> Json:
        """The health of the service. Raises Unreachable or NotOurs."""
        try:
            health = self.call("GET", f"{BASE_PATH}/health", timeout_s=timeout_s)
        except Unreachable:
            raise
        except Refused as refusal:
            if refusal.code != "unknown":
                raise
            raise NotOurs(self.url, f"It answered {refusal.status}.") from refusal
        except Failure as failure:
            raise NotOurs(self.url, failure.why or failure.what) from failure
        if not isinstance(health, dict) or health.get("service") != SERVICE_NAME:
            raise NotOurs(self.url, "Its health answer is not that of a FoundryLocal API.")
        return health


def model_path(name: str, verb: str = "") -> str:
    """The path of a model, whatever characters its name contains."""
    return f"/models/{quote(name, safe='')}{verb}"


def error_of(body: object, status: int) -> Refused:
    """The error in an answer or a final event; its code is `unknown` if it does not have the published shape."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return Refused(status, "unknown", f"The service answered {status}", None)
    details = error.get("reason") or error.get("details")
    return Refused(
        status, str(error.get("code")), error["message"], None if details is None else str(details)
    )


def _refusal(status: int, data: bytes) -> Refused:
    try:
        return error_of(json.loads(data), status)
    except ValueError:
        return error_of(None, status)


def _encode(body: object) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


def _decode(url: str, data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise NotOurs(url, "Its answer is not JSON.") from error
