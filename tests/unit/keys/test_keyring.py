"""Keys: who is identified, what limits do to the request, what survives a restart, and what is on disk."""

from __future__ import annotations

import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.keys.api_key import PUBLISHED_CALLER, ApiKey, Caller, KeyScope
from foundrylocal.keys.errors import (
    KeyExists,
    KeyExpired,
    KeyNotFound,
    KeyRevoked,
    KeysNotSaved,
    ModelNotAllowed,
    RateLimitExceeded,
    ScopeNotAllowed,
    TooManyKeys,
)
from foundrylocal.keys.keyring import MAX_KEYS, SAVE_PERIOD_S, Keyring
from foundrylocal.logs.redaction import Redaction
from tests.fakes import virtual_time

NOON = 20_000 * 86_400.0 + 43_200.0


class Clocks:
    """Both clocks of a keyring; a test moves them."""

    def __init__(self) -> None:
        self.monotonic_s = 1_000.0
        self.utc_s = NOON

    def wait(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.utc_s += seconds


class Home:
    """One home and its keyring, which `restart` replaces as a new process would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clocks = Clocks()
        self.ring = self.open()

    def open(self) -> Keyring:
        return Keyring(
            self.folder, clock=lambda: self.clocks.monotonic_s, utc_clock=lambda: self.clocks.utc_s
        )

    async def restart(self) -> None:
        """End the service, which saves what was used, and start it again with another monotonic clock."""
        async with anyio.create_task_group() as group:
            await group.start(self.ring.run)
            group.cancel_scope.cancel()
        self.clocks.monotonic_s = 5.0
        self.ring = self.open()

    async def add(self, name: str = "alice", **rules: Any) -> tuple[Caller, str]:
        _, secret = await self.ring.add(ApiKey(name, "", 0.0, **rules))
        return self.caller(secret), secret

    def caller(self, secret: str) -> Caller:
        caller = self.ring.identify(secret.encode())
        assert caller is not None
        return caller


def on_home(folder: Path, scenario: Callable[[Home], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(Home(folder))

    virtual_time.run(main)


def test_a_key_is_known_by_its_secret_alone(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        caller, secret = await home.add(models=("a/b",))
        assert secret.startswith("fl-") and len(secret) == 46
        assert (caller.name, caller.may_use("a/b"), caller.may_use("a/c")) == ("alice", True, False)
        for wrong in (None, b"", b"alice", secret[:-1].encode(), secret.encode() + b" "):
            assert home.ring.identify(wrong) is None
        with pytest.raises(ModelNotAllowed, match="'c'"):
            caller.check_model("a/c", "c")

    on_home(tmp_path, scenario)


def test_only_the_hash_is_on_disk_and_others_cannot_read_it(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        caller, secret = await home.add(tokens_per_day=9)
        assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
        home.ring.admit(caller)
        home.ring.add_tokens(caller, 3)
        await home.restart()
        files = {path.name: path for path in tmp_path.iterdir()}  # noqa: ASYNC240 - a test
        assert set(files) == {"keys.json", "keys-usage.json"}
        for path in files.values():
            assert secret.removeprefix("fl-") not in path.read_text()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        files["keys.json"].chmod(0o644)
        await home.restart()
        assert stat.S_IMODE(files["keys.json"].stat().st_mode) == 0o600
        assert home.caller(secret).name == "alice"
        assert Redaction().clean(f"key={secret} end") == "key=[redacted] end"

    on_home(tmp_path, scenario)


def test_requests_per_minute_hold_to_the_request(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        caller, _ = await home.add(requests_per_minute=3)
        for _ in range(3):
            home.ring.admit(caller)
            home.clocks.wait(10)
        for _ in range(5):  # what is refused does not count
            with pytest.raises(RateLimitExceeded) as caught:
                home.ring.admit(caller)
            assert caught.value.retry_after_s == 30
        home.clocks.wait(29.9)
        with pytest.raises(RateLimitExceeded) as caught:
            home.ring.admit(caller)
        assert caught.value.retry_after_s == 1
        home.clocks.wait(0.1)
        home.ring.admit(caller)
        with pytest.raises(RateLimitExceeded):
            home.ring.admit(caller)

    on_home(tmp_path, scenario)


def test_a_changed_system_time_frees_no_request(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        caller, _ = await home.add(requests_per_minute=1)
        home.ring.admit(caller)
        for moved_s in (86_400.0, -86_400.0):
            home.clocks.utc_s += moved_s
            with pytest.raises(RateLimitExceeded):
                home.ring.admit(caller)

    on_home(tmp_path, scenario)


def test_tokens_of_a_day_are_refused_from_the_limit_on_until_midnight(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        caller, _ = await home.add(tokens_per_day=100)
        home.ring.admit(caller)
        home.ring.add_tokens(caller, 99)
        home.ring.admit(caller)
        home.ring.add_tokens(caller, 1)
        with pytest.raises(RateLimitExceeded) as caught:
            home.ring.admit(caller)
        assert caught.value.retry_after_s == 43_200
        with pytest.raises(RateLimitExceeded):  # one that waited for its slot meanwhile
            home.ring.check_tokens(caller)
        home.clocks.wait(43_200)
        home.ring.admit(caller)
        assert home.ring.used("alice")[1] == 0

    on_home(tmp_path, scenario)


def test_limits_survive_a_restart(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        caller, secret = await home.add(requests_per_minute=2, tokens_per_day=1000)
        home.ring.admit(caller)
        home.ring.add_tokens(caller, 40)
        home.clocks.wait(20)
        home.ring.admit(caller)
        await home.restart()
        home.clocks.wait(15)
        caller = home.caller(secret)
        assert home.ring.used("alice")[:2] == (2, 40)
        with pytest.raises(RateLimitExceeded) as caught:
            home.ring.admit(caller)
        assert caught.value.retry_after_s == 25
        home.clocks.wait(25)
        home.ring.admit(caller)

    on_home(tmp_path, scenario)


def test_the_time_in_between_counts(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        caller, secret = await home.add(requests_per_minute=1)
        home.ring.admit(caller)
        async with anyio.create_task_group() as group:
            await group.start(home.ring.run)
            group.cancel_scope.cancel()
        home.clocks.utc_s += 50  # the service is down
        home.ring = home.open()
        with pytest.raises(RateLimitExceeded) as caught:
            home.ring.admit(home.caller(secret))
        assert caught.value.retry_after_s == 10

    on_home(tmp_path, scenario)


def test_usage_is_saved_from_time_to_time_and_not_by_each_request(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        caller, _ = await home.add(tokens_per_day=10**6)
        file = tmp_path / "keys-usage.json"
        async with anyio.create_task_group() as group:
            await group.start(home.ring.run)
            for _ in range(100):
                home.ring.admit(caller)
                home.ring.add_tokens(caller, 1)
            assert not file.exists()
            await anyio.sleep(SAVE_PERIOD_S + 0.1)
            assert json.loads(file.read_bytes())["alice"]["day_tokens"] == 100
            file.unlink()
            await anyio.sleep(SAVE_PERIOD_S * 5)
            assert not file.exists(), "nothing changed"
            group.cancel_scope.cancel()

    on_home(tmp_path, scenario)


def test_a_revoked_key_is_refused_at_once(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        caller, secret = await home.add()
        told: list[str] = []
        home.ring.on_removed(told.append)
        await home.ring.remove("alice")
        assert home.ring.identify(secret.encode()) is None and told == ["alice"]
        with pytest.raises(KeyRevoked):  # its request was still being read
            home.ring.admit(caller)
        again, _ = await home.add()
        with pytest.raises(KeyRevoked):  # a new key of that name does not revive it
            home.ring.check_tokens(caller)
        home.ring.admit(again)
        with pytest.raises(KeyNotFound):
            await home.ring.remove("bob")

    on_home(tmp_path, scenario)


def test_an_expired_key_is_told_so(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        _, secret = await home.add(expires_at_s=NOON + 10)
        home.clocks.wait(10)
        with pytest.raises(KeyExpired) as caught:
            home.ring.identify(secret.encode())
        assert "12:00:10Z" in (caught.value.details or "")

    on_home(tmp_path, scenario)


def test_scopes() -> None:
    def caller(scope: KeyScope) -> Caller:
        return Caller("k", ApiKey("k", "", 0.0, scope=scope))

    allowed = {scope: [needed for needed in KeyScope if _may(caller(scope), needed)] for scope in KeyScope}
    assert allowed == {
        KeyScope.INFERENCE: [KeyScope.INFERENCE],
        KeyScope.READ: [KeyScope.READ],
        KeyScope.MANAGE: list(KeyScope),
    }
    assert _may(PUBLISHED_CALLER, KeyScope.INFERENCE) and not PUBLISHED_CALLER.may_manage


def _may(caller: Caller, needed: KeyScope) -> bool:
    try:
        caller.check_scope(needed)
    except ScopeNotAllowed:
        return False
    return True


def test_names_are_unique_and_their_number_is_bounded(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        for number in range(MAX_KEYS):
            await home.add(f"k{number}")
        with pytest.raises(KeyExists):
            await home.add("k7")
        with pytest.raises(TooManyKeys):
            await home.add("one-more")

    on_home(tmp_path, scenario)


def test_what_is_not_saved_does_not_hold(tmp_path: Path) -> None:
    async def scenario(home: Home) -> None:
        _, secret = await home.add()
        folder = tmp_path / "keys.json"
        folder.unlink()
        folder.mkdir()  # nothing can be renamed over a folder
        with pytest.raises(KeysNotSaved):
            await home.add("bob")
        with pytest.raises(KeysNotSaved):
            await home.ring.remove("alice")
        assert [key.name for key in home.ring.all()] == ["alice"]
        assert home.caller(secret).name == "alice"

    on_home(tmp_path, scenario)


@pytest.mark.parametrize(
    "damage", [b"", b"\0" * 100, b"[]", b'{"keys": [1]}', b'{"keys": [{"name": "a"}]}', b"[" * 100_000]
)
def test_a_damaged_file_is_set_aside_and_its_keys_do_not_work(tmp_path: Path, damage: bytes) -> None:
    async def scenario(home: Home) -> None:
        _, secret = await home.add()
        for name in ("keys.json", "keys-usage.json"):
            (tmp_path / name).write_bytes(damage)
        home.ring = home.open()
        assert home.ring.identify(secret.encode()) is None
        assert list(tmp_path.glob("keys.corrupt-*"))  # noqa: ASYNC240 - a test
        caller, _ = await home.add(requests_per_minute=1)
        home.ring.admit(caller)

    on_home(tmp_path, scenario)
