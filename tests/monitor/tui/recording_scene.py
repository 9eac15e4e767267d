"""The scene of the dashboard tests as a recording, and what a person does with the player."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
from driver import Driver
from memory_scene import ABLE, look, tracing
from scene import SECOND, START, FakeClock, FakeSource, events, hello, static, tick

from monitor.protocol import frames, memory_frames
from monitor.protocol.rows import SiteRow
from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording
from monitor.recording.writer import File, Recorder
from monitor.store.store import Store
from monitor.tui.app import Looptop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

TICKS = 240


def bounded() -> frames.Static:
    """The facts of the scene with names as long as a probe sends them: longer ones are refused on decoding."""
    told = static()
    tasks = [msgspec.structs.replace(row, name=row.name[:300]) for row in told.tasks]
    return msgspec.structs.replace(told, tasks=tasks)


def scenario(ticks: int = TICKS, gap: bool = False) -> list[frames.Frame]:
    """A minute: ends and slow callbacks at its beginning, a burst, a failure, memory that is looked at."""
    told: list[frames.Frame] = [hello(capabilities=ABLE), bounded()]
    later = events()
    for step in range(1, ticks + 1):
        if gap and 60 < step < 160:
            if step == 159:
                told += [hello(at=60 + step / 4, capabilities=ABLE), bounded()]
            continue
        at = START + 60 * SECOND + step * 250_000
        facts: dict[str, object] = {}
        if step % 9 == 3 and later:
            event = later.pop(0)
            told.append(frames.Event(**{**{n: getattr(event, n) for n in event.__struct_fields__}, "at": at}))
        if step == 100:
            facts["sites"] = [SiteRow(2, 9_000, 970, 4, 2, 3_400_000, 48_000)]
        if step == 150:
            told.append(
                frames.Event(seq=18, at=at, kind="memory", text="a look [/x] held the program", duration=45_000)
            )
            facts["memory"] = memory_frames.MemoryTick(tracing=tracing(since=at - 9 * SECOND))
            told.append(look(7, 5))
        told.append(tick(step, **facts))
    return told


def write(path: Path, *, cut: bool = False, gap: bool = False) -> Path:
    """A recording as the recorder writes it; cut in its last block, or with a lost connection in its middle."""
    store = Store()
    recorder = Recorder(store, File(path))
    for frame in scenario(gap=gap):
        store.apply(frame)
        recorder.take(frame)
        until = time.monotonic() + 60
        while recorder._queue.qsize() and time.monotonic() < until:  # else it drops what comes so fast
            time.sleep(0.0005)
    recorder.close("duration reached")
    if cut:
        with Recording(path) as recording:
            end = recording._blocks[-1].place.offset + 10
        path.write_bytes(path.read_bytes()[:end])
    return path


@asynccontextmanager
async def replaying(
    size: tuple[int, int] = (80, 24), *, cut: bool = False, gap: bool = False, file: Path | None = None
) -> AsyncIterator[Driver]:
    """The dashboard on a recording, playing."""
    with TemporaryDirectory() as folder:
        clock = FakeClock()
        file = file or write(Path(folder) / "shop.looptop", cut=cut, gap=gap)
        source = RecordingSource(Recording(file), clock=clock, wall=clock)
        app = Looptop(source, hz=0, clock=clock, wall=clock)
        async with app.run_test(size=size, notifications=True) as pilot:
            driver = Driver(app, pilot, FakeSource(), clock)
            await pilot.pause()
            await app.tick()
            await pilot.pause()
            yield driver
        source.close()


async def played(driver: Driver, seconds: float = 12) -> None:
    for _ in range(4):
        await driver.tick(seconds=seconds / 4)


async def paused_at_a_marker(driver: Driver) -> None:
    await played(driver)
    await driver.press("space", "right_square_bracket")
    await driver.tick(seconds=3)


async def at_the_end(driver: Driver) -> None:
    await played(driver, 80)


async def asked_for_a_time(driver: Driver) -> None:
    await driver.press("space", "g")
    await driver.pilot.press(*"99m", "enter")
    await driver.pilot.pause()


async def memory(driver: Driver) -> None:
    await driver.press("5")
    await driver.press("space")
    driver.app.player.seek_share(0.7)  # type: ignore[union-attr]
    await driver.tick(seconds=3)


async def in_a_gap(driver: Driver) -> None:
    await driver.press("space")
    driver.app.player.seek_share(0.4)  # type: ignore[union-attr]
    await driver.tick()


async def a_task(driver: Driver) -> None:
    await played(driver)
    await driver.press("space", "enter")
    await driver.tick(seconds=1)


async def hostile(driver: Driver) -> None:
    """Names that are no markup, in the markers too."""
    await driver.press("space")
    for _ in range(9):
        await driver.press("right_square_bracket")
    await driver.filter_by("parent:2")
    await driver.press("enter")


SCREENS: dict[str, Callable[[Driver], Awaitable[None]]] = {
    "player": played,
    "player_marker": paused_at_a_marker,
    "player_end": at_the_end,
    "player_go_to": asked_for_a_time,
    "player_memory": memory,
    "player_task": a_task,
    "player_hostile": hostile,
    "player_help": lambda driver: driver.press("question_mark"),
    "player_cut": played,
    "player_gap": in_a_gap,
}
NARROW_ONLY = {"player_end", "player_go_to", "player_hostile", "player_help", "player_task", "player_cut", "player_gap"}
