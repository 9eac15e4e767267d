"""Keys faster than screens, ticks faster than both: no screen is looked at before it is whole or after it has gone."""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from driver import Driver, running
from memory_scene import ABLE, look, objects, profiles, tracing, usage_tick
from recording_scene import replaying
from scene import FakeProgram, FakeSource, detail_of_worker, everything, hello, rows, tick
from test_connect_screen import PROGRAMS, FakeHome
from textual.events import Key

from monitor.protocol import frames
from monitor.protocol.scan_frames import LockRow, SyncScan, WaiterRow
from monitor.tui.app import Looptop
from monitor.tui.connect import Connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONG = 60.0 if os.environ.get("LOOPTOP_LONG") else 0.0
"""Seconds of keys and ticks at a person's pace, on request: the rounds below come to the same states much sooner."""

EVERYWHERE = ("enter", "escape", "down", "enter", "down", "enter", "escape", "escape", "question_mark", "escape",
              "slash", "w", "escape", "space", "enter", "escape", "space", "i", "ctrl+p", "escape")  # fmt: skip
PATHS = {
    "tasks": ("1", *EVERYWHERE, "c", "n", "t", "enter", "escape", "t", "enter", "escape", "t", "enter", "p", "o", "o",
              "c", "n", "escape", "escape"),
    "slow": ("2", *EVERYWHERE, "plus", "minus"),
    "ended": ("3", *EVERYWHERE, "L", "n", "enter", "L", "y", "escape", "L"),
    "output": ("4", *EVERYWHERE),
    "memory": ("5", *EVERYWHERE, "t", "enter", "escape", "t", "s", "escape", "b", "n", "v", "a", "d", "x", "enter",
               "n", "escape"),
    "profile": ("6", *EVERYWHERE, "enter", "d", "escape"),
    "findings": ("7", *EVERYWHERE, "d", "D", "enter", "d", "escape"),
    "questions": ("q", "escape", "q", "n", "r", "escape", "c", "n"),
    "to and fro": ("1", "enter", "2", "enter", "1", "3", "enter", "5", "enter", "6", "enter", "7", "enter", "4", "1"),
}  # fmt: skip
PAGES = {
    "tasks": "TaskScreen",
    "slow": "BlockingLineScreen",
    "ended": "EndScreen",
    "memory": "AllocationScreen",
    "profile": "FunctionScreen",
    "findings": "FindingScreen",
    "questions": "ConfirmScreen",
}
"""What must have been in sight on the way."""
PLAYING = ("left", "right", "greater_than_sign", "enter", "full_stop", "comma", "escape", "right_square_bracket", "g",
           "escape", "left_square_bracket", "2", "enter", "space", "5", "space", "3", "enter", "1")  # fmt: skip
CONNECTING = ("2", "3", "tab", "slash", "a", "escape", "question_mark", "escape", "1", "down", "ctrl+p", "escape")


async def hasten(driver: Driver, keys: tuple[str, ...], seed: int) -> set[str]:
    """Presses keys while a tick comes in every round of the loop; the screens that were in sight.

    What escapes a tick or a screen is raised here.
    """
    chance = random.Random(seed)
    app = driver.app
    ended = asyncio.Event()
    seen = set()

    async def tick_away() -> None:
        step = 50
        while not ended.is_set():
            if chance.random() < 0.1:
                step += 1
                driver.source.feed(tick(step))
            driver.clock.advance(0.05)
            await app.tick()
            seen.add(type(app.screen).__name__)
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick_away())
    try:
        for key in keys:
            app.post_message(Key(key, key if len(key) == 1 else None))
            for _ in range(chance.choice((1, 2, 3, 5, 8, 20))):
                await asyncio.sleep(0)
                if ticking.done():
                    break
    finally:
        ended.set()
        await ticking
    assert app._exception is None
    await driver.pilot.pause()
    for _ in range(6):
        await driver.press("escape")
    return seen


def full() -> list[frames.Frame]:
    """A program with something on every screen."""
    fed = [hello(capabilities=[*ABLE, "origins", "histograms", "detach"]), *everything()[1:]]
    fed += [usage_tick(25, tracing=tracing()), look(1, 3), objects(2), profiles(3, 30)]
    return [*fed, frames.Reply(id=4, ok=True, details=[detail_of_worker()])]


@asynccontextmanager
async def whole_scene(size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driver]:
    async with running(size, full(), FakeProgram(["one", "two"])) as driver:
        deadlock = SyncScan(locks=[LockRow(1, 1, 3, 14, [WaiterRow(4, 6)]), LockRow(2, 1, 4, 14, [WaiterRow(3, 6)])])
        for step in range(26, 44):
            await driver.tick(tick(step, tasks=rows(25), sync_scan=deadlock if step % 4 == 1 else None))
        assert driver.app.findings.shown()
        yield driver


@pytest.mark.parametrize("path", PATHS)
async def test_no_tick_meets_a_screen_that_is_not_whole(path: str) -> None:
    seen: set[str] = set()
    async with whole_scene() as driver:
        for seed in range(2):
            seen |= await hasten(driver, PATHS[path], seed)
    assert PAGES.get(path, "TasksScreen") in seen


async def test_nor_in_a_recording() -> None:
    async with replaying() as driver:
        for seed in range(2):
            seen = await hasten(driver, PLAYING, seed)
    assert "TaskScreen" in seen


async def test_nor_on_the_connect_screen() -> None:
    app = Connect(FakeHome(), every=0)
    async with app.run_test(size=(80, 24)) as pilot:
        for number, key in enumerate(CONNECTING * 3):
            app.post_message(Key(key, key if len(key) == 1 else None))
            for _ in range((1, 2, 5, 13)[number % 4]):
                app.lists.take("programs", PROGRAMS[: number % len(PROGRAMS)])
                app.update_now()
                await asyncio.sleep(0)
        await pilot.pause()
        while len(app.screen_stack) > 1:  # Textual's palette still looks for commands when the app goes
            await pilot.press("escape")
    app.lists.take("programs", PROGRAMS)  # an answer that comes when the screen has gone


@pytest.mark.skipif(not LONG, reason="a minute: LOOPTOP_LONG=1 runs it")
@pytest.mark.timeout(600)
async def test_nor_in_a_minute_at_ten_keys_and_twenty_ticks_a_second() -> None:
    chance = random.Random()
    keys = [key for path in PATHS.values() for key in path]
    source = FakeSource(*full())
    app = Looptop(source, hz=20, program=FakeProgram(["one"]))
    step = 50
    async with app.run_test(size=(80, 24)) as pilot:
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            for key in keys:
                app.post_message(Key(key, key if len(key) == 1 else None))
                await asyncio.sleep(chance.uniform(0, 0.2))
                step += 1
                source.feed(tick(step))
                assert app._exception is None
        await pilot.press("escape")
