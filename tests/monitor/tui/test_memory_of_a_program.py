"""The Memory and Profile screens and the recording key on a real program over a real socket, and its replay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from textual.widgets import Input
from watched import ROOT, Program

from monitor.attach.targets import resolve
from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording
from monitor.sources.live import LiveSource
from monitor.transport.connection import connect
from monitor.tui.app import Looptop
from monitor.tui.screens.allocation import AllocationScreen
from monitor.tui.screens.memory import MemoryScreen

BODY = """
    import asyncio, tracemalloc
    import probes

    kept = []

    @probes.profile_time
    async def leaks():
        kept.append(bytearray(2000))  # leaks
        await asyncio.sleep(0.001)

    async def main():
        while True:
            await leaks()
            if len(kept) == 50: print("ready", flush=True)
            if len(kept) % 100 == 0: print("traces", tracemalloc.is_tracing(), flush=True)

    asyncio.run(main())
"""
PATIENCE = 60.0


async def until(app: Looptop, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        await asyncio.sleep(0.02)


async def test_what_leaks_is_found_stopped_recorded_and_replayed(tmp_path: Path) -> None:
    file = tmp_path / "leak.looptop"
    with Program(BODY, folder=tmp_path, env={"PYTHONPATH": str(ROOT)}) as program:
        program.expect("ready")
        leak = 1 + next(
            n for n, text in enumerate((tmp_path / "program.py").read_text().splitlines()) if "# leaks" in text
        )
        source = LiveSource(lambda: connect(resolve(str(program.pid))))
        app = Looptop(source, hz=10)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(app, lambda: bool(app.store.tasks), "tasks")
            await pilot.press("r")
            app.screen.query_one(Input).value = str(file)
            await pilot.pause()
            await pilot.press("enter", "5", "s", "3", "enter")
            screen = app.live_screen
            assert isinstance(screen, MemoryScreen)
            await until(app, lambda: app.store.memory.tracing is not None, "tracing")
            await until(app, lambda: len(screen.growth.rows) > 0, "a look")
            await until(app, lambda: "traces True" in program.out, "what the program sees of it")
            row = screen.growth.rows[0]
            assert row.site is not None
            assert (Path(row.site.file).name, row.site.line) == ("program.py", leak)
            before = row.size_diff
            await until(app, lambda: screen.growth.rows[0].size_diff > before, "growth of the second look")
            await pilot.press("enter")
            page = app.live_screen
            assert isinstance(page, AllocationScreen)
            await until(app, lambda: "traceback" in app.store.memory.snapshots, "tracebacks of three frames")
            await until(
                app,
                lambda: any("waits through" in "".join(t for t, _ in line.parts) for line in page.page.lines),
                "tasks",
            )
            await pilot.press("escape", "t")
            await until(app, lambda: app.store.memory.objects is not None, "objects")
            await pilot.press("t", "s")
            await until(app, lambda: app.store.memory.ended is not None, "the end of tracing")
            await until(app, lambda: program.out[-1] == "traces False", "what the program sees of the end")
            await pilot.press("6")
            await until(app, lambda: any(p.function == "leaks" for p in app.store.memory.profiles), "profiles")
            await pilot.press("r")
            await until(app, lambda: app.recording.sign() is None, "the end of the recording")
            seen = app.store.memory
        source.close()
    with Recording(file) as recording:
        assert recording.finished
        assert {"memory"} <= {marker.kind for marker in recording.markers()}
    player = RecordingSource(Recording(file), playing=False)
    replayed = Looptop(player, hz=0)
    async with replayed.run_test(size=(120, 40)):
        player.seek(player.duration)
        await replayed.tick()
        memory = replayed.store.memory
        assert memory.snapshot == seen.snapshot
        assert memory.objects == seen.objects
        assert [p.function for p in memory.profiles] == ["leaks"]
    player.close()
