"""From the body of /start, /switch-model and /plan to what the server is asked."""

from __future__ import annotations

from foundrylocal.server.requests import StartRequest
from foundrylocal.wire.load_options import given_options
from foundrylocal.wire.server import StartBody


def start_request(body: StartBody) -> StartRequest:
    """The request; the default of `timeout_seconds` is no time limit of the load, only of one without progress."""
    options = body.options
    has_limit = "timeout_seconds" in options.model_fields_set
    return StartRequest(
        model_name=body.model_name,
        port=body.port,
        may_download=options.auto_download,
        timeout_s=float(options.timeout_seconds) if has_limit else None,
        health_period_s=float(options.health_check_interval_seconds),
        options=given_options(options),
        is_strict=options.strict,
    )
