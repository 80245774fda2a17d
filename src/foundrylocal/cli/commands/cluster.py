"""`foundrylocal cluster`: make this machine the head or a further node of a Ray cluster, and look after it."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import facts, say, table
from foundrylocal.kit.sizes import format_bytes

HELP = "Run models on several machines: start or join a Ray cluster."

_MEMORY = (
    "Memory in MB for models on this node; without it the setting memory_budget_mb, or what is free. 0: none."
)


def head(
    address: Annotated[
        str | None,
        typer.Option("--address", help="This machine's address for the other nodes (127.0.1.1: no others)."),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the head.")] = 6379,
    storage: Annotated[
        str,
        typer.Option(
            "--storage",
            help="Where the head keeps its state: memory, disk (survives a restart; alpha in Ray), or redis://HOST:PORT.",
        ),
    ] = "memory",
    memory_mb: Annotated[int | None, typer.Option("--memory-mb", min=0, help=_MEMORY)] = None,
) -> None:
    """Start a cluster on this machine and run until Ctrl-C.

    Makes the cluster's token, and sets cluster_address, so that the service uses the cluster from its next start.

    \b
    Examples:
      foundrylocal cluster head --address 192.168.1.10
    """
    from foundrylocal.cli.cluster.running import run_head

    run_head(address, port, storage, memory_mb)


def join(
    cluster: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="HOST:PORT, as `cluster head` printed it.")
    ],
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="This machine's own address; without it the one that reaches the head."
        ),
    ] = None,
    memory_mb: Annotated[int | None, typer.Option("--memory-mb", min=0, help=_MEMORY)] = None,
) -> None:
    """Offer this machine's memory to a cluster until Ctrl-C.

    Needs the cluster's token (`foundrylocal cluster token --set`). Joins again whenever the connection was lost.

    \b
    Examples:
      foundrylocal cluster join 192.168.1.10:6379 --memory-mb 16000
    """
    from foundrylocal.cli.cluster.running import run_join

    run_join(cluster, address, memory_mb)


def leave() -> None:
    """Leave the cluster.

    Ends the node of this home; on the head, ends the cluster and forgets what it kept.

    \b
    Examples:
      foundrylocal cluster leave
    """
    from foundrylocal.cli.cluster.leaving import leave_cluster

    leave_cluster()


def status(as_json: AsJson = False) -> None:
    """Show the nodes and the models on them.

    With their memory and versions, and which of them do not answer.

    \b
    Examples:
      foundrylocal cluster status
    """
    answer = ManagementClient().get("/cluster")
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    if answer["state"] == "local":
        say("No cluster is set: models run on this machine. Next: foundrylocal cluster head")
        return
    facts([("Cluster", answer["address"]), ("State", answer["state"])])
    if answer["message"]:
        say(f"{answer['message']}: {answer['action']}")
    if answer["nodes"]:
        say()
        table(
            ("NODE", "STATE", "VERSION", "FREE", "MODELS"), [_row(node, answer) for node in answer["nodes"]]
        )
    for node in answer["nodes"]:
        if node["reason"]:
            say(f"{node['name']}: {node['reason']}")


def _row(node: dict[str, Any], answer: dict[str, Any]) -> tuple[str, ...]:
    models = [one["model"] for one in answer["replicas"] if one["node"] == node["name"]]
    version = node["versions"]["foundrylocal"] or "-"
    return (
        node["name"] + (" (service)" if node["is_service"] else ""),
        node["state"],
        f"{version} (another one)" if node["has_other_version"] else version,
        f"{format_bytes(node['free_bytes'])} of {format_bytes(node['memory_bytes'])}",
        ", ".join(sorted(models)) or "-",
    )


def token(
    set_: Annotated[
        bool, typer.Option("--set", help="Read a token from standard input and keep it for this home.")
    ] = False,
) -> None:
    """Show the cluster's token, or keep another one.

    Whoever has it may run programs on every node: copy it by a way that nobody else reads, such as ssh.

    \b
    Examples:
      foundrylocal cluster token
      foundrylocal cluster token --set
    """
    from foundrylocal.engine.ray.node.token import read_token, save_token, token_path
    from foundrylocal.home.folders import Folders

    folders = Folders.locate()
    if not set_:
        found = read_token(folders.state)
        if found is None:
            raise Failure(
                "This home has no token of a cluster",
                None,
                "foundrylocal cluster head, or foundrylocal cluster token --set",
            )
        print(found)
        return
    text = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()
    folders.create()
    try:
        save_token(folders.state, text.strip())
    except ValueError as error:
        raise Failure(
            "This is not a token", str(error), "foundrylocal cluster token, on the head", exit_code=2
        ) from None
    say(f"Token kept in {token_path(folders.state)}. Next: foundrylocal cluster join ADDRESS")


def doctor(
    cluster: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="The head; without it the one of this home.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine as a node of a cluster.

    Ray and its version, the token, open ports, the way to the head and the clock, each with what to do about it; the
    exit code is 1 on an error.

    \b
    Examples:
      foundrylocal cluster doctor 192.168.1.10:6379
    """
    from foundrylocal.cli.cluster.examining import examine
    from foundrylocal.cli.commands.doctor import show_checks

    answer = examine(cluster)
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        show_checks(answer)
    if answer["status"] == "error":
        raise typer.Exit(1)


COMMANDS = {"head": head, "join": join, "leave": leave, "status": status, "token": token, "doctor": doctor}
