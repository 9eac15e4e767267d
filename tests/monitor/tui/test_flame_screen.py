"""The flame graph screen: zoom, search, both kinds, a difference with signs; and how fast it is."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from driver import running
from recording_scene import replaying
from scene import SECOND, START, everything, hello

from monitor.flame import layout as module
from monitor.flame.tree import Node, build
from monitor.protocol import frames
from monitor.protocol.rows import OnLoopRow, WaitingRow
from monitor.recording.writer import File, Recorder
from monitor.store.flame import Stacks, Whose
from monitor.store.model import Site
from monitor.store.store import Store

if TYPE_CHECKING:
    import pytest

NAMES = ["?", "/app/shop.py", "handle", "parse", "render [/x]", "other", "wait"]


def facts() -> frames.Static:
    """Strings and sites of their own, behind those of the scene."""
    scene = [frame for frame in everything() if isinstance(frame, frames.Static)]
    strings = max((f.strings.from_ + len(f.strings.items) for f in scene if f.strings), default=0)
    sites = max((f.sites.from_ + len(f.sites.items) for f in scene if f.sites), default=0)
    global FIRST_STRING, FIRST_SITE
    FIRST_STRING, FIRST_SITE = strings, sites
    rows = [(strings + 1, 10 * number, strings + number) for number in range(2, 7)]
    return frames.Static(strings=frames.Strings(strings, NAMES), sites=frames.Sites(sites, rows))


def flame(**of) -> frames.Tick:
    """A tick with seconds by name of a function, which `handle` calls."""
    names = {name.split(" ")[0]: number for number, name in enumerate(NAMES)}
    rows = [
        OnLoopRow(
            7, FIRST_STRING + 2, [FIRST_SITE, FIRST_SITE + names[name] - 2], round(seconds * 1e6), round(100 * seconds)
        )
        for name, seconds in of.items()
    ]
    waits = [WaitingRow(FIRST_STRING + 5, [FIRST_SITE + 3, FIRST_SITE + 4], 9_000_000, 3)]
    return frames.Tick(at=10**15, flame=frames.Flame(samples=100, idle=500_000, on_loop=rows, waiting=waits))


async def test_zoom_search_kinds_and_difference() -> None:
    async with running(fed=[*everything(), facts()], no_color=True) as driver:
        await driver.press("9")
        assert "No samples yet" in driver.text()
        assert driver.source.watched["flame"] == 100
        await driver.tick(flame(parse=3.0, render=1.0), seconds=2)
        rows = driver.screen()
        assert any("▶all 100.0%" in row for row in rows), driver.text()
        both = next(row for row in rows if "▏parse 75.0%" in row)
        assert "▏render [/x] 25.0%" in both
        assert 2.5 < both.index("▏render") / (len(both.rstrip()) - both.index("▏render")) < 3.5
        await driver.press("down", "down", "down", "right")
        assert "▶render [/x] 25.0%" in driver.text()
        assert "itself 1" in driver.text()
        await driver.press("enter")
        assert "parse 75.0%" not in driver.text()
        await driver.press("escape")
        assert "▏parse 75.0%" in driver.text()
        await driver.filter_by("parse")
        assert "1 frame in sight" in driver.text()
        await driver.press("escape")
        await driver.press("b")
        await driver.tick(flame(parse=1.0, render=1.0), seconds=2)
        assert "▏parse 50.0%" in driver.text()
        await driver.press("x")
        assert "−parse 50.0%" in driver.text()
        assert "+render [/x] 50.0%" in driver.text()
        await driver.press("w")
        await driver.tick(seconds=2)
        assert driver.source.watched["flame"] == 0
        assert driver.source.watched["flame_wait"] is True
        assert "wait 100.0%" in driver.text()
        await driver.press("escape", "escape", "escape", "escape")
        await driver.tick()
        assert driver.source.watched["flame_wait"] is False


async def test_what_stacks_stand_under_and_jobs() -> None:
    async with running(fed=[*everything(), facts()], no_color=True) as driver:
        await driver.press("9")
        stack = [FIRST_SITE, FIRST_SITE + 1]
        rows = [
            OnLoopRow(task, FIRST_STRING + 2, stack, seconds * 1_000_000, 1, label, FIRST_SITE + 3)
            for task, seconds, label in ((7, 3, FIRST_STRING + 5), (8, 1, 0))
        ]
        jobs = [OnLoopRow(0, 0, stack, 1_000_000, 1)]
        await driver.tick(frames.Tick(at=10**15, flame=frames.Flame(samples=100, on_loop=rows, jobs=jobs)), seconds=2)
        seen = {"group": "▏handle other 75.0%", "coroutine": "▏handle 100.0%", "site": "▏other shop.py:50 100.0%"}
        seen |= {"task": "▏#7 ", "all": "▏all tasks 100.0%"}
        for by, text in seen.items():
            assert text in driver.text()
            assert f" by {by}" in driver.text() or by == "all"
            await driver.press("t")
        assert " by group" in driver.text()
        await driver.press("w", "w")
        await driver.tick(seconds=2)
        assert "Jobs of executors" in driver.text()
        assert "▏(jobs) 100.0%" in driver.text()
        assert driver.source.watched["flame_jobs"] is True


async def test_a_recording_has_its_flame_graph(tmp_path: Path) -> None:
    ticks = itertools.count(1)

    def later(tick: frames.Tick) -> frames.Tick:
        return msgspec.structs.replace(tick, at=START + 60 * SECOND + next(ticks) * SECOND)

    store = Store()
    recorder = Recorder(store, File(tmp_path / "shop.looptop"))
    strings = frames.Strings(0, NAMES)
    told = frames.Static(strings=strings, sites=frames.Sites(0, [(1, 10 * number, number) for number in range(2, 7)]))
    global FIRST_STRING, FIRST_SITE
    FIRST_STRING = FIRST_SITE = 0
    shown = [later(flame(parse=3.0, render=1.0)) for _ in range(5)]
    for frame in (hello(), told, *shown):
        store.apply(frame)
        recorder.take(frame)
    recorder.close("the time is over")
    async with replaying(file=tmp_path / "shop.looptop") as driver:
        await driver.press("9")
        await driver.tick(seconds=4)
        await driver.tick(seconds=2)
        assert "▏parse 75.0%" in driver.text(), driver.text()
        await driver.press("w")
        await driver.tick(seconds=2)
        assert "▏wait 100.0%" in driver.text(), driver.text()


def test_each_frame_is_weighed_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = Stacks()
    for number in range(2000):
        stack = tuple(Site("/a.py", depth, f"f{number % (depth * 7 + 3)}") for depth in range(12))
        stacks.add(Whose(f"group-{number % 20}"), stack, 1.0 + number % 3)
    root = build(stacks.by())
    weighed: list[Node] = []

    def weight(node: Node) -> float:
        weighed.append(node)
        return genuine(node)

    genuine = module.weight
    monkeypatch.setattr(module, "weight", weight)
    rows = module.layout(root, (), 160)
    assert max(Counter(map(id, weighed)).values()) <= 4
    assert len({id(node) for node in weighed}) <= len(rows) * 160 * 2  # none below those that are too narrow
    assert all(box.end > box.start for row in rows for box in row)
    assert all(a.end <= b.start for row in rows for a, b in itertools.pairwise(row))


def test_a_profile_is_bounded() -> None:
    stacks = Stacks()
    for number in range(60_000):
        stacks.add(Whose("g"), tuple(Site("/a.py", number, f"f{number}") for _ in range(3)), 1.0 if number else 1000.0)
    assert len(stacks) <= 20_000
    assert stacks.seconds == 60_000 - 1 + 1000
    assert any(seconds == 1000.0 and stack[0].function == "f0" for _, stack, seconds in stacks)
