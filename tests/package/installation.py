"""A fresh virtual environment with the built package, and an account of its own to use it with."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INSTALL_TIMEOUT_S = 900
COMMAND_TIMEOUT_S = 300
READY = "FoundryLocal API listening on "
READY_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Installation:
    """`python` is that of the environment, `home` the home folder of who uses it."""

    folder: Path
    home: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def command(self) -> Path:
        return self.folder / "bin" / "foundrylocal"

    @property
    def site_packages(self) -> Path:
        (found,) = (self.folder / "lib").glob("python3*/site-packages")
        return found

    def environment(self, **settings: str) -> dict[str, str]:
        """The variables of a user who has set nothing but these settings."""
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "LANG", "SSL_"))
        }
        path = os.pathsep.join([str(self.folder / "bin"), os.defpath])
        return {**kept, "HOME": str(self.home), "PATH": path, **settings}

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command to its end."""
        return subprocess.run(
            [str(self.command), *arguments],
            env=self.environment(**settings),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    def pip(self, *arguments: str) -> str:
        """Run pip of the environment. Raises AssertionError with what it says."""
        done = subprocess.run(
            [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments],
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    @contextmanager
    def service(self, **settings: str) -> Iterator[str]:
        """`foundrylocal serve` for the time of the block; yields its address."""
        process = subprocess.Popen(
            [str(self.command), "serve", "--port", "0"],
            env=self.environment(**settings),
            cwd=self.home,
            stdout=subprocess.PIPE,
            text=True,
        )
        timer = threading.Timer(READY_TIMEOUT_S, process.kill)
        try:
            assert process.stdout is not None
            timer.start()
            line = next((line for line in process.stdout if line.startswith(READY)), "")
            timer.cancel()
            assert line, "the service ended before it was ready"
            yield line.removeprefix(READY).strip()
        finally:
            timer.cancel()
            process.terminate()
            process.wait(30)


def install(wheel: Path, folder: Path, extras: str = "", python: str = sys.executable) -> Installation:
    """A new environment of that Python in `folder`, with the wheel and extras (`a,b`), and an empty home folder."""
    home = folder / "home"
    home.mkdir(parents=True)
    subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True, timeout=INSTALL_TIMEOUT_S)
    made = Installation(folder / "venv", home)
    made.pip("install", "--quiet", "--upgrade", "pip>=25.1")
    made.pip("install", "--quiet", f"{wheel}[{extras}]" if extras else str(wheel))
    return made
