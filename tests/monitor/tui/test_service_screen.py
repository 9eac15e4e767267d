"""The Service screen on a set of scenes, driven by hand: rows, total, the merged tables, Enter, and the way back."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from driver import Driver, running
from scene import FakeClock, FakeSource, everything
from test_golden_screens import SIZES, check
from test_groups_screen import groups, labels
from textual.widgets import Input

from monitor.errors import ConnectError
from monitor.findings.thresholds import Thresholds
from monitor.fleet.fleet import Change
from monitor.fleet.service import Service
from monitor.store.store import Store
from monitor.tui.app import Looptop
from monitor.tui.base.choices import Opened
from monitor.tui.service import ServiceApp


class FakeFleet:
    """Workers whose frames have come; the last of them does not answer."""

    elsewhere = False

    def __init__(self, number: int) -> None:
        self.workers: dict[int, Any] = {}
        self.changes: list[Change] = []
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
            self.workers[slot] = SimpleNamespace(slot=slot, pid=100 + slot, store=store, up=not silent, problem=problem)

    def step(self) -> list[Change]:
        changes, self.changes = self.changes, []
        return changes

    def take(self) -> list[Any]:
        return []


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
        await pilot.press("slash")
        scene.app.screen.query_one(Input).value = "worker:1"
        await pilot.pause()
        (row,) = [line for line in (await scene.look(pilot)).splitlines() if "GET /items" in line]
        assert "1 (101)" in row


async def test_sixty_four_workers_are_painted_at_once() -> None:
    scene = Scene(64)
    async with scene.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert "64 workers" in await scene.look(pilot)
        for key in "234561":
            await pilot.press(key)
            await scene.look(pilot)


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
