"""`foundrylocal config`: how settings are written, what fixes them, when they hold, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.cli.setting_values import example_of, form_of, parse_settings, written_setting
from foundrylocal.settings.schema import FILE_ONLY_SETTINGS, Settings
from tests.fakes.management_api import Run, Script

DONE = {"success": True, "message": "Configuration updated successfully", "port": 1235, "cachedir": "/m"}


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ("port=1235", "port", 1235),
        ("allowed_hosts=box.local, Other", "allowed_hosts", ["box.local", "Other"]),
        ("allowed_hosts=", "allowed_hosts", []),
        ('allowed_hosts=["a","b"]', "allowed_hosts", ["a", "b"]),
        ("aliases=small=Smol,large=Big", "aliases", {"small": "Smol", "large": "Big"}),
        ("aliases={}", "aliases", {}),
        ("restart_delays_seconds=1,2.5", "restart_delays_seconds", [1, 2.5]),
        ("ollama_port=null", "ollama_port", None),
        ("ollama_port=11434", "ollama_port", 11434),
        ("context_size=auto", "context_size", "auto"),
        ("context_size=8192", "context_size", 8192),
        ("prompt_cache_keep=true", "prompt_cache_keep", True),
        ("management_key=1234567890123456", "management_key", "1234567890123456"),
        ("management_key=null", "management_key", None),
        ("load_at_start=a=b", "load_at_start", "a=b"),
        ("port=many", "port", "many"),
        ("replicas=2", "replicas", 2),
        ("replicas=1-4", "replicas", "1-4"),
        ("replicas=Smol=1-4,Big=2", "replicas", {"Smol": "1-4", "Big": 2}),
    ],
)
def test_a_value_is_of_the_kind_of_its_setting(written: str, name: str, value: Any) -> None:
    assert parse_settings([written]) == {name: value}


def test_what_is_shown_can_be_written_again() -> None:
    current = Settings(
        aliases={"a": "b"}, allowed_hosts=["x", "y"], ollama_port=1, restart_delays_seconds=[1.0, 2.0]
    ).model_dump()
    pairs = [f"{name}={written_setting(value)}" for name, value in current.items()]
    assert parse_settings(pairs) == current


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - FILE_ONLY_SETTINGS))
def test_the_example_of_a_setting_is_allowed(name: str) -> None:
    Settings.model_validate(parse_settings([example_of(name)]), strict=True)
    assert form_of(name).startswith(f"{name} is written as ")


def test_an_unknown_setting_gets_the_nearest_names(service: Script, run: Run) -> None:
    code, out, err = run("config", "prot=1")
    assert (code, out) == (2, "")
    assert err.startswith("Error: There is no setting 'prot'\n  Did you mean port")
    assert run("config", "idle-unload-seconds=1")[2].count("idle_unload_seconds") == 1
    assert service.calls == []


def test_a_word_without_a_value_among_changes_says_how_it_is_written(service: Script, run: Run) -> None:
    code, _, err = run("config", "port", "api_port=1")
    assert code == 2
    assert "port is written as a whole number from 0 to 65535." in err
    assert "Next: foundrylocal config port=1235" in err


@pytest.mark.parametrize("words", [["port"], ["get", "port"], ["show", "port"]])
def test_a_name_alone_shows_that_setting(service: Script, run: Run, words: list[str]) -> None:
    service.on("POST /config", DONE | {"threads": None, "overridden": {"threads": "FOUNDRYLOCAL_THREADS"}})
    assert run("config", *words) == (0, "SETTING  VALUE\nport     1235\n", "")
    assert service.calls[-1][1] == {}
    out = run("config", *words, "--json")[1]
    assert json.loads(out)["port"] == 1235 and "threads" not in json.loads(out)


def test_config_list_shows_all(service: Script, run: Run) -> None:
    service.on("POST /config", DONE | {"threads": 4})
    assert run("config", "list")[1] == run("config")[1] == "SETTING  VALUE\nport     1235\nthreads  4\n"


def test_set_as_other_programs_write_it_is_told_how(service: Script, run: Run) -> None:
    code, _, err = run("config", "set", "port", "1235")
    assert code == 2 and "Next: foundrylocal config port=1235\n" in err


def test_a_setting_of_the_file_says_where_it_is(service: Script, run: Run) -> None:
    code, _, err = run("config", "engines")
    assert code == 2 and "FOUNDRYLOCAL_ENGINES" in err


def test_an_impossible_value_gets_the_allowed_form(service: Script, run: Run) -> None:
    details = "kv_cache_type: Input should be 'f16', 'q8_0' or 'q4_0'"
    body = {"message": "The configuration is not valid", "type": "configuration_error"}
    service.on("POST /config", (400, {"error": body | {"code": "invalid_configuration", "details": details}}))
    code, _, err = run("config", "kv_cache_type=q9", "port=1")
    assert code == 1
    assert err == (
        "Error: The configuration is not valid\n"
        f"  {details}\n"
        "  kv_cache_type is written as one of f16, q8_0, q4_0.\n"
        "  Next: foundrylocal config kv_cache_type=q4_0\n"
    )


def test_a_change_says_when_it_holds_or_what_fixes_it(service: Script, run: Run) -> None:
    service.on(
        "POST /config", DONE | {"overridden": {"port": "FOUNDRYLOCAL_PORT", "api_port": "command line"}}
    )
    changes = (
        "port=1235",
        "api_port=1",
        "context_size=4096",
        "gateway_host=::1",
        "queue_size=3",
        "load_at_start=m",
    )
    code, out, _ = run("config", *changes)
    assert code == 0
    assert out.splitlines() == [
        "Configuration updated successfully",
        "  port is saved, but has no effect: FOUNDRYLOCAL_PORT overrides it",
        "  api_port is saved, but has no effect: the command line of the service overrides it",
        "  context_size takes effect with the next load of a model",
        "  gateway_host takes effect when the server is next started",
        "  queue_size takes effect immediately",
        "  load_at_start takes effect when the service is next started",
    ]


def test_the_list_says_what_is_fixed(service: Script, run: Run) -> None:
    service.on(
        "POST /config", DONE | {"allowed_hosts": ["a", "b"], "overridden": {"port": "FOUNDRYLOCAL_PORT"}}
    )
    code, out, _ = run("config")
    assert code == 0
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["SETTING", "VALUE", "OVERRIDDEN", "BY"],
        ["port", "1235", "FOUNDRYLOCAL_PORT"],
        ["allowed_hosts", "a,b"],
    ]
    assert json.loads(run("config", "--json")[1])["allowed_hosts"] == ["a", "b"]


def test_reset(service: Script, run: Run) -> None:
    service.on("POST /config", DONE)
    assert run("config", "--reset", "port=1")[0] == 0
    assert service.calls == [("POST /config", {"port": 1, "defaults": True})]
