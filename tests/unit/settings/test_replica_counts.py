"""The setting `replicas` in each of its forms, from each of its sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foundrylocal.errors import InvalidConfiguration
from foundrylocal.settings.replica_counts import ONE, ReplicaCounts, ReplicaRange, range_of
from foundrylocal.settings.store import SettingsStore


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        (1, ONE),
        (2, ReplicaRange(2, 2)),
        ("3", ReplicaRange(3, 3)),
        (" 1-4 ", ReplicaRange(1, 4)),
        ({"Tiny": "2-3", "org/other": 5}, ReplicaRange(2, 3)),
        ({"ORG/tiny": 4}, ReplicaRange(4, 4)),
        ({"other": 4}, ONE),
    ],
)
def test_the_range_of_a_model(setting: ReplicaCounts, found: ReplicaRange) -> None:
    assert range_of(setting, ("tiny", "org/tiny")) == found


@pytest.mark.parametrize(
    "setting", [0, -1, 65, "4-1", "0-2", "1-99", "", "two", "1-", "-3", {"a": "x"}, 1.5, None, [1]]
)
def test_what_is_no_number_of_replicas_is_refused(tmp_path: Path, setting: Any) -> None:
    store = SettingsStore(tmp_path)
    with pytest.raises(InvalidConfiguration) as refused:
        store.update({"replicas": setting})
    assert str(refused.value.details).startswith("replicas: ")  # one reason, not one for each form


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2", ReplicaRange(2, 2)),
        ("1-4", ReplicaRange(1, 4)),
        ("tiny=1-4, other=2", ReplicaRange(1, 4)),
        ('{"tiny": 3}', ReplicaRange(3, 3)),
    ],
)
def test_the_environment_may_set_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, found: ReplicaRange
) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_REPLICAS", text)
    assert range_of(SettingsStore(tmp_path).current.replicas, ("tiny",)) == found


def test_it_is_saved_as_it_was_written(tmp_path: Path) -> None:
    SettingsStore(tmp_path).update({"replicas": {"tiny": "1-4"}})
    assert SettingsStore(tmp_path).current.replicas == {"tiny": "1-4"}
