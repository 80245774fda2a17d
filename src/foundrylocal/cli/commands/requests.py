"""`foundrylocal requests`: what the gateway is answering and has answered, and how to end a request."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import facts, report, say, say_verbatim, table

HELP = "List the requests with their figures; show or end one."

RequestId = Annotated[str, typer.Argument(metavar="ID", help="Id of a request, as the list shows it.")]


def list_requests(
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=10_000, help="How many to show.")] = 20,
    model: Annotated[str | None, typer.Option("--model", help="Only requests to this model.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only requests with the key of this name.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only: waiting, running, ok, cancelled or failed.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List running and recent requests, newest first.

    \b
    Examples:
      foundrylocal requests list --limit 50 --status failed
    """
    answer = ManagementClient().get("/requests", limit=limit, model=model, key=key, status=status)
    if as_json:
        print(json.dumps(answer, indent=2))
    elif not answer["requests"]:
        say("No request matches." if model or key or status else "No requests yet.")
    else:
        titles = ("ID", "AT", "KEY", "MODEL", "STATUS", "IN", "OUT", "TOKENS/S", "FIRST MS", "TOTAL MS")
        table(titles, [_row(entry) for entry in answer["requests"]])


def show(request_id: RequestId, as_json: AsJson = False) -> None:
    """Show everything about one request.

    \b
    Examples:
      foundrylocal requests show req-9f86d081884c7d65
    """
    entry = ManagementClient().get(f"/requests/{quote(request_id, safe='')}")
    if as_json:
        print(json.dumps(entry, indent=2))
        return
    captured, error = entry.pop("captured"), entry.pop("error")
    facts(list(entry.items()))
    if error:
        facts([("error", error["code"]), ("because", error["message"])])
    if captured:
        for name in ("request", "answer"):
            say(f"{name}:")
            say_verbatim(json.dumps(captured[name], indent=2, ensure_ascii=False))


def end(request_id: RequestId, as_json: AsJson = False) -> None:
    """End a running request; its client gets an error.

    \b
    Examples:
      foundrylocal requests end req-9f86d081884c7d65
    """
    answer = ManagementClient().delete(f"/requests/{quote(request_id, safe='')}")
    report(answer, str(answer["message"]), as_json=as_json)


_COLUMNS = (
    *("id", "at", "key", "model", "status", "tokens_in", "tokens_out"),
    *("tokens_per_second", "first_token_ms", "total_ms"),
)
COMMANDS = {"list": list_requests, "show": show, "end": end}


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple("-" if entry[name] is None else str(entry[name]) for name in _COLUMNS)
