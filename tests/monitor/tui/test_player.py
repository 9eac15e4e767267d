"""The player and the recording key: what a person does, on real files."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest
from driver import Driver, running
from memory_scene import AT, able, look, objects, profiles, tracing, usage_tick
from msgspec.structs import replace
from recording_scene import replaying
from scene import START, hello, tick

from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording
from monitor.recording.writer import File, Recorder
from monitor.store.store import Store
from monitor.tui.dialogs.form import FormScreen
from monitor.tui.screens.tasks import TasksScreen
from monitor.tui.widgets.live_table import LiveTable
from monitor.tui.widgets.timeline import Timeline

sys.path.insert(0, str(Path(__file__).parents[1] / "recording"))
from scripted import Script, record


def source(driver: Driver) -> RecordingSource:
    found: object = driver.app.source
    assert isinstance(found, RecordingSource)
    return found


def now(driver: Driver) -> float:
    """Seconds of the recording that the store shows."""
    return driver.app.store.now - START * 1e-6 - 60


async def test_it_plays_and_stands_still() -> None:
    async with replaying() as driver:
        await driver.tick(seconds=4)
        assert now(driver) == pytest.approx(4, abs=0.3)
        await driver.press("space")
        await driver.tick(seconds=9)
        assert now(driver) == pytest.approx(4, abs=0.3)
        assert not driver.app.paused, "it is the recording that stands still, not the viewer"
        assert "paused" in driver.text()
        await driver.press("space")
        await driver.tick(seconds=2)
        assert now(driver) == pytest.approx(6, abs=0.3)


async def test_steps_speeds_and_seeks() -> None:
    async with replaying() as driver:
        await driver.press("right")
        assert now(driver) == pytest.approx(10, abs=0.3)
        await driver.press("space", "full_stop", "full_stop")
        assert now(driver) == pytest.approx(10.5, abs=0.01)
        await driver.press("comma")
        assert now(driver) == pytest.approx(10.25, abs=0.01)
        await driver.press("left")
        assert now(driver) == pytest.approx(0.25, abs=0.01)
        await driver.press("shift+right")
        assert now(driver) == pytest.approx(60, abs=0.3)
        await driver.press(*["greater_than_sign"] * 9)
        assert source(driver).speed == 64
        await driver.press(*["less_than_sign"] * 12)
        assert source(driver).speed == 0.25
        screen = driver.app.screen
        assert isinstance(screen, TasksScreen)
        assert screen.rows.sort_key == "busy", "the keys of the player are not those of the table"


async def test_markers_forward_and_back() -> None:
    async with replaying() as driver:
        await driver.press("space")
        seen = []
        for _ in range(20):
            await driver.press("right_square_bracket")
            seen.append(round(now(driver), 2))
            if len(seen) < 4:
                assert len(driver.app.store.slow.entries) == len(seen), "what the marker is of has happened there"
        assert seen[:3] == [0.5, 2.75, 5.0]
        assert "no marker after this moment" in driver.text()
        assert seen == sorted(seen)
        await driver.press("left_square_bracket")
        assert now(driver) < seen[-1]


async def test_a_click_on_the_timeline_goes_there_and_the_table_follows_at_once() -> None:
    async with replaying() as driver:
        await driver.press("space")
        assert await driver.pilot.click(Timeline, offset=(40, 0))
        await driver.tick(seconds=0.25)
        assert source(driver).position == pytest.approx(60 * 39 / 77, abs=0.5)
        first = driver.app.screen.query_one(LiveTable).current
        await driver.pilot.click(Timeline, offset=(77, 0))
        await driver.tick(seconds=0)
        assert source(driver).position == pytest.approx(60, abs=1)
        assert "task" in str(type(driver.app.store.tasks[first]).__name__).lower()  # type: ignore[index]
        assert driver.screen()[5].split()[1] == "17", "sorted again although no second has passed"


@pytest.mark.parametrize(("text", "position"), [("30", 30), ("0.5m", 30), ("03:34:50", 30), ("0", 0)])
async def test_a_time_is_typed(text: str, position: float) -> None:
    async with replaying() as driver:
        await driver.press("space", "g")
        await driver.pilot.press(*text.replace(":", " ").split(" ")[0])
        driver.app.screen.query_one("Input").value = text  # type: ignore[attr-defined]
        await driver.press("enter")
        assert not isinstance(driver.app.screen, FormScreen)
        assert source(driver).position == pytest.approx(position, abs=1)


@pytest.mark.parametrize("text", ["", "soon", "99:99", "-3", "[/x]", "9999999999999999999h"])
async def test_a_bad_time_is_one_line_and_nothing_moves(text: str) -> None:
    async with replaying() as driver:
        await driver.press("space", "g")
        driver.app.screen.query_one("Input").value = text  # type: ignore[attr-defined]
        await driver.press("enter")
        assert isinstance(driver.app.screen, FormScreen)
        assert "✗" in driver.text()
        await driver.press("escape")
        assert source(driver).position < 1


async def test_letters_typed_into_a_filter_are_no_keys_of_the_player() -> None:
    async with replaying() as driver:
        await driver.tick(seconds=2)
        await driver.press("space", "slash", *"g.a>,[]")
        assert driver.app.screen.query_one("#filter-text").value == "g.a>,[]"  # type: ignore[attr-defined]
        await driver.press("left", "x")
        assert driver.app.screen.query_one("#filter-text").value == "g.a>,[x]"  # type: ignore[attr-defined]
        assert source(driver).position == pytest.approx(2, abs=0.3)


async def test_what_can_not_be_asked_of_a_recording_says_so() -> None:
    async with replaying() as driver:
        await driver.tick(seconds=2)
        await driver.press("r")
        assert "already watching a recording" in driver.text()
        await driver.press("c")
        assert "not available in a recording" in driver.text()
        await driver.press("5", "s")
        assert "not available in a recording" in driver.text()


# Memory in a recording


def memory_of(store: Store) -> dict[str, object]:
    memory = store.memory
    shown = [row.place for group in sorted(memory.snapshots) for row in memory.snapshots[group].rows]
    facts = {
        name: getattr(memory, name) for name in ("tracing", "baseline", "snapshot", "snapshots", "objects", "profiles")
    }
    return {**facts, "snapshots": dict(memory.snapshots), "sizes": [memory.sizes(place) for place in shown]}


def without_old_calls(memory: dict[str, object]) -> dict[str, object]:
    """A keyframe keeps the newest hundred calls of a function."""
    profiles = memory["profiles"]
    assert isinstance(profiles, tuple)
    return {**memory, "profiles": [replace(profile, recent=profile.recent[-100:]) for profile in profiles]}


def test_what_was_seen_of_memory_is_in_a_recording_wherever_it_is_entered(tmp_path: Path) -> None:
    told = [*able(), usage_tick(25, tracing=tracing()), look(1, 0, rows=None)]
    for step in range(26, 146):
        told.append(usage_tick(step, tracing=tracing(left=step * 1000)))
        if step % 8 == 0:
            told.append(look(step, step // 8, at=AT + step * 250_000))
        if step % 50 == 0:
            told += [look(2, 3, "traceback", at=AT + step * 250_000 + 1), objects(step, step), profiles(step, 120)]
    store = Store()
    live: dict[int, dict[str, object]] = {}
    recorder = Recorder(store, File(tmp_path / "a.looptop"))
    for frame in told:
        store.apply(frame)
        recorder.take(frame)
        live[round(store.now * 1e6)] = memory_of(store)
        until = time.monotonic() + 60
        while recorder._queue.qsize() and time.monotonic() < until:
            time.sleep(0.0005)
    recorder.close()
    with Recording(tmp_path / "a.looptop") as found:
        assert found.blocks > 3
        for at in random.Random(1).sample(sorted(live), 40):
            replayed = Store()
            for frame in found.state(at)[0]:
                replayed.apply(frame)
            assert without_old_calls(memory_of(replayed)) == without_old_calls(live[at])


# Recording


async def recording(driver: Driver, path: Path) -> None:
    await driver.press("r")
    driver.app.screen.query_one("Input").value = str(path)  # type: ignore[attr-defined]
    await driver.press("enter")


async def test_r_records_to_a_file_and_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "[x] 任务.looptop"
    async with running() as driver:
        await recording(driver, path)
        for step in range(25, 40):
            await driver.tick(tick(step))
        assert "● [x] 任务.lo… 4s" in driver.screen()[2], driver.screen()[:3]
        await driver.press("r")
        await driver.until(lambda: "recorded" in driver.text())
        assert "●" not in driver.screen()[2]
        expected = driver.app.store
    with Recording(path) as found:
        assert found.finished
        replayed = Store()
        for frame in found.state(found.end)[0]:
            replayed.apply(frame)
    assert {n: (t.name, t.busy, t.state) for n, t in replayed.tasks.items()} == {
        n: (t.name, t.busy, t.state) for n, t in expected.tasks.items()
    }
    assert len(replayed.ended) == len(expected.ended)


async def test_a_dashboard_that_ends_leaves_a_whole_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.looptop"
    async with running() as driver:
        await recording(driver, path)
        await driver.tick(tick(25))
    with Recording(path) as found:
        assert found.finished


async def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.looptop"
    path.write_text("dear")
    async with running() as driver:
        await recording(driver, path)
        assert "exists: name another file" in driver.text()
        await driver.press("escape")
        await driver.tick(tick(25))
    assert path.read_text() == "dear"


async def test_another_session_ends_the_recording(tmp_path: Path) -> None:
    async with running() as driver:
        await recording(driver, tmp_path / "a.looptop")
        await driver.tick(tick(25))
        await driver.tick(hello(session="session-2", pid=9))
        assert "another session began" in driver.text()
        assert "a.looptop" not in driver.screen()[2]


async def test_nothing_is_recorded_before_there_is_a_program() -> None:
    async with running(fed=[]) as driver:
        await driver.press("r")
        assert "no program to record yet" in driver.text()


async def test_findings_are_those_of_the_moment_whichever_way_one_came_there(tmp_path: Path) -> None:
    path = record(tmp_path / "a.looptop", ticks=200, script=Script(slow=0.9, failures=0.9), moments=False).path

    async def found(*steps: float) -> list[tuple[int, str, float]]:
        async with replaying(file=path) as driver:
            source(driver).pause()
            for position in steps:
                source(driver).seek(position)
                await driver.app.tick()
            return [(one.id, one.observed.text, one.since) for one in driver.app.findings.all()]

    straight = await found(62.5)
    assert straight
    assert await found(99, 62.5) == await found(*range(0, 62, 4), 62.5) == straight


async def test_the_past_of_a_recording_is_what_was_known_then(tmp_path: Path) -> None:
    path = record(tmp_path / "a.looptop", ticks=120, moments=False, remembers=True).path
    async with replaying(file=path) as driver:
        source(driver).pause()
        for position in (1, 45, 20):
            source(driver).seek(position)
            await driver.app.tick()
            rows = driver.app.store.past.of(0, 1.0)
            assert rows is not None and rows.end == pytest.approx(driver.app.store.now, abs=1.0)
        await driver.press("T")
        assert "lag" in driver.text() and "remembers nothing" not in driver.text()
