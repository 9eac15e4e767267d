"""Stacks below a framework, and a tree of awaiters, on the screens."""

from __future__ import annotations

from driver import running
from scene import MAIN, SECOND, START, everything

from monitor.protocol import frames
from monitor.protocol.rows import TaskStaticRow

FRAMEWORK = "/venv/lib/python3.11/site-packages/starlette/routing.py"
STRINGS = [FRAMEWORK, "Router.app"]


def served() -> list[frames.Frame]:
    """A view that blocks below twenty frames of a framework."""
    more = frames.Static(
        strings=frames.Strings(from_=12, items=STRINGS),
        sites=frames.Sites(from_=15, items=[(12, 100 + number, 13) for number in range(20)]),
    )
    slow = frames.Event(
        seq=90, at=START + 65 * SECOND, kind="slow_callback", loop=1, duration=9_000_000, task=17, name="Task-17",
        callback="handle()", stack=[*range(15, 35), 8, 10], blame=21, samples=4,
    )  # fmt: skip
    return [*everything(), more, slow]


async def test_enter_unfolds_the_frames_of_a_framework() -> None:
    async with running((100, 40), fed=served()) as driver:
        await driver.press("2", "home", "enter")
        folded = driver.text()
        assert "▸ 20 frames of starlette" in folded
        assert "starlette/routing.py:110" not in folded
        assert "slow_digest  scene_app.py:37" in folded.replace("   ", "  ")
        await driver.press("down", "enter")
        assert "▾ 20 frames of starlette" in driver.text()
        assert "starlette/routing.py:110" in driver.text()
        await driver.press("enter")
        assert "▸ 20 frames of starlette" in driver.text()


async def test_a_tree_asks_who_awaits_what_is_older_than_the_probe_and_says_so() -> None:
    async with running((120, 30)) as driver:
        await driver.press("t")
        assert ("tasks", {"ids": [MAIN], "limit": 1}) in [entry[1:] for entry in driver.source.requests]
        assert "tree of awaiters" not in driver.text()
        outer = frames.Static(tasks=[TaskStaticRow(200, "outer", 2, 1, START, None, 0, 0, 0)])
        told = frames.Detail(id=MAIN, await_stack=[3], await_tasks=[], waiting_on=None, awaited_by=[200], origin=None)
        await driver.tick(outer, frames.Reply(id=1, ok=True, details=[told]), seconds=2.0)
        await driver.tick()
        assert "tree of awaiters" in driver.text()
