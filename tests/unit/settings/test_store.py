"""The settings: order of their sources, what is refused, and what becomes of a damaged file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foundrylocal.errors import ConfigurationUpdateFailed, InvalidConfiguration
from foundrylocal.home.folders import Folders, default_cache_dir
from foundrylocal.settings.key import load_or_make_key
from foundrylocal.settings.saved_file import change_engines, change_setting
from foundrylocal.settings.store import SettingsStore


def test_command_line_over_environment_over_saved_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SettingsStore(tmp_path).current.port == 1234
    (tmp_path / "config.json").write_text('{"port": 1, "parallel": 2}')
    assert SettingsStore(tmp_path).current.port == 1
    monkeypatch.setenv("FOUNDRYLOCAL_PORT", "2")
    assert SettingsStore(tmp_path).current.port == 2
    assert SettingsStore(tmp_path, {"port": 3}).current.port == 3
    assert SettingsStore(tmp_path, {"port": None}).current.parallel == 2


def test_what_fixes_a_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SettingsStore(tmp_path).overridden == {}
    monkeypatch.setenv("FOUNDRYLOCAL_PORT", "2")
    monkeypatch.setenv("FOUNDRYLOCAL_API_PORT", "3")
    fixed = SettingsStore(tmp_path, {"api_port": 4}).overridden
    assert fixed == {"api_port": "command line", "port": "FOUNDRYLOCAL_PORT"}


def test_what_is_not_valid_names_where_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_PORT", "many")
    with pytest.raises(InvalidConfiguration) as caught:
        SettingsStore(tmp_path, {"api_port": 70000})
    assert str(caught.value.details).endswith(
        " Correct FOUNDRYLOCAL_PORT, the command line, then start the service again."
    ) or str(caught.value.details).endswith(
        " Correct the command line, FOUNDRYLOCAL_PORT, then start the service again."
    )


def test_a_list_in_the_environment_is_separated_by_commas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_ALLOWED_HOSTS", "box.local, Other")
    monkeypatch.setenv("FOUNDRYLOCAL_ALIASES", "small=SmolLM2-135M-Instruct-Q4_1-GGUF")
    current = SettingsStore(tmp_path).current
    assert current.allowed_hosts == ["box.local", "other"]
    assert current.aliases == {"small": "SmolLM2-135M-Instruct-Q4_1-GGUF"}


def test_a_wrong_environment_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_PORT", "many")
    with pytest.raises(InvalidConfiguration) as caught:
        SettingsStore(tmp_path)
    assert "port" in (caught.value.details or "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 64,
        b'{"port": 12',
        b'{"port": "many"}',
        b"[]",
        b'{"aliases": {"a":"' + b"x" * 300_000 + b'"}}',
        b"\xff\xfe",
        b"[" * 50_000,
    ],
    ids=["empty", "nul", "cut", "type", "array", "huge", "not utf-8", "deep"],
)
def test_row_22_a_damaged_file_is_set_aside_and_the_defaults_are_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    assert SettingsStore(tmp_path).current.port == 1234
    (aside,) = tmp_path.glob("config.corrupt-*")
    assert aside.read_bytes() == content
    assert not (tmp_path / "config.json").exists()


def test_settings_that_only_another_version_knows_are_ignored_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "config.json").write_text('{"port": 7, "engine_path": "/opt/x", "from_the_future": 1}')
    store = SettingsStore(tmp_path)
    assert store.current.port == 7
    assert "engine_path, from_the_future" in caplog.text
    assert not list(tmp_path.glob("config.corrupt-*"))
    store.update({"queue_size": 3})
    assert json.loads((tmp_path / "config.json").read_text()) == {"port": 7, "queue_size": 3}


def test_row_22_a_symbolic_link_is_set_aside_and_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.json"
    target.write_text('{"port": 7}')
    (tmp_path / "config.json").symlink_to(target)
    assert SettingsStore(tmp_path).current.port == 1234
    assert target.read_text() == '{"port": 7}'


def test_an_update_is_saved_before_it_is_used_and_a_refused_one_changes_nothing(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)
    heard: list[int] = []
    store.on_change(lambda settings: heard.append(settings.port))
    assert store.update({"port": 7}).port == 7
    assert json.loads((tmp_path / "config.json").read_text()) == {"port": 7}
    for wrong in ({"port": 70000}, {"port": "7"}, {"nothing": 1}, {"cache_dir": "relative"}):
        with pytest.raises(InvalidConfiguration):
            store.update({"default_log_level": "DEBUG", **wrong})
    assert (store.current.port, store.current.default_log_level) == (7, "INFO")
    assert store.update({}, reset=True).port == 1234
    assert heard == [7, 1234]


def test_a_command_cannot_be_set_over_http(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        SettingsStore(tmp_path).update({"worker_command": ["sh"]})
    assert "FOUNDRYLOCAL_WORKER_COMMAND" in (caught.value.details or "")


def test_a_save_that_fails_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    store = SettingsStore(folder)
    folder.rmdir()
    with pytest.raises(ConfigurationUpdateFailed) as caught:
        store.update({"port": 7})
    assert caught.value.message == "Failed to update configuration. Check logs for details."
    assert store.current.port == 1234


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    key = load_or_make_key(tmp_path)
    assert key.startswith("fl-")
    assert load_or_make_key(tmp_path) == key
    path = tmp_path / "gateway.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert load_or_make_key(tmp_path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("broken")
    assert load_or_make_key(tmp_path) not in ("broken", key)


def test_one_home_holds_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_HOME", str(tmp_path))
    folders = Folders.locate()
    assert (folders.config, folders.state, default_cache_dir()) == (
        tmp_path / "config",
        tmp_path / "state",
        tmp_path / "cache",
    )
    monkeypatch.delenv("FOUNDRYLOCAL_HOME")
    assert default_cache_dir() == Path.home() / ".cache" / "foundrylocal"


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ("*", "'*' is only allowed"),
        ("*://*", "'*' is only allowed"),
        ("*.example", "'*' is only allowed"),
        ("http://localhost:*", "'*' is only allowed"),
        ("https://x.example/*", "'*' is only allowed"),
        ("app://*/", "'*' is only allowed"),
        ("file://", "is not an origin"),
        ("https://*", "'*' is only allowed"),
        ("http://*.example", "'*' is only allowed"),
        ("https://a.*", "'*' is only allowed"),
        ("vscode-webview://*.x", "'*' is only allowed"),
        ("https://x.example/path", "is not an origin"),
    ],
)
def test_a_wildcard_that_would_not_work_as_written_is_refused_with_the_reason(
    tmp_path: Path, origin: str, reason: str
) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        SettingsStore(tmp_path).update({"allowed_origins": [origin]})
    assert reason in (caught.value.details or "")


@pytest.mark.parametrize(
    "origin", ["vscode-webview://*", "app://obsidian.md", "null", "https://x.example:8443"]
)
def test_origins_of_apps_are_taken(tmp_path: Path, origin: str) -> None:
    assert SettingsStore(tmp_path).update({"allowed_origins": [origin]}).allowed_origins == [origin]


@pytest.mark.parametrize("name", ["gateway_host", "api_host"])
@pytest.mark.parametrize(
    "host", ["x" * 300, "x" * 200, "a" * 64 + ".b", "\u00e4" * 5, "a b", "a\0b", "", ".", "%"]
)
def test_an_address_of_any_form_is_refused_and_is_no_fault(tmp_path: Path, name: str, host: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        SettingsStore(tmp_path).update({name: host})
    assert name in (caught.value.details or "")


def test_settings_that_would_be_set_aside_at_the_next_start_are_not_saved(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)
    large = {f"name{number}": "x" * 4000 for number in range(100)}
    with pytest.raises(InvalidConfiguration):
        store.update({"aliases": large})
    assert SettingsStore(tmp_path).current.aliases == {}


def test_a_command_in_the_environment_is_split_as_a_shell_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_WORKER_COMMAND", "python '/a folder/worker.py' --flag")
    assert SettingsStore(tmp_path).current.worker_command == ["python", "/a folder/worker.py", "--flag"]
    monkeypatch.setenv("FOUNDRYLOCAL_ALLOWED_HOSTS", '["a", "b"]')
    assert SettingsStore(tmp_path).current.allowed_hosts == ["a", "b"]
    monkeypatch.setenv("FOUNDRYLOCAL_WORKER_COMMAND", "'no end")
    with pytest.raises(InvalidConfiguration) as caught:
        SettingsStore(tmp_path)
    assert "worker_command" in (caught.value.details or "")


def test_an_engine_that_the_command_line_added_is_taken_up_and_kept(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)
    store.update({"port": 7})
    change_engines(tmp_path, "mine", "/opt/llama-server")
    assert store.current.engines == {}
    assert store.refresh().engines == {"mine": "/opt/llama-server"}
    change_engines(tmp_path, "other", "/opt/other")
    store.update({"port": 8})  # without a refresh before it
    assert SettingsStore(tmp_path).current.engines == {"mine": "/opt/llama-server", "other": "/opt/other"}
    assert SettingsStore(tmp_path).current.port == 8
    change_engines(tmp_path, "mine", None)
    assert store.refresh().engines == {"other": "/opt/other"}


def test_only_what_http_cannot_change_is_taken_up_from_the_file(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)
    store.update({"port": 7})
    (tmp_path / "config.json").write_text('{"port": 9, "engines": {"mine": "/opt/llama-server"}}')
    assert (store.refresh().port, store.current.engines) == (7, {"mine": "/opt/llama-server"})
    (tmp_path / "config.json").write_text("{ not JSON")
    assert (store.refresh().port, store.current.engines) == (7, {"mine": "/opt/llama-server"})


@pytest.mark.parametrize(
    ("name", "path"), [("a b", "/opt/x"), ("built-in", "/opt/x"), ("x", "relative"), ("", "/opt/x")]
)
def test_an_engine_needs_a_valid_name_and_an_absolute_path(tmp_path: Path, name: str, path: str) -> None:
    with pytest.raises(ValueError, match="engines"):
        change_engines(tmp_path, name, path)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "head.lan:1", "[fd00::1]:65535"])
def test_the_address_of_a_cluster_is_saved_beside_the_service(tmp_path: Path, address: str) -> None:
    store = SettingsStore(tmp_path)
    change_setting(tmp_path, "cluster_address", address)
    assert store.refresh().cluster_address == address
    change_setting(tmp_path, "cluster_address", None)
    assert SettingsStore(tmp_path).current.cluster_address is None


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "head:0", "head:65536", "head:6379 --x", "ray://head:6379", ":6379", ""]
)
def test_what_is_not_the_address_of_a_cluster_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        change_setting(tmp_path, "cluster_address", address)
    assert SettingsStore(tmp_path).current.cluster_address is None


def test_the_address_of_a_cluster_is_not_set_over_http(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration):
        SettingsStore(tmp_path).update({"cluster_address": "127.0.0.1:6379"})
