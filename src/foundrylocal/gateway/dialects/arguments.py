"""The arguments of earlier calls in a conversation, which agents send back as the model wrote them.

Invariant: the engine gets a JSON object, whatever the model had written: templates read the arguments by name.
"""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.limits.json_depth import check_arguments


def engine_arguments(given: object, place: str) -> str:
    """The arguments as a JSON object; text that is none becomes the value of one. Raises InvalidRequest.

    They are text in the published APIs. Some agents send the object itself, or nothing.
    """
    arguments = given if isinstance(given, str) else msgspec.json.encode(given).decode()
    check_arguments(arguments, place)
    try:
        value = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):  # cut short by a token limit, or never JSON
        value = arguments.strip() or None
    if isinstance(value, dict):
        return arguments
    return "{}" if value in (None, "") else msgspec.json.encode({"arguments": value}).decode()
