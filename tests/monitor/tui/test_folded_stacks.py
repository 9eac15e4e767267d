"""Stacks below a framework, on the screens."""

from __future__ import annotations

from driver import running
from scene import SECOND, START, everything

from monitor.protocol import frames

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
