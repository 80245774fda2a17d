"""`foundrylocal config`: show the settings or change some; the service validates and saves them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure, Refused
from foundrylocal.cli.render import say, table

# `cachedir` is how the published answer spells cache_dir; the others are not settings.
_NOT_SETTINGS = ("success", "message", "cachedir", "overridden")


def command(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings to change, or names of settings to show; without any, show all.",
        ),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="First reset all settings to their defaults.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show or change the settings of the service.

    Lists are written a,b and pairs name=value,name=value; null removes a value.
    For each change it says when it takes effect.

    \b
    Examples:
      foundrylocal config
      foundrylocal config port
      foundrylocal config port=1235 allowed_hosts=box.local,nas.local
      foundrylocal config aliases=small=SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    from foundrylocal.cli.setting_values import parse_settings

    names = None if reset else _names_to_show(settings or [])
    if names is not None:
        _show(ManagementClient().post("/config", {}), names, as_json=as_json)
        return
    changes = parse_settings(settings or [])
    answer = _send(changes | ({"defaults": True} if reset else {}))
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        say(str(answer["message"]))
        for name in changes:
            say(f"  {_when(name, answer)}")


def _names_to_show(words: list[str]) -> list[str] | None:
    """The settings to show, none for all of them; None if a word is a change.

    `config get NAME` and `config list` are what other programs call it.
    """
    from foundrylocal.cli.setting_values import form_of, unknown_setting
    from foundrylocal.settings.schema import FILE_ONLY_SETTINGS, Settings

    if len(words) == 3 and words[0] == "set" and "=" not in "".join(words):
        raise Failure(
            "A setting is changed without the word 'set'",
            "Values are written KEY=VALUE.",
            f"foundrylocal config {words[1]}={words[2]}",
            exit_code=2,
        )
    names = words[1:] if words[:1] in (["get"], ["list"], ["show"]) else words
    if any("=" in name for name in names):
        return None
    for name in names:
        if name not in Settings.model_fields:
            raise unknown_setting(name)
        if name in FILE_ONLY_SETTINGS:
            raise Failure(f"'{name}' is not shown", form_of(name), "foundrylocal config", exit_code=2)
    return names


def _send(changes: dict[str, Any]) -> dict[str, Any]:
    """Raises Failure; for a value that cannot be, with the form of its setting."""
    from foundrylocal.cli.setting_values import example_of, form_of

    try:
        answer: dict[str, Any] = ManagementClient().post("/config", changes)
    except Refused as refusal:
        named = [name for name in changes if refusal.why and f"{name}:" in refusal.why.replace(".", ":")]
        if refusal.code != "invalid_configuration" or not named:
            raise
        forms = "\n".join(form_of(name) for name in named)
        raise Failure(
            refusal.what, f"{refusal.why}\n{forms}", f"foundrylocal config {example_of(named[0])}"
        ) from refusal
    return answer


def _when(name: str, answer: dict[str, Any]) -> str:
    """When a change takes effect, or what overrides it."""
    from foundrylocal.settings.applies import applies

    fixed_by = answer.get("overridden", {}).get(name)
    if fixed_by is None:
        return f"{name} takes effect {applies(name)}"
    return f"{name} is saved, but has no effect: {_source(fixed_by)} overrides it"


def _source(fixed_by: str) -> str:
    return fixed_by if fixed_by.startswith("FOUNDRYLOCAL_") else f"the {fixed_by} of the service"


def _show(answer: dict[str, Any], names: list[str], *, as_json: bool) -> None:
    """Those settings; all of them without `names`."""
    from foundrylocal.cli.setting_values import written_setting

    if names:
        answer = {name: value for name, value in answer.items() if name in (*names, "overridden")}
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    overridden = {name: by for name, by in answer.get("overridden", {}).items() if name in answer}
    rows = [
        (name, written_setting(value), overridden.get(name, ""))
        for name, value in answer.items()
        if name not in _NOT_SETTINGS
    ]
    if overridden:
        table(("SETTING", "VALUE", "OVERRIDDEN BY"), rows)
        say("An overridden setting keeps its value, whatever you save.")
    else:
        table(("SETTING", "VALUE"), [row[:2] for row in rows])
