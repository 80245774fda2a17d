"""`foundrylocal keys`: create, list and revoke the keys that others use the gateway with."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import facts, report, say, table

HELP = "Create, list and revoke keys for people and programs."


class Scope(StrEnum):
    """What a key is for; the text is what the API calls it."""

    INFERENCE = "inference"
    READ = "read"
    MANAGE = "manage"


Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the key: letters, digits, dots, dashes, underscores.")
]


def add(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="Name of each key: letters, digits, dots, dashes, underscores.",
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="A model that the key may use; repeat it for several. Without it, all."),
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", min=1, help="The most requests in any 60 seconds.")
    ] = None,
    tokens_per_day: Annotated[
        int | None, typer.Option("--tokens-per-day", min=1, help="Prompt and answer tokens per day (UTC).")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", help="When it ends, such as 2026-12-31T00:00:00Z.")
    ] = None,
    scope: Annotated[
        Scope,
        typer.Option(
            "--scope",
            help="inference: the gateway; read: GET calls of the management API; manage: every call.",
        ),
    ] = Scope.INFERENCE,
    as_json: AsJson = False,
) -> None:
    """Create a key for each name, and print it, once.

    Keys of several names have the same limits.

    \b
    Examples:
      foundrylocal keys add alice bob --requests-per-minute 20
      foundrylocal keys add ci --model SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    rules = {
        "models": model or None,
        "requests_per_minute": requests_per_minute,
        "tokens_per_day": tokens_per_day,
        "expires_at": expires_at,
        "scope": scope.value,
    }
    given = {field: value for field, value in rules.items() if value is not None}
    made = []
    # A key is shown once, and the next name may be refused: what was made is shown in any case.
    try:
        for name in names:
            answer = ManagementClient().post("/keys", {"name": name, **given})
            made.append(answer)
            if not as_json:
                say(str(answer["message"]))
                facts([("Key", answer["key"])])
    finally:
        if as_json and made:
            print(json.dumps(made if len(names) > 1 else made[0], indent=2))


def list_keys(as_json: AsJson = False) -> None:
    """List the keys with their rules and what they have used.

    \b
    Examples:
      foundrylocal keys list
    """
    answer = ManagementClient().get("/keys")
    if as_json:
        print(json.dumps(answer, indent=2))
    elif not answer["keys"]:
        say("There are no keys besides the default one. Next: foundrylocal keys add NAME")
    else:
        titles = ("NAME", "SCOPE", "MODELS", "REQUESTS/MIN", "TOKENS TODAY", "EXPIRES", "LAST USED")
        table(titles, [_row(key) for key in answer["keys"]])


def rm(name: Name, as_json: AsJson = False) -> None:
    """Revoke a key: it is refused from now on, and its running requests end.

    \b
    Examples:
      foundrylocal keys rm alice
    """
    answer = ManagementClient().delete(f"/keys/{quote(name, safe='')}")
    report(answer, str(answer["message"]), as_json=as_json)


COMMANDS = {"add": add, "list": list_keys, "rm": rm}


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    return (
        key["name"],
        key["scope"],
        ", ".join(key["models"]) if key["models"] else "all",
        _of(key["requests_last_minute"], key["requests_per_minute"]),
        _of(key["tokens_today"], key["tokens_per_day"]),
        key["expires_at"] or "never",
        key["last_used_at"] or "never",
    )


def _of(used: int, limit: int | None) -> str:
    return f"{used} of {limit}" if limit else str(used) if used else "-"
