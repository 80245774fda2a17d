"""Checks of the way to the hub: proxy variables, reachability, and the clock, which TLS depends on.

Invariant: one request at most goes out, to the configured hub, with no data and no token.
"""

from __future__ import annotations

import email.utils
import os
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from foundrylocal.doctor.finding import Finding, error, ok, warning

DEFAULT_HUB = "https://huggingface.co"
HUB_TIMEOUT_S = 6.0
MAX_CLOCK_ERROR_S = 300.0
# Package indexes and disk images stamp files in several time zones.
INSTALL_SLACK_S = 2 * 86_400.0
_PROXY_NAMES = ("https_proxy", "http_proxy", "all_proxy")
_OFFLINE_ACTION = (
    "Models that are on disk work without it. For downloads, check the network, the proxy and HF_ENDPOINT."
)


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """What the hub answered: `status` is None when it could not be reached, because of `problem`.

    `clock_offset_s` is how far this machine's clock is ahead of the hub's; None when the hub did not say.
    """

    status: int | None
    problem: Exception | None = None
    clock_offset_s: float | None = None


def check_proxy(environment: Mapping[str, str]) -> Finding:
    """Whether the proxy variables make sense, and leave this machine's own addresses alone."""
    given = {name: value for name in _PROXY_NAMES if (value := _variable(environment, name))}
    if not given:
        return ok("No proxy is configured.")
    for name, value in given.items():
        if (reason := _proxy_problem(value)) is not None:
            return error(
                f"{name.upper()} is not a proxy address: {reason}.",
                "Write it as http://HOST:PORT, or unset it.",
            )
    bypassed = {entry.strip().lower() for entry in _variable(environment, "no_proxy").split(",")}
    if not bypassed & {"*", "localhost", "127.0.0.1"}:
        return warning(
            "A proxy is configured, but NO_PROXY does not name localhost: programs may send requests for this "
            "service to the proxy.",
            "Set NO_PROXY=localhost,127.0.0.1,::1.",
        )
    return ok(f"A proxy is configured: {_without_password(next(iter(given.values())))}.")


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _proxy_problem(value: str) -> str | None:
    parts = urlsplit(value if "//" in value else f"http://{value}")
    try:
        port = parts.port
    except ValueError:
        return "the port is not a number"
    if not parts.hostname:
        return "there is no host name"
    return "the port is 0" if port == 0 else None


def _without_password(value: str) -> str:
    parts = urlsplit(value if "//" in value else f"http://{value}")
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def check_hub(endpoint: str, environment: Mapping[str, str], ask: Callable[[], HubAnswer]) -> Finding:
    """Whether models can be found and downloaded."""
    host = urlsplit(endpoint).hostname or endpoint
    if is_offline(environment):
        return warning(
            "HF_HUB_OFFLINE is set: nothing is downloaded from the hub.", "Unset it to download models."
        )
    answer = ask()
    if answer.status is None:
        return _explain(host, answer.problem)
    if answer.status == 407:
        return warning(
            "The proxy requires a user name and a password.",
            "Set HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT.",
        )
    if answer.status >= 500:
        return warning(f"The hub at {host} answers {answer.status}.", "Try again later.")
    return ok(f"The hub at {host} can be reached.")


def is_offline(environment: Mapping[str, str]) -> bool:
    """Whether the hub's library was told to stay offline."""
    return environment.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def _explain(host: str, problem: Exception | None) -> Finding:
    reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
    if isinstance(reason, ssl.SSLCertVerificationError):
        if "expired" in reason.verify_message or "not yet valid" in reason.verify_message:
            return warning(
                f"The certificate of {host} is not valid at the time that this machine's clock shows.",
                "Set the clock; otherwise the certificate is out of date.",
            )
        return warning(
            f"The certificate of {host} is not trusted: {reason.verify_message}.",
            "If a proxy inspects TLS, add its certificate: SSL_CERT_FILE=FILE.",
        )
    if isinstance(reason, socket.gaierror):
        text = "its name cannot be resolved"
    elif isinstance(reason, TimeoutError):
        text = f"no answer within {HUB_TIMEOUT_S:g} s"
    elif isinstance(reason, OSError) and reason.strerror:
        text = reason.strerror
    else:
        text = str(reason) or type(reason).__name__
    return warning(f"The hub at {host} cannot be reached: {text}.", _OFFLINE_ACTION)


def check_clock(now_s: float, installed_s: float, answer: HubAnswer | None) -> Finding:
    """Whether the clock is right: by the hub's clock, or else later than the installation of this program."""
    action = (
        "Set the clock, for example with: timedatectl set-ntp true. A wrong clock breaks downloads (TLS)."
    )
    if answer is not None and answer.clock_offset_s is not None:
        offset_s = answer.clock_offset_s
        if abs(offset_s) > MAX_CLOCK_ERROR_S:
            direction = "ahead" if offset_s > 0 else "behind"
            return error(f"The clock is {_duration(abs(offset_s))} {direction}.", action)
        return ok("The clock agrees with the hub's.")
    if now_s < installed_s - INSTALL_SLACK_S:
        day = datetime.fromtimestamp(now_s, UTC).date()
        return error(f"The clock shows {day}, a day before this program was installed.", action)
    return ok("The clock is plausible (the hub could not be asked).")


def _duration(seconds: float) -> str:
    if seconds < 3 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 3 * 86_400 else f"{seconds / 86_400:.0f} days"


def hub_endpoint(environment: Mapping[str, str] = os.environ) -> str:
    """Where the hub is: HF_ENDPOINT, or the public one."""
    return environment.get("HF_ENDPOINT") or DEFAULT_HUB


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any, **options: Any) -> None:
        return None


def hub_asker(endpoint: str, now_s: Callable[[], float]) -> Callable[[], HubAnswer]:
    """A function that asks the hub once, blocking; every further call, in any thread, gets the same answer."""
    lock, answers = threading.Lock(), list[HubAnswer]()

    def ask() -> HubAnswer:
        with lock:
            if not answers:
                answers.append(ask_hub(endpoint, now_s))
            return answers[0]

    return ask


def ask_hub(endpoint: str, now_s: Callable[[], float]) -> HubAnswer:
    """Ask for the head of the hub's first page, through the proxy of the environment; blocking."""
    if urlsplit(endpoint).scheme not in ("http", "https"):
        return HubAnswer(None, ValueError("HF_ENDPOINT is not an http or https address"))
    request = urllib.request.Request(endpoint, method="HEAD", headers={"User-Agent": "foundrylocal-doctor"})  # noqa: S310
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=HUB_TIMEOUT_S) as answer:
            return HubAnswer(answer.status, None, _offset_s(answer.headers.get("Date"), now_s()))
    except urllib.error.HTTPError as failure:
        with failure:
            return HubAnswer(failure.code, None, _offset_s(failure.headers.get("Date"), now_s()))
    except (OSError, ValueError) as failure:  # URLError is an OSError; ValueError: a proxy that is none
        return HubAnswer(None, failure)


def _offset_s(date: str | None, now_s: float) -> float | None:
    try:
        return now_s - email.utils.parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
