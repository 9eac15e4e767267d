"""Drives the dashboard by hand: no ticks of its own, no clock of its own, the screen as lines of text."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from scene import FakeClock, FakeProgram, FakeSource, everything
from textual.widgets import Input

from monitor.protocol import frames
from monitor.tui.app import Looptop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from textual.pilot import Pilot


THUMB = re.compile(r"(?<![▁-█])[▁-█]{1,2}$")
THUMB_IN_A_BOX = re.compile(r"(?<![▁-█])[▁-█]{1,2}(?= *│$)")


@dataclass
class Driver:
    """The app, its source and its clock, and what a person does."""

    app: Looptop
    pilot: Pilot[Any]
    source: FakeSource
    clock: FakeClock

    async def tick(self, *fed: frames.Frame, seconds: float = 0.25) -> None:
        """What came, then one tick, then everything painted."""
        self.source.feed(*fed)
        self.clock.advance(seconds)
        await self.look()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.look()

    async def look(self) -> None:
        """One tick, and another look when the sources are there that it asks for."""
        await self.app.tick()
        if self.app.sources.reading:
            while self.app.sources.reading:
                await asyncio.sleep(0.001)
            self.app.update_now()
        await self.pilot.pause()

    async def filter_by(self, text: str) -> None:
        """Opens the filter and fills it in; a key at a time would take a second of every test."""
        await self.pilot.press("slash")
        self.app.screen.query_one(Input).value = text
        await self.pilot.pause()
        await self.look()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "it never came to be"
            await self.pilot.pause()

    def screen(self) -> list[str]:
        """What a person sees, without the thumb of the scrollbar: Textual paints that when it comes to it."""
        last = self.app.size.width - 1
        lines = []
        for strip in self.app.screen._compositor.render_strips():
            text = "".join(segment.text for segment in strip).rstrip()
            text = THUMB_IN_A_BOX.sub(lambda thumb: " " * len(thumb.group()), text)
            lines.append(THUMB.sub("", text).rstrip() if cell_len(text) > last else text)
        return lines

    async def settled(self) -> None:
        """Waits until what is painted stays the same: a dialog and what is behind it are painted one after the other."""
        before = ""
        for _ in range(50):
            for _ in range(3):
                await self.pilot.pause()
            before, now = self.text(), before
            if now == before:
                return

    def text(self) -> str:
        return "\n".join(self.screen()) + "\n"


@asynccontextmanager
async def running(
    size: tuple[int, int] = (80, 24),
    fed: list[frames.Frame] | None = None,
    program: FakeProgram | None = None,
    no_color: bool = False,
) -> AsyncIterator[Driver]:
    """The dashboard on a scene."""
    source, clock = FakeSource(*(everything() if fed is None else fed)), FakeClock()
    app = Looptop(source, hz=0, clock=clock, wall=clock, program=program, no_color=no_color)
    async with app.run_test(size=size, notifications=True) as pilot:
        driver = Driver(app, pilot, source, clock)
        await pilot.pause()
        await app.tick()
        await pilot.pause()
        yield driver
