from __future__ import annotations

from collections.abc import Iterator

import pytest

from foundrylocal.cli import main as cli
from tests.fakes.management_api import Run, Script, scripted


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """A scripted service that the verbs find by FOUNDRYLOCAL_URL."""
    with scripted(Script()) as script:
        monkeypatch.setenv("FOUNDRYLOCAL_URL", script.url)
        monkeypatch.delenv("FOUNDRYLOCAL_MANAGEMENT_KEY", raising=False)
        yield script


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one verb in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["foundrylocal", *arguments])
        code = cli.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
