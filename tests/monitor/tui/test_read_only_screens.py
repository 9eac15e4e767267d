"""A program that is read from outside: every screen says what it cannot know, and nothing that it has not seen."""

from __future__ import annotations

from driver import running
from scene import START, hello, static

from monitor.protocol import frames
from monitor.protocol.rows import LoopStaticRow, TaskRow, TaskStaticRow, WaitRow

WHY = "read-only: remote debugging is disabled"


def outside() -> list[frames.Frame]:
    """What the reader of another process says: no times, no counts, no loops; who awaits stands for the parent."""
    at = START + 61_000_000
    tasks = [
        TaskStaticRow(1, "main", 2, 1, None, at, 0, 0, 1),
        TaskStaticRow(2, "first [/x]", 4, 1, None, at, 1, 0, 1),
        TaskStaticRow(3, "second", 4, 1, None, at, 1, 0, 1),
    ]
    return [
        hello(hooks=WHY, capabilities=["read-only"], probe=""),
        frames.Static(
            strings=static().strings, sites=static().sites, loops=[LoopStaticRow(1, "asyncio", 7, "")], tasks=tasks
        ),
        frames.Tick(
            at=at,
            tasks=[TaskRow(number, state, 0, 0, None, 0) for number, state in ((1, 2), (2, 0), (3, 2))],
            waits=[WaitRow(1, "task", "first [/x], second"), WaitRow(3, "sleep", "in worker app.py:5")],
        ),
    ]


async def test_tasks_have_no_figures_and_the_banner_says_why() -> None:
    async with running((140, 40), fed=outside()) as driver:
        await driver.tick(seconds=3)
        text = driver.text()
        assert "○ read-only" in text
        assert f"{WHY}; times and counts are not available" in text
        row = next(line for line in driver.screen() if "second" in line.partition("waiting")[0] and "waiting" in line)
        assert "0" not in row.partition("waiting")[2].replace("app.py", "")
        assert row.count("–") >= 6
        assert "sleep in worker" in row


async def test_the_tree_is_of_who_awaits_whom() -> None:
    async with running(fed=outside()) as driver:
        await driver.press("t")
        lines = [line for line in driver.screen() if "first [/x]" in line or "main" in line]
        assert "▾ main" in lines[0]
        assert lines[1].index("first") > lines[0].index("main")


async def test_the_page_of_a_task_claims_nothing() -> None:
    async with running((140, 40), fed=outside()) as driver:
        driver.app.open_task(3)
        await driver.pilot.pause()
        await driver.tick(seconds=9)
        text = driver.text()
        assert "not visible from outside" in text
        assert "waiting for" not in text
        assert "≥" not in text
        assert "not visible from outside" in text


async def test_what_needs_a_probe_says_so() -> None:
    async with running(fed=outside()) as driver:
        for mode in ("slow", "memory", "profile"):
            await driver.app.action_show(mode)
            await driver.tick()
            await driver.until(lambda: "Not available: this program is read from outside" in driver.text())
        await driver.app.action_show("tasks")
        await driver.press("c")
        await driver.until(lambda: "cancelling a task needs a probe" in driver.text())


async def test_ends_are_told_without_how() -> None:
    async with running(fed=outside()) as driver:
        event = frames.Event(
            seq=1, at=START + 62_000_000, kind="task_ended", task=3, name="second", coro="worker", outcome="ended"
        )
        await driver.tick(event)
        await driver.press("3")
        row = next(line for line in driver.screen() if "second" in line)
        assert "■ ended" in row
        await driver.press("enter")
        assert "second" in driver.text()


async def test_nothing_is_said_to_be_right() -> None:
    async with running((140, 40), fed=outside()) as driver:
        await driver.press("7")
        await driver.tick(seconds=9)
        assert "Not available: this program is read from outside." in driver.text()
        assert "No known problem pattern detected" not in driver.text()
