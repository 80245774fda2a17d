"""`make image`: Buildah builds the Containerfile, and the service of the image starts, is healthy and ends.

The base image is Debian with its own Python, from Debian's mirror, under the name that the Containerfile asks for: no
registry of images is needed. Commands of the image run in a chroot, as its user, on loopback.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from foundrylocal import __version__
from tests.docs.test_commands import free_ports
from tests.package.test_container_files import environment
from tests.running import REPOSITORY

pytestmark = [
    pytest.mark.skipif(not os.environ.get("FOUNDRYLOCAL_TEST_IMAGE"), reason="`make image` runs it"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        not all(map(shutil.which, ("buildah", "debootstrap"))), reason="needs buildah and debootstrap"
    ),
    pytest.mark.timeout(1800),
]
BUILD_TIMEOUT_S = 1500
PYTHON = "3.11"  # of Debian bookworm
BASE = f"docker.io/library/python:{PYTHON}-slim-bookworm"
PACKAGES = "--include=python3,python3-venv,ca-certificates"
USE = """
foundrylocal serve &
until python -m foundrylocal.cli.health_probe; do sleep 0.2; done
foundrylocal status
foundrylocal shutdown
wait
"""


@dataclass(frozen=True, slots=True)
class Buildah:
    """Images and containers in a folder of their own."""

    folder: Path

    def __call__(self, *arguments: str) -> str:
        """Run a command of Buildah; what it printed. Raises AssertionError with what it said."""
        store = [
            "--storage-driver",
            "vfs",
            "--root",
            str(self.folder / "store"),
            "--runroot",
            str(self.folder / "run"),
        ]
        return run(["buildah", *store, *arguments])


def run(command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """With the image `foundrylocal`, built."""
    buildah = Buildah(tmp_path_factory.mktemp("buildah"))
    buildah("from", "--name", "base", "scratch")
    root = Path(buildah("mount", "base").strip())
    run(["debootstrap", "--variant=minbase", PACKAGES, "bookworm", str(root)])
    (root / "usr" / "bin" / "python").symlink_to("python3")
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc" / "ssl" / "certs")
    buildah("commit", "--rm", "base", BASE)
    build = ("build", "--isolation", "chroot", "--format", "docker", "--pull-never", "--network", "host")
    buildah(*build, "--build-arg", f"PYTHON_VERSION={PYTHON}", "--tag", "foundrylocal", ".")
    yield buildah
    buildah("rmi", "--all", "--force")


def test_the_image_says_how_it_runs(buildah: Buildah) -> None:
    config = json.loads(buildah("inspect", "--type", "image", "foundrylocal"))["Docker"]["config"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["foundrylocal"], ["serve"])
    assert config["ExposedPorts"].keys() == {"9500/tcp", "1234/tcp"}
    assert config["Volumes"].keys() == {"/data"}
    assert config["Healthcheck"]["Test"][1:] == ["python", "-m", "foundrylocal.cli.health_probe"]
    variables = dict(one.split("=", 1) for one in config["Env"])
    assert {name: value for name, value in variables.items() if name.startswith("FOUNDRYLOCAL_")} == {
        name: value for name, value in environment().items() if name.startswith("FOUNDRYLOCAL_")
    }


def test_its_service_starts_is_healthy_and_ends(buildah: Buildah) -> None:
    buildah("from", "--name", "one", "--pull-never", "foundrylocal")
    ports = free_ports(("9500", "1234"))
    variables = {
        "FOUNDRYLOCAL_API_HOST": "127.0.0.1",
        "FOUNDRYLOCAL_GATEWAY_HOST": "127.0.0.1",
        "FOUNDRYLOCAL_API_PORT": str(ports["9500"]),
        "FOUNDRYLOCAL_PORT": str(ports["1234"]),
        "FOUNDRYLOCAL_MANAGEMENT_KEY": "a-key-of-the-container",
    }
    settings = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    inside = ("run", "--isolation", "chroot", *settings, "one", "--")
    assert buildah(*inside, "id", "--user").strip() == "10001"
    assert buildah(*inside, "foundrylocal", "--version") == f"foundrylocal {__version__}\n"
    shown = buildah(*inside, "sh", "-ec", USE)
    assert "healthy" in shown and "stopped" in shown
