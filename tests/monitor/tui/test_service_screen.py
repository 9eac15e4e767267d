"""The Service screen on a set of scenes, driven by hand: rows, total, the merged tables, Enter, and the way back."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from driver import Driver, running
from msgspec.structs import replace
from recording_scene import write
from scene import FakeClock, FakeSource, everything, hello
from test_flame_screen import facts as flame_facts
from test_flame_screen import flame
from test_golden_screens import SIZES, check
from test_groups_screen import groups, labels
from test_threads_screen import FACTS as THREAD_FACTS
from test_threads_screen import look as threads
from textual.widgets import Input

from monitor.cli.home import Listed
from monitor.errors import ConnectError
from monitor.findings.thresholds import Thresholds
from monitor.fleet import service as service_of_fleet
from monitor.fleet.fleet import Change
from monitor.fleet.recorded import RecordedFleet
from monitor.fleet.rows import SERVICE, ServiceRow
from monitor.fleet.service import Service
from monitor.protocol import frames
from monitor.recording.of_set import open_set
from monitor.store.store import Store
from monitor.tui.app import Looptop
from monitor.tui.base.choices import Opened, OpenedSet
from monitor.tui.screens.service import FLAME_HZ
from monitor.tui.service import ServiceApp
from monitor.tui.widgets.timeline import Timeline


class FakeFleet:
    """Workers whose frames have come; the last of them does not answer."""

    elsewhere = recorded = False

    def __init__(self, number: int) -> None:
        self.workers: dict[int, Any] = {}
        self.changes: list[Change] = []
        self.came: list[tuple[Any, list[frames.Frame]]] = []
        for slot in range(number):
            store = Store()
            store.worker = slot
            silent = slot == number - 1
            for frame in everything() if not silent else []:
                store.apply(frame)
            if not silent:
                assert store.session is not None
                store.session = replace(store.session, pid=100 + slot, host="web1")
            for loop in store.loops.values():
                loop.lags.values.clear()
                loop.lags.values.extend([0.001 * (slot + 1)] * 20)
                loop.blocked = 0.0
            problem = "it is stopped by a signal [/x]" if silent else None
            self.workers[slot] = SimpleNamespace(
                slot=slot, pid=100 + slot, store=store, up=not silent, problem=problem, entering=False, owner=None,
                find=lambda findings, budget: None,
            )  # fmt: skip
        self.watched: dict[str, object] = {}

    def step(self) -> list[Change]:
        changes, self.changes = self.changes, []
        return changes

    def changed(self) -> list[Change]:
        return []

    def take(self) -> list[Any]:
        came, self.came = self.came, []
        return came

    def watch(self, **what: object) -> None:
        self.watched.update(what)

    def feed(self, slot: int, *fed: frames.Frame) -> None:
        for frame in fed:
            self.workers[slot].store.apply(frame)


class Scene:
    def __init__(self, number: int = 4, elsewhere: bool = False) -> None:
        self.fleet = FakeFleet(number)
        self.fleet.elsewhere = elsewhere
        self.opened: list[int] = []
        self.clock = FakeClock()
        self.app = ServiceApp(
            Service(self.fleet, Thresholds(), "310"), self.open, hz=0, clock=self.clock, no_color=True
        )

    def open(self, slot: int) -> Opened:
        if slot == len(self.fleet.workers) - 1:
            raise ConnectError("worker does not answer", "it is stopped")
        self.opened.append(slot)
        return Opened(FakeSource())

    async def look(self, pilot: Any, seconds: float = 2.0) -> str:
        self.clock.advance(seconds)
        self.app.tick()
        await pilot.pause()
        return Driver(self.app, pilot, FakeSource(), self.clock).text()  # type: ignore[arg-type]


async def test_the_worst_worker_is_on_top_and_enter_goes_into_it() -> None:
    scene = Scene()
    async with scene.app.run_test(size=(100, 24)) as pilot:
        await pilot.pause()
        text = await scene.look(pilot)
        lines = text.splitlines()
        assert lines[0].startswith(" shop 310  4 workers") and lines[0].rstrip().endswith("1 not answering")
        order = [line.split()[0].lstrip("▌") or line.split()[1] for line in lines[4:8]]
        assert order == ["3", "2", "1", "0"], text
        assert "✗ it is stopped by" in lines[4]
        assert "3.00ms" in lines[5] and "103" in lines[4]
        assert " Total  lag 3.00ms  req –/s  errors –  tasks" in lines[-2]
        busy = scene.fleet.workers[0].store
        next(iter(busy.loops.values())).blocked = 2.5
        busy.revision += 1
        text = await scene.look(pilot)
        assert [line.split()[0].lstrip("▌") or line.split()[1] for line in text.splitlines()[4:6]] == ["3", "0"], text

        scene.fleet.changes.append(Change(False, time.time(), 1, 101, "killed by SIGKILL"))
        assert "worker 1 (101) has gone: killed by SIGKILL" in await scene.look(pilot)
        await pilot.press("enter")  # the one on top does not answer
        await pilot.app.workers.wait_for_complete()
        assert "✗ worker 3: worker does not answer: it is stopped" in await scene.look(pilot, 0.1)
        await pilot.press("down", "enter")
        await pilot.app.workers.wait_for_complete()
    assert scene.opened == [0]
    assert scene.app.return_value is not None
    assert scene.app.return_value[0] == 0


async def test_the_host_is_shown_if_workers_may_be_elsewhere() -> None:
    for elsewhere in (False, True):
        scene = Scene(elsewhere=elsewhere)
        async with scene.app.run_test(size=(120, 24)) as pilot:
            await pilot.pause()
            text = await scene.look(pilot)
            assert ("Host" in text) == elsewhere, text
            assert any("web1" in line for line in text.splitlines()[4:8]) == elsewhere, text


async def test_tables_of_all_workers_have_a_column_process_and_a_filter() -> None:
    scene = Scene()
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await scene.look(pilot)
        await pilot.press("2")
        text = await scene.look(pilot)
        assert "Process" in text and all(f"{slot} (10{slot})" in text for slot in range(3))
        await pilot.press("slash")
        scene.app.screen.query_one(Input).value = "worker:1 busy>"
        await pilot.pause()
        await scene.look(pilot)  # half typed
        scene.app.screen.query_one(Input).value = "worker:1"
        await pilot.pause()
        text = await scene.look(pilot)
        assert "1 (101)" in text and "0 (100)" not in text
        await pilot.press("enter")
        await pilot.press("3")
        text = await scene.look(pilot)
        lines = [line for line in text.splitlines() if "0: " in line]
        assert lines and all("1: " in line and "2: " in line for line in lines), "one line, with counts by worker"
        await pilot.press("4")
        assert "2 (102)" in await scene.look(pilot)
        await pilot.press("5")
        assert "Finding" in await scene.look(pilot)
        await pilot.press("escape")
        assert " Total " in await scene.look(pilot) and scene.app.table.chosen == "service"
        await pilot.press("question_mark")
        await pilot.pause()
        await pilot.press("escape", "q")
    assert scene.app.return_value is None


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "140x40"])
async def test_the_screens_as_text(size: tuple[int, int]) -> None:
    scene = Scene()
    for slot in range(3):
        store = scene.fleet.workers[slot].store
        for frame in (*labels(), groups(30, [100, 4], 4), groups(34, [100, 4, 164, 6 + slot], 10 + slot)):
            store.apply(frame)
        store.process.rss = (slot + 1) << 26
    async with scene.app.run_test(size=size) as pilot:
        await pilot.pause()
        for key, name in (("1", "service"), ("6", "service_groups")):
            await pilot.press(key)
            await scene.look(pilot)
            check(name, size, Driver(scene.app, pilot, FakeSource(), scene.clock))  # type: ignore[arg-type]
        await pilot.press("enter")
        await pilot.pause()
        await scene.look(pilot)
        check("service_group", size, Driver(scene.app, pilot, FakeSource(), scene.clock))  # type: ignore[arg-type]
        await pilot.press("escape")
        for key in "34":  # in place of the name of the task where there is no room for both
            await pilot.press(key)
            assert "GET /items" in await scene.look(pilot)
        await pilot.press("6", "slash")
        scene.app.screen.query_one(Input).value = "worker:1"
        await pilot.pause()
        (row,) = [line for line in (await scene.look(pilot)).splitlines() if "GET /items" in line]
        assert "1 (101)" in row


async def test_a_group_of_all_workers_leads_into_one() -> None:
    scene = Scene()
    for slot, ends in ((0, 4), (2, 30)):
        for frame in (*labels(), groups(30, [100, ends], ends)):
            scene.fleet.workers[slot].store.apply(frame)
    async with scene.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("6")
        await scene.look(pilot)
        await pilot.press("enter")
        await pilot.pause()
        lines = (await scene.look(pilot)).splitlines()
        of_workers = [line for line in lines if "› " in line and ("0 (100)" in line or "2 (102)" in line)]
        assert ["2 (102)" in line for line in of_workers] == [True, False], "the one with most of them first"
        await pilot.press("down", "enter")
        await pilot.app.workers.wait_for_complete()
    assert scene.opened == [2]


async def test_sixty_four_workers_are_painted_at_once() -> None:
    scene = Scene(64)
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert "64 workers" in await scene.look(pilot)
        for key in "23456781":
            await pilot.press(key)
            await scene.look(pilot)


async def test_rows_are_there_before_anybody_answers() -> None:
    scene = Scene(4)
    for slot in (0, 1):
        scene.fleet.workers[slot].store.clear()
        scene.fleet.workers[slot].up = slot == 1  # its first frames are not applied yet
        scene.fleet.workers[slot].entering = slot == 0
    async with scene.app.run_test(size=(100, 24)) as pilot:
        await pilot.pause()
        lines = (await scene.look(pilot)).splitlines()
        assert lines[0].rstrip().endswith("2 entering … 1 not answering"), lines
        order = [line.split()[0].lstrip("▌") or line.split()[1] for line in lines[4:8]]
        assert order[:2] == ["3", "2"] and sorted(order[2:]) == ["0", "1"], lines
        assert all("entering …" in line for line in lines[6:8])
        scene.fleet.workers[0].up = True
        scene.fleet.feed(0, *everything())
        lines = (await scene.look(pilot)).splitlines()
        assert lines[0].rstrip().endswith("1 entering … 1 not answering"), lines
        assert sum("entering …" in line for line in lines[4:]) == 1


async def test_one_flame_graph_of_all_workers() -> None:
    scene = Scene()
    facts = flame_facts()
    shares = [{"parse": 3.0, "render": 1.0}, {"parse": 1.0}, {"render": 3.0}]
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("7")
        assert "No samples yet" in await scene.look(pilot)
        assert scene.fleet.watched["flame"] == FLAME_HZ
        for slot, share in enumerate(shares):
            scene.fleet.feed(slot, facts, flame(**share))
        text = await scene.look(pilot)
        assert "▏parse 50.0%" in text and "▏render [/x] 50.0%" in text, text
        assert "800 samples" in text, "100 a second of 8 s at work"
        await pilot.press("t")
        text = await scene.look(pilot)
        assert "by worker" in text and "▏worker 0 (100) 50.0%" in text and "▏worker 2 (102) 37.5%" in text, text
        await pilot.press("slash")
        scene.app.screen.query_one(Input).value = "worker:0 render"
        await pilot.pause()
        text = await scene.look(pilot)
        assert "▏parse 75.0%" in text and "worker 2" not in text, text
        assert "1 frame in sight" in text
        await pilot.press("escape", "w")
        text = await scene.look(pilot)
        assert (
            text.count("▏wait 33.3%") == 3 and scene.fleet.watched["flame"] == 0 and scene.fleet.watched["flame_wait"]
        )
        await pilot.press("w", "w", "b")
        await scene.look(pilot)
        scene.fleet.feed(1, flame(parse=1.0))
        assert "▏parse 100.0%" in await scene.look(pilot)
        await pilot.press("x")
        assert "+parse 100.0%" in await scene.look(pilot)
        await pilot.press("x")
        before = [line for line in (await scene.look(pilot)).splitlines() if " samples" in line]
        scene.fleet.workers.pop(2)
        after = [line for line in (await scene.look(pilot)).splitlines() if " samples" in line]
        assert before == after and "900 samples" in after[0], "the samples of one that has gone stay"
        scene.fleet.came.append((scene.fleet.workers[1], [hello(session="after-exec", pid=101)]))
        await scene.look(pilot)
        assert scene.fleet.workers[1].store.session.id == "after-exec"
        after = [line for line in (await scene.look(pilot)).splitlines() if " samples" in line]
        assert before == after, "and those of one that has executed another program"
        await pilot.press("down", "enter", "escape", "escape")
        assert " Total " in await scene.look(pilot) and scene.app.table.chosen == "service"
        assert scene.fleet.watched["flame"] == 0 and not scene.fleet.watched["flame_wait"]


async def test_threads_of_all_workers() -> None:
    scene = Scene()
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("8")
        assert "No look at the threads yet" in await scene.look(pilot)
        assert scene.fleet.watched["threads"] == 1
        for slot in (0, 1):
            scene.fleet.feed(slot, THREAD_FACTS, threads(1), threads(2))
        lines = [line for line in (await scene.look(pilot)).splitlines() if "pool[/x]" in line or "MainThr" in line]
        assert [line.lstrip("▌ ").split()[:4] for line in lines] == [
            ["0", "(100)", "pool[/x]", "108%"],
            ["1", "(101)", "pool[/x]", "108%"],
            ["0", "(100)", "MainThread", "21%"],
            ["1", "(101)", "MainThread", "21%"],
        ]
        await pilot.press("enter")
        await pilot.app.workers.wait_for_complete()
    assert scene.opened == [0]
    assert scene.fleet.watched["threads"] == 0, "nobody looks at them any more"


async def test_a_recorded_set_is_paused_sought_and_played_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_of_fleet, "MOST_APPLY_SECONDS", 60.0)  # a step applies all, also on a busy machine
    folder = tmp_path / "night"
    folder.mkdir()
    first = write(folder / "worker-0-100.looptop")
    shutil.copy(first, folder / "worker-1-101.looptop")
    listed = Listed(tmp_path)
    (choice,) = [one for one in listed.recordings() if one.cells["file"] == "night"]
    assert choice.about[1].startswith("2 processes in 2 workers") and choice.cells["length"] == "1m00s", choice
    assert listed.open("recordings", choice.key) == OpenedSet(folder)
    clock = FakeClock()
    fleet = RecordedFleet(open_set(folder), clock=clock)
    service = Service(fleet, Thresholds(), "night")
    opened: list[float] = []

    def open_worker(slot: int) -> Opened:
        source = fleet.open(slot)
        assert source is not None
        opened.append(source.position)
        return Opened(source)

    app = ServiceApp(service, open_worker, hz=0, clock=clock, no_color=True, recorded=fleet)

    def shown() -> list[float]:
        """Seconds of the recording that each store shows."""
        return [store.now - fleet.start_time for store in service.stores()]

    async with app.run_test(size=(100, 24)) as pilot:

        async def look(seconds: float = 0.0, *keys: str) -> str:
            await pilot.press(*keys)
            clock.advance(seconds)
            app.tick()
            await pilot.pause()
            return Driver(app, pilot, FakeSource(), clock).text()  # type: ignore[arg-type]

        await look(4)
        assert shown() == [pytest.approx(4, abs=0.3)] * 2
        text = await look(9, "space")
        assert shown() == [pytest.approx(4, abs=0.3)] * 2
        assert "paused" in text and "recording of" in text and "space Play" in text, text
        await look(0, "right", "right")
        assert shown() == [pytest.approx(24, abs=0.3)] * 2
        await look(0, "comma", "left")
        assert shown() == [pytest.approx(13.5, abs=0.3)] * 2
        await look(2, "space", "greater_than_sign", "greater_than_sign")
        assert shown() == [pytest.approx(21.5, abs=0.3)] * 2
        assert app.table.figures.sort_key == "trouble", "the keys of the player are not those of the table"
        await look(0, "space", "g")
        await pilot.press(*"30s", "enter")
        await look()
        assert shown() == [pytest.approx(30, abs=0.3)] * 2
        before = fleet.position
        text = await look(0, "left_square_bracket")
        assert fleet.position < before and "worker " in text
        assert await pilot.click(Timeline, offset=(50, 0))
        await look()
        assert shown() == [pytest.approx(30, abs=1)] * 2
        await look(100, "space")
        assert shown() == [pytest.approx(60, abs=0.3)] * 2 and "the end" in await look()
        await look(0, "left")  # back from the end: both play on from there
        await look(1, "space")
        assert shown() == [pytest.approx(54, abs=0.3)] * 2
        await pilot.press("enter")
        await app.workers.wait_for_complete()
    assert opened == [pytest.approx(54, abs=0.3)]
    assert app.return_value is not None
    _, chosen = app.return_value
    chosen.source.seek(5.0)
    fleet.go_on_from(chosen.source)  # what the way back does
    service.step()
    assert shown() == [pytest.approx(5, abs=0.3)] * 2
    chosen.source.close()
    service.close()


async def test_the_dashboard_of_a_worker_leads_back_and_to_the_next() -> None:
    for key, where in (("escape", "service"), ("]", "next"), ("[", "previous")):
        source, clock = FakeSource(*everything()), FakeClock()
        app = Looptop(source, hz=0, clock=clock, wall=clock, among=True)
        async with app.run_test(size=(140, 24)) as pilot:
            driver = Driver(app, pilot, source, clock)
            await driver.look()
            assert "[ ] Worker" in driver.text()
            await pilot.press({"]": "right_square_bracket", "[": "left_square_bracket"}.get(key, key))
            await pilot.pause()
            await pilot.pause()
        assert app.wanted == where
    async with running() as driver:  # alone: these keys do nothing
        await driver.press("escape", "right_square_bracket")
        assert driver.app.wanted == "" and driver.app.is_running


def test_the_worker_that_was_blocked_for_longer_comes_first() -> None:
    """A long import at the start is the same finding as a line that blocks most of the time."""
    imports, blocked = (
        ServiceRow(slot, 100, None, lag=1.5, finding="loop blocked by a line", broken=True, blocked=seconds)
        for slot, seconds in enumerate((0.602, 20.1))
    )
    text = next(column for column in SERVICE if column.key == "trouble").text
    assert [text(row, Store()) for row in sorted((imports, blocked), key=lambda row: row.trouble, reverse=True)] == [
        "✗ 20.1s loop blocked by a line",
        "✗ 602ms loop blocked by a line",
    ]
