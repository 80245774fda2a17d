"""Containerfile and compose.yaml: non-root, a volume, a health check, no secret, and only files that are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundrylocal.settings.schema import Settings
from tests.package.containerfile import Instruction, instructions_of
from tests.running import REPOSITORY

FILE = REPOSITORY / "Containerfile"
INSTRUCTIONS = instructions_of(FILE)
LAST_STAGE = max(one.stage for one in INSTRUCTIONS)
HADOLINT_TIMEOUT_S = COMPOSE_TIMEOUT_S = 60


def final(name: str) -> list[Instruction]:
    """The instructions of that name that make the image."""
    return [one for one in INSTRUCTIONS if one.name == name and one.stage == LAST_STAGE]


def environment() -> dict[str, str]:
    (env,) = final("ENV")
    return dict(re.findall(r'(\w+)="?([^"\s]+)"?', env.text))


def compose() -> dict[str, Any]:
    service: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text("utf-8"))
    return service


def test_the_image_runs_as_a_user_without_rights() -> None:
    (user,) = final("USER")
    assert user.words == ["10001:10001"]
    after = INSTRUCTIONS[INSTRUCTIONS.index(user) + 1 :]
    assert not [one for one in after if one.name in ("RUN", "USER", "COPY")]
    assert "--uid 10001" in final("RUN")[0].text


def test_the_home_is_a_volume_that_the_user_owns() -> None:
    (volume,) = final("VOLUME")
    assert volume.words == [environment()["FOUNDRYLOCAL_HOME"]]
    assert f"--owner=foundrylocal --group=foundrylocal --mode=0700 {volume.words[0]}" in final("RUN")[0].text


def test_the_service_is_process_1_and_gets_the_signal() -> None:
    (entry,), (command,), (stop,) = final("ENTRYPOINT"), final("CMD"), final("STOPSIGNAL")
    assert (entry.words, command.words, stop.text) == (["foundrylocal"], ["serve"], "SIGTERM")
    assert entry.text.startswith("[") and command.text.startswith("[")  # a shell would be process 1 instead


def test_the_health_check_has_bounds_and_shows_no_key() -> None:
    (check,) = final("HEALTHCHECK")
    assert {"--interval=", "--timeout=", "--start-period=", "--retries="} <= {
        flag.partition("=")[0] + "=" for flag in re.findall(r"--[a-z-]+=\S+", check.text)
    }
    assert check.words == ["CMD", '["python",', '"-m",', '"foundrylocal.cli.health_probe"]']
    assert (REPOSITORY / "src" / "foundrylocal" / "cli" / "health_probe.py").is_file()


def test_the_ports_are_those_of_the_settings_and_no_secret_is_in_the_image() -> None:
    (ports,) = final("EXPOSE")
    settings = Settings()
    assert {int(port) for port in ports.words} == {settings.api_port, settings.port}
    given = {
        name.removeprefix("FOUNDRYLOCAL_").lower()
        for name in environment()
        if name.startswith("FOUNDRYLOCAL_")
    }
    assert given == {"home", "api_host", "gateway_host"}
    assert not re.search(r"(?i)(token|password|secret)", FILE.read_text("utf-8"))


def test_what_is_copied_is_there_and_is_sent_to_the_build() -> None:
    sent = {
        line.removeprefix("!").strip("/")
        for line in (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    copied = [
        word
        for one in INSTRUCTIONS
        if one.name == "COPY" and "--from" not in one.text
        for word in one.words[:-1]
    ]
    assert set(copied) == sent
    assert all((REPOSITORY / name).exists() for name in copied)


def test_every_base_image_has_a_version() -> None:
    bases = [one.words[0] for one in INSTRUCTIONS if one.name == "FROM"]
    assert bases and all(re.search(r":\$\{PYTHON_VERSION\}-slim-\w+$", base) for base in bases)


def test_compose_opens_ports_on_this_machine_only_and_asks_for_a_key() -> None:
    (service,) = compose()["services"].values()
    assert service["ports"] == ["127.0.0.1:9500:9500", "127.0.0.1:1234:1234"]
    assert service["environment"]["FOUNDRYLOCAL_MANAGEMENT_KEY"].startswith("${FOUNDRYLOCAL_MANAGEMENT_KEY:?")
    names = {name.removeprefix("FOUNDRYLOCAL_").lower() for name in service["environment"]}
    assert names <= set(Settings.model_fields)
    assert service["build"]["dockerfile"] == FILE.name


def resolved(**variables: str) -> subprocess.CompletedProcess[str]:
    """compose.yaml as a program for compose files reads it, with these variables."""
    pytest.importorskip("podman_compose", reason="podman-compose is not installed")
    return subprocess.run(
        [sys.executable, "-m", "podman_compose", "--dry-run", "config"],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables},
        capture_output=True,
        text=True,
        timeout=COMPOSE_TIMEOUT_S,
        check=False,
    )


def test_a_program_for_compose_files_accepts_it() -> None:
    done = resolved(FOUNDRYLOCAL_MANAGEMENT_KEY="a-key-of-the-container")
    assert done.returncode == 0, done.stderr
    (service,) = yaml.safe_load(done.stdout)["services"].values()
    assert service["environment"]["FOUNDRYLOCAL_MANAGEMENT_KEY"] == "a-key-of-the-container"


def test_without_a_key_it_is_refused_and_says_what_to_set() -> None:
    done = resolved()
    assert done.returncode != 0
    assert "set a key of 16 characters or more" in done.stdout + done.stderr


def test_compose_keeps_the_home_and_takes_away_rights() -> None:
    document = compose()
    (service,) = document["services"].values()
    (volume,) = service["volumes"]
    assert volume.partition(":")[0] in document["volumes"]
    assert volume.endswith(f":{environment()['FOUNDRYLOCAL_HOME']}")
    (check,) = final("HEALTHCHECK")
    assert check.text.endswith(" ".join(["CMD", json.dumps(service["healthcheck"]["test"][1:])]))
    assert service["init"] and service["read_only"] and service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "/tmp" in service["tmpfs"]  # noqa: S108 - sockets of the workers


def test_the_lines_that_are_commented_out_are_valid_too(tmp_path: Path) -> None:
    text = (REPOSITORY / "compose.yaml").read_text("utf-8")
    for first, last in (
        ("# deploy:", "capabilities: [gpu]"),
        ("# devices:", "/dev/kfd"),
        ("# mem_limit", "8g"),
    ):
        start = text.index(first)
        block = text[start : text.index(last, start) + len(last)]
        text = text.replace(block, block.replace("# ", "", block.count("# ")))
    (service,) = yaml.safe_load(text)["services"].values()
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert service["mem_limit"] == "8g" and "/dev/dri" in service["devices"]


@pytest.mark.skipif(
    shutil.which("hadolint") is None, reason="hadolint is not installed; `make release` runs it"
)
def test_hadolint_finds_nothing() -> None:
    ignored = ["--ignore", "DL3008"]  # versions of Debian's packages: security updates are wanted
    done = subprocess.run(
        ["hadolint", *ignored, str(FILE)],
        capture_output=True,
        text=True,
        timeout=HADOLINT_TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_line_that_is_no_instruction_is_noticed(tmp_path: Path) -> None:
    broken = tmp_path / "Containerfile"
    broken.write_text("FROM x\nrun echo\n")
    with pytest.raises(ValueError, match="not an instruction"):
        instructions_of(broken)
