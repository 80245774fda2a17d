"""`foundrylocal run`: from nothing to a chat in one command, and back to nothing at its end.

Invariant: what this command started it ends, unless it was told to keep it; what ran before goes on.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from foundrylocal.cli.chat import Conversation
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.operations import RunningServer, ensure_running
from foundrylocal.cli.render import clean, facts, say, show_failure
from foundrylocal.cli.service import reach

# One that a model of 135 million parameters answers well, and the same each time.
QUESTION = "Tell me in one sentence what a cat is."
QUESTION_OPTIONS = {"temperature": 0, "max_tokens": 100}
_PROMPT = "> "
_HELP = "/bye ends, /clear forgets what was said, Ctrl-C stops an answer."


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What was asked for; `port` is the management API's and `server_port` the FoundryLocal server's."""

    model: str
    prompt: str | None
    is_once: bool
    port: int | None
    server_port: int | None
    keep: bool


def run(options: RunOptions) -> None:
    """Chat with a model; raises Failure."""
    # Read first: nothing should be started or downloaded for a command line that says too little.
    question = _question(options)
    with _ending_on_signals(), reach(options.port, keep=options.keep) as service:
        server = ensure_running(service.api, options.model, options.server_port)
        try:
            if question is None:
                _show_access(server, options)
                _chat(Conversation(server))
                _show_end(service.is_ours or server.is_ours, options)
            else:
                _ask_once(Conversation(server), question, options)
                _show_access(server, options)
                _show_next(service.is_ours or server.is_ours, server, options)
        finally:
            if server.is_ours and not options.keep and not service.is_ours:
                _stop(service.api)


def _question(options: RunOptions) -> str | None:
    """What to ask; None for a chat."""
    if options.prompt is not None:
        return options.prompt
    if options.is_once:
        return QUESTION
    if sys.stdin.isatty():
        return None
    if piped := sys.stdin.read().strip():
        return piped
    raise Failure(
        "There is nothing to ask",
        "Without a terminal the question is given as PROMPT or on stdin.",
        "foundrylocal run --once",
        exit_code=2,
    )


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Make SIGTERM and a closed terminal end this command as an exception, so that all is cleaned up."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    names = ("SIGTERM", "SIGHUP")
    before = {
        number: signal.signal(number, end)
        for name in names
        if (number := getattr(signal, name, None)) is not None
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask_once(conversation: Conversation, question: str, options: RunOptions) -> None:
    say()
    say(f"{_PROMPT}{question}")
    extra = QUESTION_OPTIONS if options.prompt is None and options.is_once else {}
    answer = conversation.ask(question, _write, **extra)
    say()
    if answer.is_stopped:
        raise KeyboardInterrupt
    if not answer.text:
        raise Failure("The model said nothing", None, "ask again, or try another model: foundrylocal list")
    say(f"({answer.figures()})")


def _chat(conversation: Conversation) -> None:
    """Questions and answers until /bye, the end of input, or Ctrl-C twice at the prompt."""
    _enable_editing()
    say(f"\nType a message. {_HELP}")
    is_warned = False
    while True:
        try:
            line = input(_PROMPT).strip()
        except EOFError:
            say()
            return
        except KeyboardInterrupt:
            say()
            if is_warned:
                return
            is_warned = True
            say(f"{_HELP} Ctrl-C again ends as well.")
            continue
        is_warned = False
        if line == "/bye":
            return
        if line:
            _take_turn(conversation, line)


def _take_turn(conversation: Conversation, line: str) -> None:
    if line == "/clear":
        conversation.clear()
        say("Forgotten.")
        return
    if line.startswith("/") and " " not in line:
        say(_HELP)
        return
    try:
        answer = conversation.ask(line, _write)
    except Failure as failure:
        # The chat goes on: a worker that crashed is back in a moment.
        say()
        show_failure(failure)
        return
    say()
    say(f"({'stopped, ' if answer.is_stopped else ''}{answer.figures()})")


def _write(text: str) -> None:
    sys.stdout.write(clean(text))
    sys.stdout.flush()


def _enable_editing() -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - its import gives input() line editing and history


def _show_access(server: RunningServer, options: RunOptions) -> None:
    say()
    facts([("Model", server.model), ("Endpoint", server.endpoint), ("API key", server.key)])
    say()
    say(_curl(server))


def _curl(server: RunningServer) -> str:
    """A line to paste into a shell."""
    body = json.dumps({"model": server.model_id, "messages": [{"role": "user", "content": "Hello!"}]})
    return (
        f"curl {server.endpoint}/chat/completions -H 'Authorization: Bearer {server.key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _show_end(is_ending: bool, options: RunOptions) -> None:
    if is_ending and not options.keep:
        say("Ending what this command started; --keep would have left it running.")
    else:
        say("The server goes on; foundrylocal stop ends it.")


def _show_next(is_ending: bool, server: RunningServer, options: RunOptions) -> None:
    say()
    if is_ending and not options.keep:
        say("What this command started ends with it. To have it stay, with the same key:")
        say("  foundrylocal serve")
        say(f"  foundrylocal start {server.model}      (in another terminal)")
    else:
        say("The server goes on. Next:")
        say("  foundrylocal status")
        say("  foundrylocal stop")
    say(f"  foundrylocal run {server.model}        (a chat)")


def _stop(api: ManagementClient) -> None:
    try:
        say(str(api.post("/stop").get("message", "")))
    except Failure as failure:
        show_failure(failure)
