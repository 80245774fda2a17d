"""The verbs as people type them: names, options and help. The work of each is in `commands/`.

Invariant: nothing is imported here but typer; a verb loads what it needs when it is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

STARTER_MODEL = "SmolLM2-135M-Instruct-Q4_1-GGUF"

app = typer.Typer(
    help="A language model on your own machine, and a plain HTTP API to manage it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="The verbs call the service at FOUNDRYLOCAL_URL, by default http://127.0.0.1:9500.",
)

Model = Annotated[str, typer.Argument(help="Name or id of a model, as `foundrylocal list` shows it.")]
ServerPort = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Port of the FoundryLocal server; 0 is any free one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the service's own answer.")]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address of the management API.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the management API; 0 is any free one.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Write the log to stderr, too.")] = False,
) -> None:
    """Run the management API and, once a model is started, the FoundryLocal server."""
    from foundrylocal.cli.commands.serve import serve

    raise typer.Exit(serve(host, port, verbose=verbose))


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="Name or id of a model.")] = STARTER_MODEL,
    prompt: Annotated[
        str | None, typer.Argument(help="Ask this and end; without it, chat at a terminal or read stdin.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End after one answer; without PROMPT, to a question of ours.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port of the service to use or to start; 0 starts one of its own."
        ),
    ] = None,
    server_port: Annotated[
        int | None,
        typer.Option(
            "--server-port", min=0, max=65535, help="Port of the FoundryLocal server; 0 is any free one."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave running what this command started.")] = False,
) -> None:
    """Chat with a model, starting and downloading what is needed."""
    from foundrylocal.cli.commands.run import RunOptions, run

    run(RunOptions(model, prompt, is_once=once, port=port, server_port=server_port, keep=keep))


@app.command("list")
def list_models(
    downloaded: Annotated[bool, typer.Option("--downloaded", help="Only those on this machine.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the models there are."""
    from foundrylocal.cli.commands.list import list_models

    list_models(is_downloaded=downloaded, as_json=as_json)


@app.command()
def pull(model: Model) -> None:
    """Download a model."""
    from foundrylocal.cli.commands.pull import pull

    pull(model)


@app.command()
def rm(model: Model) -> None:
    """Delete a downloaded model."""
    from foundrylocal.cli.commands.rm import rm

    rm(model)


@app.command()
def start(model: Model, port: ServerPort = None) -> None:
    """Start the FoundryLocal server with a model."""
    from foundrylocal.cli.commands.start import start

    start(model, port)


@app.command()
def stop() -> None:
    """Stop the FoundryLocal server; the management API goes on."""
    from foundrylocal.cli.commands.stop import stop

    stop()


@app.command()
def switch(model: Model) -> None:
    """Move the running server to another model."""
    from foundrylocal.cli.commands.switch import switch

    switch(model)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what runs, where it answers and with which key."""
    from foundrylocal.cli.commands.status import status

    status(as_json=as_json)


@app.command()
def logs(
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with what is logged from now.")
    ] = False,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=10_000, help="Entries to show.")] = 100,
    level: Annotated[str | None, typer.Option(help="Only this level, such as ERROR.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this source, such as FoundryLocalService.")] = None,
) -> None:
    """Show what was logged."""
    from foundrylocal.cli.commands.logs import logs

    logs(is_following=follow, count=count, level=level, source=source)


@app.command()
def config(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change; none shows them."),
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Set all to their defaults first.")] = False,
) -> None:
    """Show or change the settings of the service."""
    from foundrylocal.cli.commands.config import config

    config(settings or [], is_reset=reset)
