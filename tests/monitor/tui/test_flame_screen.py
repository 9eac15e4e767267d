"""The flame graph screen: zoom, search, both kinds, a difference with signs; and how fast it is."""

from __future__ import annotations

import itertools
import time

from driver import running
from scene import everything

from monitor.flame.layout import layout
from monitor.flame.tree import build
from monitor.protocol import frames
from monitor.protocol.rows import OnLoopRow, WaitingRow
from monitor.store.flame import Stacks
from monitor.store.model import Site

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
        OnLoopRow(7, FIRST_STRING + 2, [FIRST_SITE, FIRST_SITE + names[name] - 2], round(seconds * 1e6), 1)
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
        assert "1 frames in sight" in driver.text()
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


def test_two_thousand_stacks_are_laid_out_in_time() -> None:
    stacks = Stacks()
    for number in range(2000):
        stack = tuple(Site("/a.py", depth, f"f{number % (depth * 7 + 3)}") for depth in range(12))
        stacks.add(f"group-{number % 20}", stack, 1.0 + number % 3)
    root = build(stacks)
    took = []
    for _ in range(5):
        began = time.thread_time()
        rows = layout(root, (), 160)
        took.append(time.thread_time() - began)
    assert min(took) < 0.03
    assert all(box.end > box.start for row in rows for box in row)
    assert all(a.end <= b.start for row in rows for a, b in itertools.pairwise(row))


def test_a_profile_is_bounded() -> None:
    stacks = Stacks()
    for number in range(60_000):
        stacks.add("g", tuple(Site("/a.py", number, f"f{number}") for _ in range(3)), 1.0 if number else 1000.0)
    assert len(stacks) <= 20_000
    assert stacks.seconds == 60_000 - 1 + 1000
    assert any(seconds == 1000.0 and stack[0].function == "f0" for _, stack, seconds in stacks)
