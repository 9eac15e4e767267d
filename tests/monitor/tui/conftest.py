"""What makes a screen the same everywhere: the time zone, no animations, no colour setting of the machine."""

from __future__ import annotations

import asyncio
import time

import pytest
import textual.app
import textual.pilot

SLICE = 0.008
"""Seconds; the pilot's own slices of 20 ms see nothing more, with nothing ticking."""
IDLE = 0.0004
"""Seconds of CPU in a slice, at most."""
LONGEST = 10.0


async def wait_for_idle(min_sleep: float = 0.0, max_sleep: float = LONGEST) -> None:
    """Waits until nothing is left to do, in place of the pilot's own, which only looks at the CPU time of the process:
    on a crowded machine that is small, too, while messages wait to be handled."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    while time.monotonic() < began + LONGEST:
        cpu = time.process_time()
        await asyncio.sleep(SLICE)
        turns = 0
        while loop._ready and turns < 1000:  # type: ignore[attr-defined]
            turns += 1
            await asyncio.sleep(0)
        if not turns and time.process_time() - cpu < IDLE:
            return


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    for name in ("NO_COLOR", "TEXTUAL_THEME", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for module in (textual.app, textual.pilot):
        monkeypatch.setattr(module, "wait_for_idle", wait_for_idle)
    if hasattr(time, "tzset"):
        time.tzset()
    yield
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()
