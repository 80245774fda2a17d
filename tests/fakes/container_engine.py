"""`podman` as far as docs/how-to/containers.md uses it, without containers: the edge that no test machine has.

A container is a process with the environment of the Containerfile, and the volume at /data is its home. An option
that is not in OPTIONS is an error. Nothing is opened to the network: the container's own addresses are loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.package.containerfile import instructions_of
from tests.running import REPOSITORY

END_TIMEOUT_S = 30
# What the page uses of each command; tests/docs/test_container_commands.py compares them with a real podman.
OPTIONS: dict[str, dict[str, object]] = {
    "build": {"--format": None, "--tag": None, "--pull": "store_true", "--build-arg": None},
    "run": {
        "--detach": "store_true",
        "--init": "store_true",
        "--name": None,
        "--env": "append",
        "--publish": "append",
        "--volume": "append",
        "--device": "append",
    },
    "rm": {"--force": "store_true"},
    "exec": {},
    "healthcheck run": {},
    "volume export": {},
    "volume rm": {},
}


def engine_script(folder: Path) -> str:
    """A program for PATH that keeps its images, containers and volumes in the folder."""
    variables = f'CONTAINERS="{folder}" PYTHONPATH="{REPOSITORY}"'
    return f'#!/bin/sh\n{variables} exec "{sys.executable}" -m tests.fakes.container_engine "$@"\n'


class Engine:
    """What there is, in files: images, volumes as folders, containers with their process and environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("images", "volumes", "containers"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def build(self, options: argparse.Namespace, words: list[str]) -> int:
        instructions_of(Path(words[0]) / "Containerfile")
        (self._folder / "images" / options.tag).touch()
        return 0

    def run(self, options: argparse.Namespace, words: list[str]) -> int:
        image, *command = words
        if (
            not (self._folder / "images" / image).exists()
            or (self._folder / "containers" / options.name).exists()
        ):
            return self._refuse(f"no image {image}, or another container has the name")
        environment = dict(self._of_image())
        for word in options.env:
            name, _, value = word.partition("=")
            environment[name] = value or os.environ[name]
        sources = [one.split(":")[0] for one in options.volume if one.split(":")[1] == "/data"]
        environment["FOUNDRYLOCAL_HOME"] = str(self._folder / "volumes" / sources[0])
        process = subprocess.Popen(
            [sys.executable, "-m", "foundrylocal", *(command or ["serve"])],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        record = {"pid": process.pid, "environment": environment}
        (self._folder / "containers" / options.name).write_text(json.dumps(record))
        return 0

    def exec(self, options: argparse.Namespace, words: list[str]) -> int:
        name, *command = words
        return subprocess.run(command, env=self._environment(name), check=False).returncode

    def healthcheck_run(self, options: argparse.Namespace, words: list[str]) -> int:
        (check,) = (one for one in instructions_of(REPOSITORY / "Containerfile") if one.name == "HEALTHCHECK")
        command = json.loads(check.text.partition("CMD ")[2])
        return subprocess.run(command, env=self._environment(words[0]), check=False).returncode

    def rm(self, options: argparse.Namespace, words: list[str]) -> int:
        record = self._folder / "containers" / words[0]
        pid = json.loads(record.read_text())["pid"]
        os.kill(pid, signal.SIGTERM)
        subprocess.run(["tail", f"--pid={pid}", "-f", "/dev/null"], timeout=END_TIMEOUT_S, check=True)
        record.unlink()
        return 0

    def volume_export(self, options: argparse.Namespace, words: list[str]) -> int:
        folder = self._folder / "volumes" / words[0]
        return subprocess.run(["tar", "-C", str(folder), "-c", "."], check=False).returncode

    def volume_rm(self, options: argparse.Namespace, words: list[str]) -> int:
        if any((self._folder / "containers").iterdir()):
            return self._refuse("the volume is in use")
        shutil.rmtree(self._folder / "volumes" / words[0])
        return 0

    def _environment(self, name: str) -> dict[str, str]:
        record = json.loads((self._folder / "containers" / name).read_text())
        return {**os.environ, **record["environment"]}

    def _of_image(self) -> list[tuple[str, str]]:
        (text,) = (one.text for one in instructions_of(REPOSITORY / "Containerfile") if one.name == "ENV")
        found = re.findall(r'(FOUNDRYLOCAL_\w+)="?([^"\s]+)"?', text)
        return [(name, value.replace("0.0.0.0", "127.0.0.1")) for name, value in found]

    def _refuse(self, why: str) -> int:
        print(f"Error: {why}", file=sys.stderr)
        return 125


def main(arguments: list[str]) -> int:
    count = 2 if arguments[0] in ("volume", "healthcheck") else 1
    name, rest = " ".join(arguments[:count]), arguments[count:]
    parser = argparse.ArgumentParser(prog=name, allow_abbrev=False)
    for option, action in OPTIONS[name].items():
        names = ["-t", option] if option == "--tag" else [option]
        parser.add_argument(*names, action=action or "store", default=[] if action == "append" else None)
    parser.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args(rest)
    engine = Engine(Path(os.environ["CONTAINERS"]))
    return int(getattr(engine, name.replace(" ", "_"))(options, options.words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
