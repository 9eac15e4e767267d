"""Every screen as text, at 80x24 and 140x40, against files that a person has read.

`LOOPTOP_GOLDEN=write pytest tests/monitor/tui/test_golden_screens.py` writes them anew; read the difference then.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import memory_scene
import pytest
import recording_scene
from driver import Driver, running
from scene import (
    SECOND,
    START,
    FakeProgram,
    detail_of_sleeper,
    detail_of_worker,
    events,
    everything,
    hello,
    history,
    rows,
    static,
    tick,
)
from textual.widgets import Input

from monitor.protocol import frames
from monitor.protocol.rows import LoopRow, LoopStaticRow
from monitor.protocol.scan_frames import ExecutorRow, LockRow, SwallowedCancelRow, SyncScan, WaiterRow
from monitor.sources.base import Status

GOLDEN = Path(__file__).parent / "golden"
SIZES = ((80, 24), (140, 40))
PRINTED = [
    "\x1b[32mstarting\x1b[0m shop on :8080",
    "[/x] is no markup, [@click=app.quit]nor this[/]",
    "\x1b[1;31mERROR\x1b[0m\ta tab, a bell \x07 and 任务 🚀",
    "y" * 200,
    *(f"line {number}" for number in range(60)),
]


async def nothing(_: Driver) -> None:
    """As it comes."""


def keys(*pressed: str) -> Callable[[Driver], Awaitable[None]]:
    async def act(driver: Driver) -> None:
        await driver.press(*pressed)

    return act


async def worker(driver: Driver) -> None:
    await driver.press("enter")
    await driver.tick(tick(25, detail=detail_of_worker()))


async def worker_end(driver: Driver) -> None:
    """The rest of the page of a task."""
    await worker(driver)
    await driver.press("G")


async def sleeper(driver: Driver) -> None:
    driver.app.open_task(2)
    await driver.pilot.pause()
    await driver.tick(tick(25, detail=detail_of_sleeper()))


async def hostile_task(driver: Driver) -> None:
    driver.app.open_task(51)
    await driver.pilot.pause()
    detail = frames.Detail(
        id=51,
        await_stack=[13, 99],
        await_tasks=[(51, 0), (57, 1)],
        waiting_on={"kind": "[/x]", "repr": "\x1b[31m[@click=app.quit]b[/]", "task": 57, "[/y]": "\x07"},
        awaited_by=[57, 4_000],
        origin=[13],
    )
    await driver.tick(tick(25, detail=detail))


async def gone(driver: Driver) -> None:
    """A task that ends while one looks at it."""
    await worker(driver)
    end = frames.Event(
        seq=17, at=hello().now + 6_100_000, kind="task_ended", task=5, name="worker-3", coro="worker",
        outcome="cancelled", age=64_000_000, busy=2_000_000, steps=6_001, site=1, parent=1, loop=1,
    )  # fmt: skip
    await driver.tick(end, tick(26))


async def filtered(driver: Driver) -> None:
    await driver.filter_by("parent:1 busy>1")


async def hostile_tasks(driver: Driver) -> None:
    await driver.filter_by("parent:2")
    await driver.press("enter")


async def bad_filter(driver: Driver) -> None:
    await driver.filter_by("state:run")
    driver.app.screen.query_one(Input).value = "state:run busy>x"
    await driver.pilot.pause()
    await driver.tick()


async def group_opened(driver: Driver) -> None:
    await driver.press("t", "t", "enter")


async def folded(driver: Driver) -> None:
    await driver.press("t", "down", "minus")


async def connecting(driver: Driver) -> None:
    driver.source.status = Status("connecting", "waiting for the program to start", driver.clock.now)
    await driver.tick()


async def lost(driver: Driver) -> None:
    driver.source.status = Status("lost", "the connection broke; trying again in 4s", driver.clock.now)
    await driver.tick(seconds=12)


async def another_session(driver: Driver) -> None:
    await driver.tick(hello(session="session-2", pid=77, at=70), static(), seconds=3)


async def paused(driver: Driver) -> None:
    await driver.press("space")
    await driver.tick(*(tick(step) for step in range(25, 60)), seconds=9)


async def troubled(driver: Driver) -> None:
    """Everything that the header must not hide."""
    probe = frames.Probe(
        cpu=900_000,
        hooks=10_000,
        viewers=3,
        tasks=46,
        dropped=1_204,
        dropped_at=hello().now,
        off=["steps: [/x] raised"],
    )
    late = events()[-1]
    await driver.tick(
        tick(25, probe=probe, left=12_000, loops=[LoopRow(1, 2_300_000, 3_000_000, 40, 12, 26_000, 4, 2_310_000)]),
        frames.Event(seq=40, at=late.at + 9_000_000, kind="notice", text="the probe says [/x]"),
    )


async def ended_program(driver: Driver) -> None:
    assert driver.app.child is not None
    program = driver.app.child.program
    program.running, program.exit_status = False, 3  # type: ignore[misc]
    await driver.tick()
    driver.source.status = Status("ended", "the program has ended", driver.clock.now)
    await driver.tick(seconds=5)


def scan() -> SyncScan:
    """A deadlock of two, a convoy, a queue, a pool, one that went on, and a hostile name in the middle of it."""
    return SyncScan(
        locks=[
            LockRow(1, 1, 3, 14, [WaiterRow(4, 6)]),
            LockRow(2, 1, 4, 14, [WaiterRow(3, 6)]),
            LockRow(3, 5, 2, 14, [WaiterRow(*at) for at in ((5, 6), (10, 8), (11, 8), (12, 8), (50, 13))]),
        ],
        executors=[ExecutorRow(4, "thread", "[/x] pool", 4, 4, 9, 3_200_000)],
        cancelled=[SwallowedCancelRow(6, 2, 5), SwallowedCancelRow(51, 1, 13)],
    )


async def found(driver: Driver) -> None:
    """Long enough for all of it; order-1 fails, and a coroutine is dropped."""
    at = hello().now + 4_000_000
    dropped = frames.Event(
        seq=50, at=at, kind="never_awaited", coro="store", site=11, stack=[3, 5], blame=1, text="made here"
    )
    lost = frames.Event(
        seq=51, at=at, kind="unhandled", message="Task exception was never retrieved", task=17, name="Task-17", site=2,
        exception=frames.ExceptionFacts("ValueError", "[/x] is no order\nat all", [9, 12]),
    )  # fmt: skip
    await driver.press("7")
    # As the program is, but with nobody stepping: who is in a deadlock makes no steps.
    for step in range(25, 42):
        still = tick(step, tasks=rows(25), sync_scan=scan() if step % 4 == 1 else None)
        await driver.tick(still, *([dropped, lost] if step == 25 else []))


async def finding(driver: Driver) -> None:
    await found(driver)
    await driver.press("enter")


async def finding_lost(driver: Driver) -> None:
    await found(driver)
    await driver.filter_by("retrieved")
    await driver.press("enter", "enter")


async def finding_gone(driver: Driver) -> None:
    """It ends while one looks at it."""
    await finding(driver)
    for step in range(42, 70):
        await driver.tick(tick(step, tasks=rows(25), sync_scan=SyncScan()))


async def found_below(driver: Driver) -> None:
    """The row under the cursor says below what the table has cut."""
    await found(driver)
    await driver.press("down", "down", "down", "down")


async def dismissed(driver: Driver) -> None:
    await found(driver)
    await driver.press("d", "D", "G")


Scene = tuple[Callable[[Driver], Awaitable[None]], dict[str, object]]
SCREENS: dict[str, Scene] = {
    "tasks_flat": (nothing, {}),
    "tasks_tree": (keys("t"), {}),
    "tasks_tree_folded": (folded, {}),
    "tasks_groups": (keys("t", "t"), {}),
    "tasks_of_a_group": (group_opened, {}),
    "tasks_filtered": (filtered, {}),
    "tasks_bad_filter": (bad_filter, {}),
    "tasks_hostile": (hostile_tasks, {}),
    "tasks_sorted": (keys("greater_than_sign", "i"), {}),
    "tasks_paused": (paused, {}),
    "tasks_lost": (lost, {}),
    "tasks_another_session": (another_session, {}),
    "tasks_troubled": (troubled, {}),
    "tasks_nothing_yet": (connecting, {"fed": []}),
    "tasks_no_loop": (nothing, {"fed": [hello()]}),
    "tasks_none_live": (
        nothing,
        {"fed": [hello(), frames.Static(loops=[LoopStaticRow(1, "uvloop", 1, "MainThread")])]},
    ),
    "task": (worker, {}),
    "task_end": (worker_end, {}),
    "task_sleeper": (sleeper, {}),
    "task_hostile": (hostile_task, {}),
    "task_gone": (gone, {}),
    "slow": (keys("2"), {}),
    "slow_line": (keys("2", "down", "enter"), {}),
    "slow_line_hostile": (keys("2", "enter"), {}),
    "slow_line_uncaught": (keys("2", "G", "enter"), {}),
    "slow_none": (keys("2"), {"fed": [hello(), static(), tick(1)]}),
    "ended": (keys("3"), {}),
    "ended_failed": (keys("3", "G", "enter"), {}),
    "ended_hostile": (keys("3", "down", "enter"), {}),
    "ended_unhandled": (keys("3", "enter"), {}),
    "ended_none": (keys("3"), {"fed": [hello(), static(), tick(1)]}),
    "output": (keys("4"), {"program": PRINTED}),
    "output_top": (keys("4", "g"), {"program": PRINTED}),
    "output_none": (keys("4"), {}),
    "output_silent": (keys("4"), {"program": []}),
    "program_ended": (ended_program, {"program": PRINTED}),
    "findings": (found, {}),
    "findings_row": (found_below, {}),
    "findings_none": (keys("7"), {"fed": [hello(), static(), tick(1)]}),
    "findings_dismissed": (dismissed, {}),
    "finding": (finding, {}),
    "finding_lost": (finding_lost, {}),
    "finding_gone": (finding_gone, {}),
    "past": (
        keys("T"),
        {
            "fed": [
                hello(capabilities=["history"], hooks="C", counted=START - 60 * SECOND),
                *everything()[1:],
                *history(),
            ]
        },
    ),
    "past_none": (keys("T"), {}),
    "help": (keys("question_mark"), {}),
    "cancel": (keys("c"), {}),
    "quit": (keys("q"), {"program": PRINTED}),
    "palette": (keys("ctrl+p"), {}),
    **memory_scene.SCREENS,
}


NARROW_ONLY = {
    "past_none", "findings_none", "findings_row", "findings_dismissed", "finding_gone", "finding_lost",  # variants that differ in a line or two; the screen itself is seen in both sizes
    "tasks_tree_folded", "tasks_sorted", "tasks_bad_filter", "tasks_lost", "tasks_another_session", "tasks_nothing_yet",
    "tasks_no_loop", "tasks_none_live", "task_end", "slow_line_uncaught", "slow_line_hostile", "slow_none",
    "ended_none", "ended_hostile", "output_top", "output_silent", "quit", *memory_scene.NARROW_ONLY,
}  # fmt: skip
CASES = [(name, size) for name in SCREENS for size in SIZES if size == SIZES[0] or name not in NARROW_ONLY]


RECORDED = [
    (name, size)
    for name in recording_scene.SCREENS
    for size in SIZES
    if size == SIZES[0] or name not in recording_scene.NARROW_ONLY
]


def check(name: str, size: tuple[int, int], driver: Driver) -> None:
    """The screen against its file, and that nothing from the wire became more than text."""
    text = driver.text()
    for strip in driver.app.screen._compositor.render_strips():
        for segment in strip:
            assert segment.text.isprintable(), segment.text
            assert segment.style is None or not any("quit" in str(value) for value in segment.style.meta.values()), (
                "what came over the wire became an action"
            )
    path = GOLDEN / f"{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("LOOPTOP_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.exists(), "no golden file: LOOPTOP_GOLDEN=write pytest makes it, then read it"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "size"), CASES, ids=[f"{name}-{size[0]}x{size[1]}" for name, size in CASES])
async def test_screen(name: str, size: tuple[int, int]) -> None:
    act, given = SCREENS[name]
    facts = dict(given)
    printed = facts.pop("program", None)
    program = None if printed is None else FakeProgram(list(printed))  # type: ignore[call-overload]
    async with running(size, program=program, **facts) as driver:  # type: ignore[arg-type]
        await act(driver)
        await driver.settled()
        check(name, size, driver)


@pytest.mark.parametrize(("name", "size"), RECORDED, ids=[f"{name}-{size[0]}x{size[1]}" for name, size in RECORDED])
async def test_screen_of_a_recording(name: str, size: tuple[int, int]) -> None:
    async with recording_scene.replaying(size, cut=name == "player_cut", gap=name == "player_gap") as driver:
        await recording_scene.SCREENS[name](driver)
        await driver.settled()
        check(name, size, driver)
