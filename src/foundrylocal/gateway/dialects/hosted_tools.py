"""Tools that a provider would run itself (web_search, bash_20250124): left out where there are functions beside them.

Agents offer them to every model. This service does not run them. A request that has functions too works without; one
that offers nothing else is refused, since its answer would not be what the client expects.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from foundrylocal.gateway.dialects.refusals import refuse

_MAX_TOOLS_LOOKED_AT = 256
_DATE_DIGITS = 8
_KNOWN = frozenset(
    {
        *("apply_patch", "bash", "code_execution", "code_interpreter", "computer", "computer_use_preview"),
        *("custom", "file_search", "image_generation", "local_shell", "mcp", "memory", "namespace", "shell"),
        *("text_editor", "tool_search", "web_fetch", "web_search", "web_search_preview"),
    }
)


class _Kind(msgspec.Struct):
    type: str | None = None


_kinds = msgspec.json.Decoder(list[_Kind])
_raws = msgspec.json.Decoder(list[msgspec.Raw])


def split_tools(tools: msgspec.Raw, function_types: Collection[str | None]) -> tuple[msgspec.Raw, list[str]]:
    """The functions among the tools of a request, and the types of the others.

    A list that is malformed is returned as it is: its shape refuses it by name. Raises InvalidRequest when there
    are no functions.
    """
    try:
        kinds = [kind.type for kind in _kinds.decode(tools)]
    except msgspec.DecodeError:
        return tools, []
    hosted = [kind for kind in kinds if kind is not None and kind not in function_types]
    if not hosted or len(kinds) > _MAX_TOOLS_LOOKED_AT:
        return tools, []
    if len(hosted) == len(kinds):
        reason = f"is '{hosted[0][:64]}', a tool that this service does not run: offer functions"
        refuse("tools[0].type", reason)
    pairs = zip(_raws.decode(tools), kinds, strict=True)
    functions = [raw for raw, kind in pairs if kind is None or kind in function_types]
    return msgspec.Raw(msgspec.json.encode(functions)), hosted


def functions_of_choice(choice: msgspec.Raw, function_types: Collection[str | None]) -> msgspec.Raw:
    """A choice among allowed tools, without those that are left out. Raises InvalidRequest when none is left.

    Any other choice is returned as it is, and a malformed one too: its shape refuses it by name.
    """
    try:
        given = msgspec.json.decode(choice)
    except msgspec.DecodeError:
        return choice
    if not isinstance(given, dict) or given.get("type") != "allowed_tools":
        return choice
    # The chat has the list one level deeper than the responses have it.
    place, holder = "tool_choice", given
    if "allowed_tools" in given:
        place, holder = "tool_choice.allowed_tools", given["allowed_tools"]
    tools = holder.get("tools") if isinstance(holder, dict) else None
    if not isinstance(tools, list):
        return choice
    kinds = [tool.get("type") if isinstance(tool, dict) else None for tool in tools]
    hosted = [kind for kind in kinds if isinstance(kind, str) and kind not in function_types]
    if not hosted:
        return choice
    if len(hosted) == len(tools):
        refuse(f"{place}.tools", f"has only tools that this service does not run ('{hosted[0][:64]}')")
    holder["tools"] = [tool for tool, kind in zip(tools, kinds, strict=True) if kind not in hosted]
    return msgspec.Raw(msgspec.json.encode(given))


def known_name(kind: str) -> str:
    """The published name of a tool's type, for logs and metrics: without its date, `other` for an unknown one."""
    name, _, date = kind.rpartition("_")
    undated = name if len(date) == _DATE_DIGITS and date.isdecimal() else kind
    return undated if undated in _KNOWN else "other"
