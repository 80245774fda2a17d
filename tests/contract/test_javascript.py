"""The published JavaScript, as it was written, in Node and in a page of a real browser."""

from __future__ import annotations

import itertools
import queue
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.contract import scripts
from tests.running import CHAT_MODEL, Service

requirement = pytest.mark.requirement

STARTED = [
    "[progress] Checking if model is downloaded...",
    "[progress] Model found locally",
    "[progress] Starting FoundryLocal server...",
    "[progress] Waiting for server to be ready...",
    "[progress] Server health check passed",
    "[success] Server started successfully",
]


def in_node(service: Service, script: str) -> list[str]:
    """What the script printed in Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("not installed: node; scripts/install-test-tools installs it")
    text = scripts.localize(script, port=service.port)
    done = subprocess.run(
        [node, "--input-type=module", "-"], input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def in_browser(service: Service, script: str, profile: Path) -> list[str]:
    """What the script logged in a page."""
    told = []
    with chromium.page(scripts.localize(script, port=service.port), profile) as reports:
        while True:
            kind, text = reports.get(timeout=60)
            assert kind == "log", text
            if text == "END":
                return told
            told.append(text)


def without_repeats(lines: list[str]) -> list[str]:
    """A load that takes a while sends its line again, with how far it is."""
    return [line for line, _ in itertools.groupby(lines)]


@requirement("javascript.start-stream")
def test_start_stream_in_node(api: Service) -> None:
    assert without_repeats(in_node(api, scripts.JS_START_STREAM)) == STARTED


@requirement("javascript.start-stream", "12.local-pages")
def test_start_stream_in_a_page(api: Service, tmp_path: Path) -> None:
    assert without_repeats(in_browser(api, scripts.JS_START_STREAM, tmp_path)) == STARTED


@requirement("javascript.download-stream")
def test_download_stream_in_node(api: Service) -> None:
    told = in_node(api, scripts.JS_DOWNLOAD_STREAM)
    assert told[0].startswith("Progress: Starting download: ")
    assert told[-1] == "Download complete!"


@requirement("javascript.download-stream", "12.local-pages")
def test_download_stream_in_a_page(api: Service, tmp_path: Path) -> None:
    told = in_browser(api, scripts.JS_DOWNLOAD_STREAM, tmp_path)
    assert told[0].startswith("Progress: Starting download: ")
    assert told[-1] == "Download complete!"


@requirement("javascript.log-stream", "12.local-pages")
def test_log_stream_in_a_page(api: Service, tmp_path: Path) -> None:
    script = scripts.localize(scripts.JS_LOG_STREAM, port=api.port)
    with chromium.page(script, tmp_path) as reports:
        assert reports.get(timeout=60) == ("log", "END")
        deadline = time.monotonic() + 30
        told: list[str] = []
        while not any(text.endswith("INFO: Model loaded: " + CHAT_MODEL) for text in told):
            # The page says nothing when its connection stands, so work goes on until it is heard.
            api.start()
            api.post("/stop")
            assert time.monotonic() < deadline, told
            try:
                while True:
                    kind, text = reports.get(timeout=0.5)
                    assert kind == "log", text
                    told.append(text)
            except queue.Empty:
                pass
