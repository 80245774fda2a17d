"""Running the checks: at the same time, each with exactly one result, whatever happens to it."""

from __future__ import annotations

import contextlib

import anyio

from foundrylocal.doctor.finding import Finding, Level, error, ok, warning, worst
from foundrylocal.doctor.report import render
from foundrylocal.doctor.runner import Check, Checked, Shared, run_checks
from foundrylocal.errors import ModelCorrupted
from tests.fakes import virtual_time


async def fine() -> Finding:
    await anyio.sleep(3)
    return ok("fine")


async def hangs() -> Finding:
    await anyio.sleep_forever()
    return ok("never")


async def breaks() -> Finding:
    raise RuntimeError("no such device")


async def refuses() -> Finding:
    raise ModelCorrupted("Tiny", "It is truncated.")


def run(*checks: Check) -> tuple[list[Checked], float]:
    async def main() -> tuple[list[Checked], float]:
        began_s = anyio.current_time()
        return await run_checks(checks), anyio.current_time() - began_s

    return virtual_time.run(main)


def test_checks_run_at_the_same_time_and_are_bounded() -> None:
    results, took_s = run(Check("a", fine), Check("b", hangs, 5.0), Check("c", fine))
    assert [(result.name, result.finding.level) for result in results] == [
        ("a", Level.OK),
        ("b", Level.WARNING),
        ("c", Level.OK),
    ]
    assert "did not finish within 5 s" in results[1].finding.message
    assert took_s == 5.0
    assert results[0].seconds == 3.0


def test_a_check_that_breaks_leaves_the_others_alone() -> None:
    results, _ = run(Check("a", breaks), Check("b", refuses), Check("c", fine))
    assert "no such device" in results[0].finding.message
    assert results[1].finding.action == "It is truncated. Download it again to repair it."
    assert results[2].finding.level is Level.OK


def test_the_worst_level_is_the_answer_as_a_whole() -> None:
    assert worst([]) is Level.OK
    results = [
        Checked("a", ok("x"), 0.1),
        Checked("b", error("y", "do"), 0.12345),
        Checked("c", warning("z", "do"), 0),
    ]
    answer = render(results)
    assert (answer["status"], answer["total_count"]) == ("error", 3)
    assert answer["checks"][1] == {
        "name": "b",
        "status": "error",
        "message": "y",
        "action": "do",
        "seconds": 0.123,
    }


def test_a_shared_answer_is_asked_for_once_and_again_after_a_failure() -> None:
    asked: list[int] = []

    async def ask() -> int:
        asked.append(len(asked))
        await anyio.sleep(1)
        if len(asked) == 1:
            raise OSError
        return 7

    async def main() -> None:
        shared = Shared(ask)
        with contextlib.suppress(OSError):
            await shared.get()
        answers: list[int] = []

        async def take() -> None:
            answers.append(await shared.get())

        async with anyio.create_task_group() as group:
            group.start_soon(take)
            group.start_soon(take)
        assert answers == [7, 7]

    virtual_time.run(main)
    assert len(asked) == 2
