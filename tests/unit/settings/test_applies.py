"""When a setting takes effect: the dashboard says what the command line and the documentation say."""

from __future__ import annotations

import re
from importlib import resources

from foundrylocal.settings.applies import Applies, applies
from foundrylocal.settings.schema import Settings

IN_THE_DASHBOARD = {
    "NOW": Applies.AT_ONCE,
    "LOAD": Applies.NEXT_LOAD,
    "START": Applies.SERVICE_START,
    "'when the server starts again'": Applies.SERVER_START,
}


def test_the_dashboard_and_the_command_line_say_the_same() -> None:
    text = (resources.files("foundrylocal.ui") / "dashboard/core/setting-groups.js").read_text("utf-8")
    shown = dict(re.findall(r"^  (\w{1,40}): \[.{1,200}, (\w{1,9}|'[a-z ]{1,40}')\],$", text, re.MULTILINE))
    assert set(shown) <= set(Settings.model_fields)
    assert len(shown) >= 40
    assert {name: IN_THE_DASHBOARD[when] for name, when in shown.items()} == {
        name: applies(name) for name in shown
    }
