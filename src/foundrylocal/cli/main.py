"""The command `foundrylocal`: hands `serve` to the runtime and every other verb to `verbs`.

Invariant: on the way to `serve` nothing is imported but what parses its options, so that it starts quickly.
"""

from __future__ import annotations

import os
import sys

from foundrylocal.kit.standard_streams import open_standard_streams


def main() -> int:
    """Run one verb. The exit code is 0, 1 if it failed, or 2 if the command line was wrong."""
    open_standard_streams()
    arguments = [_as_utf8(word) for word in sys.argv[1:]]
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if arguments[:1] == ["serve"] and not {"-h", "--help", "--detach"} & set(arguments):
        return _serve(arguments[1:])
    return _run_verb(arguments)


def _as_utf8(word: str) -> str:
    """What was typed as UTF-8 although the locale is another one; a file name may be of any bytes, and stays."""
    try:
        return os.fsencode(word).decode()
    except UnicodeError:
        return word


def _serve(arguments: list[str]) -> int:
    import argparse

    parser = argparse.ArgumentParser(prog="foundrylocal serve", allow_abbrev=False)
    parser.add_argument("--host")
    parser.add_argument("--port", type=_port)
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args(arguments)
    from foundrylocal.cli.lean_import import import_runtime

    return int(import_runtime().serve(host=given.host, port=given.port, verbose=given.verbose))


def _port(text: str) -> int:
    import argparse

    if not text.isascii() or not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text[:80]}' is not a port: give a number from 0 to 65535")
    return int(text)


def _run_verb(arguments: list[str]) -> int:
    from foundrylocal.cli.failure import Failure
    from foundrylocal.cli.render import show_failure
    from foundrylocal.cli.verbs import app

    try:
        app(arguments, prog_name="foundrylocal")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Failure as failure:
        show_failure(failure)
        return failure.exit_code
    return 0
