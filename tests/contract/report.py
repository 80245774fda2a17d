"""The report at the end of a run: what became of the tests of each requirement.

Registered for the whole session, since the process that reports may be another one than those that test.
"""

from __future__ import annotations

import pytest

from tests.contract.requirements import ALL

PROPERTY = "requirement"


class ContractReport:
    """Gathers what became of each requirement's tests."""

    def __init__(self) -> None:
        self._outcomes: dict[str, list[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        for name, value in report.user_properties:
            if name == PROPERTY:
                self._outcomes.setdefault(str(value), []).append(report.outcome)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._outcomes:
            return
        terminalreporter.section("published contract")
        for name in ALL:
            seen = self._outcomes.get(name, [])
            verdict = next((word for word in ("failed", "skipped", "passed") if word in seen), "not run")
            terminalreporter.write_line(f"{verdict:8} {name:28} {ALL[name]}")
        passed = sum(set(self._outcomes.get(name, [""])) == {"passed"} for name in ALL)
        terminalreporter.write_line(f"{passed} of {len(ALL)} requirements passed")
