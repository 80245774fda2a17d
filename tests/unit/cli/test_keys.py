"""`foundrylocal keys` against a scripted service."""

from __future__ import annotations

import json

from tests.fakes.management_api import Run, Script

ENTRY = {
    "name": "alice",
    "scope": "inference",
    "models": None,
    "requests_per_minute": 20,
    "tokens_per_day": None,
    "expires_at": None,
    "created_at": "2025-01-20T10:30:00Z",
    "last_used_at": None,
    "requests_last_minute": 3,
    "tokens_today": 0,
}


def test_add_sends_what_is_given_and_prints_the_key(service: Script, run: Run) -> None:
    service.on("POST /keys", {"success": True, "message": "Key 'alice' created.", "key": "fl-x", **ENTRY})
    arguments = ("--model", "a", "--model", "b", "--requests-per-minute", "20", "--scope", "read")
    code, out, _ = run("keys", "add", "alice", *arguments)
    assert (code, out) == (0, "Key 'alice' created.\nKey  fl-x\n")
    body = {"name": "alice", "models": ["a", "b"], "requests_per_minute": 20, "scope": "read"}
    assert service.calls == [("POST /keys", body)]
    assert json.loads(run("keys", "add", "alice", "--json")[1])["key"] == "fl-x"


def test_several_names_get_a_key_each_and_the_first_is_shown_although_the_second_is_taken(
    service: Script, run: Run
) -> None:
    taken = (
        409,
        {"error": {"message": "There is already a key named 'bob'", "type": "x", "code": "key_exists"}},
    )
    made = {"success": True, "message": "Key 'alice' created.", "key": "fl-x", **ENTRY}
    service.on("POST /keys", lambda body: taken if body["name"] == "bob" else made)
    code, out, err = run("keys", "add", "alice", "bob", "--scope", "read")
    assert (code, out) == (1, "Key 'alice' created.\nKey  fl-x\n")
    assert "already a key named 'bob'" in err
    assert [body["scope"] for _, body in service.calls] == ["read", "read"]
    code, out, _ = run("keys", "add", "alice", "bob", "--json")
    assert (code, [one["key"] for one in json.loads(out)]) == (1, ["fl-x"])
    service.on("POST /keys", made)
    assert len(json.loads(run("keys", "add", "alice", "carol", "--json")[1])) == 2


def test_keys_alone_lists_them(service: Script, run: Run) -> None:
    service.on("GET /keys", {"keys": [ENTRY], "total_count": 1})
    assert run("keys")[1] == run("keys", "list")[1] != ""


def test_list(service: Script, run: Run) -> None:
    service.on("GET /keys", {"keys": [ENTRY], "total_count": 1})
    lines = run("keys", "list")[1].splitlines()
    assert lines[1].split() == ["alice", "inference", "all", "3", "of", "20", "-", "never", "never"]
    service.on("GET /keys", {"keys": [], "total_count": 0})
    assert "foundrylocal keys add NAME" in run("keys", "list")[1]


def test_rm(service: Script, run: Run) -> None:
    service.on("DELETE /keys/alice", {"message": "Key 'alice' revoked"})
    assert run("keys", "rm", "alice") == (0, "Key 'alice' revoked\n", "")


def test_the_help_names_the_subcommands(run: Run) -> None:
    code, out, _ = run("keys", "--help")
    assert code == 0 and all(name in out for name in ("add", "list", "rm"))
    assert run("keys", "nonsense")[0] == 2
