"""Who cancelled a task, as a viewer is told of it with its end, by both twins of the hooks and on every Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from interpreters import VERSIONS, find_python
from watched import Program

PYTHONS = [python for python in (find_python(version) for version in (*VERSIONS, "3.14")) if python is not None]

PROGRAM = """
import asyncio, sys

async def sleeps():
    await asyncio.sleep(60)

async def awaits(task):
    await task

async def gathers():
    await asyncio.gather(
        asyncio.create_task(sleeps(), name="gathered-1"), asyncio.create_task(sleeps(), name="gathered-2")
    )

async def cleans_up():
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.05)

async def killer(*tasks):
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()  # the killer's line

async def times_out():
    try:
        await asyncio.wait_for(asyncio.create_task(sleeps(), name="waited-for"), 0.1)
    except TimeoutError:
        pass

async def fails():
    await asyncio.sleep(0.1)
    raise ValueError

async def group():
    try:
        async with asyncio.TaskGroup() as made:
            made.create_task(sleeps(), name="sibling")
            made.create_task(fails(), name="fails")
    except* ValueError:
        pass

async def group_body():
    try:
        async with asyncio.TaskGroup() as made:
            made.create_task(sleeps(), name="left-behind")
            await asyncio.sleep(0.1)
            raise ValueError
    except* ValueError:
        pass

async def owner():
    async with asyncio.TaskGroup() as made:
        made.create_task(sleeps(), name="owned")

async def swallowed_one():
    "The first cancellation is swallowed, and the second comes while it waits for nothing: nobody knows whose it is."
    me = asyncio.current_task()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        pass
    await asyncio.sleep(0)
    me.cancel()
    await asyncio.sleep(60)

def start(coro, name):
    return asyncio.create_task(coro, name=name)

async def main():
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    victim = start(sleeps(), "victim")
    waiting = start(awaits(victim), "along")
    future = asyncio.get_running_loop().create_future()
    async def waits_for_it():
        await future
    kept = [
        waiting, start(gathers(), "gathers"), start(cleans_up(), "cleans-up"), start(owner(), "owner"),
        start(swallowed_one(), "swallowed"), start(waits_for_it(), "of-a-future"),
    ]
    start(killer(victim, *kept[1:5]), "killer")
    asyncio.get_running_loop().call_later(0.1, future.cancel)
    asyncio.get_running_loop().call_later(0.1, lambda: called.cancel())
    called = start(sleeps(), "by-a-callback")
    others = [start(times_out(), "times-out"), start(group(), "group"), start(group_body(), "group-body")]
    unstarted = start(sleeps(), "unstarted")
    unstarted.cancel()
    await asyncio.wait([victim, called, unstarted, *kept, *others])
    at_end = start(sleeps(), "at-end")
    await asyncio.sleep(0)

asyncio.run(main())
print("ready", flush=True)
sys.stdin.readline()
"""


KILLED = ("call", "killer", "killer", True)
EXPECTED = {
    "victim": KILLED,
    "along": (*KILLED[:3], False, "victim"),
    "gathers": KILLED,
    "gathered-1": KILLED,
    "gathered-2": KILLED,
    "cleans-up": KILLED,
    "owner": KILLED,
    "owned": (*KILLED[:3], True, "owner"),
    "swallowed": None,
    "unstarted": None,
    "of-a-future": ("call", "", None, False),
    "by-a-callback": ("call", "", "main.<locals>.<lambda>", True),
    "waited-for": ("timeout", "times-out", "times_out", True),
    "sibling": ("group", "fails", None, True),
    "left-behind": ("body", "group-body", "group_body", True),
    "at-end": ("end", "", None, True),
}
"""Of each task that is cancelled: how, by whom, in which function, whether it was asked itself, through whom."""
LATER = {"waited-for": ("timeout", "", None, True)}
"""From 3.12 on wait_for is an asyncio.timeout, whose callback cancels."""


@pytest.mark.parametrize("pure", ["", "1"])
@pytest.mark.parametrize("python", PYTHONS)
def test_who_cancelled_is_told_with_the_end(tmp_path: Path, python: str, pure: str) -> None:
    env = {"LOOPTOP_PURE": pure}
    with Program(PROGRAM, folder=tmp_path, python=python, env=env) as running, running.viewer() as viewer:
        viewer.ticks(1)
        running.say()
        running.expect("ready")
        ends = viewer.until(lambda: _ends(viewer, "at-end"), "the last end")
        old = "3.11" in str(viewer.first["python"])
        assert {name: _canceller(viewer, end) for name, end in ends.items()} == {**EXPECTED, **({} if old else LATER)}


def _ends(viewer: Any, last: str) -> dict[str, Any] | None:
    ends = {event["name"]: event for event in viewer.of_kind("task_ended") if event["outcome"] == "cancelled"}
    return ends if last in ends else None


def _canceller(viewer: Any, end: dict[str, Any]) -> tuple[Any, ...] | None:
    by = end.get("cancelled_by")
    if by is None:
        return None
    function = viewer.site(by["site"])[2] if by["site"] else None
    return (by["how"], by["name"], function, by["asked"], *([by["through_name"]] if "through" in by else []))
