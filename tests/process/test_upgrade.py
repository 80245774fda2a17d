"""A service of this version in the home of another one: everything is there, or it says why it does not start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from foundrylocal import __version__
from foundrylocal.home.version import HOME_FORMAT
from tests.fakes.earlier_homes import BEFORE_PRESETS, EARLIER_HOMES, EarlierHome
from tests.running import CHAT_MODEL, FAKE_WORKER, running, store_tiny_model

# Downloads that go on need no hub here: it is enough that they are not forgotten.
UNREACHABLE_HUB = {
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "FOUNDRYLOCAL_HUB_ALLOWED_HOSTS": "127.0.0.1",
    "NO_PROXY": "*",
}


@pytest.mark.parametrize("earlier", EARLIER_HOMES, ids=lambda one: one.name)
def test_an_earlier_home_opens_with_its_settings_key_and_models(home: Path, earlier: EarlierHome) -> None:
    store_tiny_model(home)
    earlier.write(home)
    with running(home, worker=FAKE_WORKER, **UNREACHABLE_HUB) as service:
        settings = service.post("/config", {}).json()
        assert {name: settings[name] for name in earlier.settings} == earlier.settings
        service.start()
        assert service.status()["health"]["api_key"] == earlier.files["state/gateway.key"].strip()
        (model,) = service.get("/models/downloaded").json()["models"]
        assert model["simple_name"] == CHAT_MODEL
        assert not list(home.rglob("*corrupt*"))
    assert json.loads((home / "state" / "version.json").read_bytes())["version"] == __version__


def test_imports_aliases_and_downloads_of_an_earlier_home_go_on(home: Path) -> None:
    store_tiny_model(home)
    BEFORE_PRESETS.write(home)
    with running(home, worker=FAKE_WORKER, **UNREACHABLE_HUB) as service:
        listed = {model["simple_name"]: model for model in service.get("/models").json()["models"]}
        assert listed["mine"]["context_length"] == 2048
        assert listed["other-Q4_K_M-GGUF"]["license"] == "apache-2.0"
        assert service.get("/models/chat").json()["simple_name"] == CHAT_MODEL
        downloads = service.get("/downloads").json()
        assert "Qwen2.5-0.5B-Instruct-Q4_K_M-GGUF" in json.dumps(downloads)


def test_a_setting_that_is_gone_is_reported(home: Path) -> None:
    EARLIER_HOMES[-1].write(home)
    with running(home, worker=FAKE_WORKER) as service:
        warnings = [line["message"] for line in service.get("/logs?level=WARNING").json()]
        assert any("engine_path" in line and "does not know" in line for line in warnings)


def test_a_home_that_a_newer_version_changed_is_refused_in_one_line_and_stays_as_it_was(home: Path) -> None:
    BEFORE_PRESETS.write(home)
    record = json.dumps({"version": "9.0.0", "format": HOME_FORMAT + 1})
    (home / "state" / "version.json").write_text(record)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    done = subprocess.run(
        [sys.executable, "-m", "foundrylocal", "serve", "--port", "0"],
        env={**os.environ, "FOUNDRYLOCAL_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "9.0.0" in line and "Install 9.0.0 or newer again" in line and "FOUNDRYLOCAL_HOME" in line
    after = {
        path: path.read_bytes() for path in home.rglob("*") if path.is_file() and "lock" not in path.name
    }
    assert after == {path: content for path, content in before.items() if "lock" not in path.name}
