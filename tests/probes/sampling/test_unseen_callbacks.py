"""A loop that was blocked before anybody came: it is seen, sampled and blamed, and its duration is a lower bound."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_counting import UVLOOP, source
from watched import Program, Viewer

ASYNCIO = "run = asyncio.run\n"
BY_HAND = "import uvloop\nrun = lambda main: uvloop.new_event_loop().run_until_complete(main)\n"

BLOCKS = """
    import json, threading, time

    class Call:
        '''A callback of Python's own.'''
        def __call__(self): hold()

    def computes():
        over = []
        threading.Thread(target=lambda: over.append(sys.stdin.readline()), daemon=True).start()
        while not over:  # line
            sum(range(1000))

    def waits():
        sys.stdin.readline()  # line

    def timed(hold, *args):
        print("blocks", flush=True)
        began = time.monotonic()
        hold(*args)
        print(json.dumps({"took": time.monotonic() - began, "ended": time.time()}), flush=True)

    async def later():
        while True:
            await asyncio.sleep(0.01)

    async def main():
        beside = asyncio.create_task(later(), name="later")
        await asyncio.sleep(0.05)
        kind = sys.argv[1]
        if kind in ("callback", "builtin"):
            print("blocks", flush=True) if kind == "builtin" else None
            asyncio.get_running_loop().call_soon(*[timed, waits] if kind == "callback" else [sys.stdin.readline])
            await asyncio.sleep(0.01)
            if kind == "builtin": print("{}", flush=True)
        else:
            timed(computes if kind == "computes" else waits)
        await told()
"""
MAIN = "\nrun(main())\n"
THREAD = """
loop_thread = threading.Thread(target=lambda: run(main()), name="loops")
loop_thread.start()
loop_thread.join()
"""


def blocked(viewer: Viewer) -> dict[str, Any]:
    """The row of the loop that the newest tick says is blocked, with that of the loop."""
    ticks = [frame for frame in viewer.frames if frame["type"] == "tick" and "loops" in frame]
    for row in ticks[-1]["blocked"] if ticks else ():
        found = dict(zip(viewer.schema["blocked_row"], row, strict=True))
        return {**viewer.loops[found["loop"]], **found, "at": ticks[-1]["at"]}
    return {}


def of_it(viewer: Viewer, moment: int) -> list[dict[str, Any]]:
    """The slow callbacks that ran at a moment: on a crowded machine others may be slow before and after."""
    return [
        event for event in viewer.of_kind("slow_callback") if event["at"] - event["duration"] <= moment <= event["at"]
    ]


def check(program: Program, kind: str) -> None:
    """Watches a program that is blocked by now, lets it go on, and watches that, too."""
    with program.viewer() as viewer:
        came = time.monotonic()
        row = viewer.until(lambda: blocked(viewer), "a loop that is blocked")
        assert row["at_least"] is True
        looks = [row]

        def busy_all_the_time() -> bool:
            """Between two looks; whoever makes them may be kept from a processor between two readings of one."""
            looks.extend(filter(None, [blocked(viewer)]))
            return any(
                400_000 <= looks[-1]["busy"] - first["busy"] <= looks[-1]["at"] - first["at"] + 100_000
                for first in looks[:-1]
                if looks[-1]["blocked"] > first["blocked"] + 500_000
            )

        viewer.until(busy_all_the_time, "it is blocked for longer, and busy all the time")
        row = looks[-1]
        moment = row["at"] - row["blocked"] // 2  # its end is that of the last look that met it
        task = viewer.rows.get(row["running"]) if row["running"] else None
        if kind == "builtin":
            assert row["stack"] == []
        else:
            line = viewer.site(row["stack"][row["blame"]])
            assert line[2] == ("computes" if kind == "computes" else "waits"), viewer.stack(row["stack"])
        if kind in ("computes", "waits"):
            assert task is not None and viewer.facts[row["running"]]["name"] == "Task-1"
            assert task["state"] == "running" and task["busy"] >= 500_000 and task["max_step"] >= 500_000
        else:
            assert task is None
        program.say()
        truth = json.loads(program.line())
        slow = viewer.until(lambda: of_it(viewer, moment), "the event of its end")
        viewer.until(lambda: not blocked(viewer), "it is blocked no more")
        busy = viewer.loops[row["loop"]]["busy"]
        viewer.ticks(3)
        assert len(of_it(viewer, moment)) == 1, "it is told once"
        event = slow[0]
        assert event["at_least"] is True
        assert event["duration"] >= row["blocked"] - 50_000, "a lower bound: it ended after the last look that met it"
        if kind != "builtin":
            longer = event["at"] / 1e6 - truth["ended"]  # the step goes on for a moment
            assert event["duration"] / 1e6 <= truth["took"] + max(longer, 0.0) + 0.03
            assert -0.5 < longer <= time.time() - truth["ended"]
            if event["duration"] < 2 * row["blocked"]:  # else the machine stood still after the last look
                assert viewer.site(event["stack"][event["blame"]])[2] == line[2]
        assert event["task"] == row["running"]
        assert busy <= (time.monotonic() - came + 5) * 1e6
        if task is not None:
            assert event["name"] == "Task-1" and event["callback"] == "main"
            after = viewer.named("Task-1")
            assert min(after["busy"], after["max_step"]) >= event["duration"] - 2, "each is rounded by itself"
            assert after["state"] == "waiting"
        # What comes after it is known exactly.
        assert viewer.named("later")["steps"] > 0


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("kind", ["waits", "computes", "callback", "builtin"])
def test_a_callback_from_before_is_seen(kind: str, where: str, tmp_path: Path, python: str) -> None:
    text = source(BLOCKS, ASYNCIO) + (MAIN if where == "main" else THREAD)
    with Program(text, kind, folder=tmp_path, python=python, settings={"history": False}) as program:
        program.expect("blocks")
        check(program, kind)
        program.say()
        program.end()


@pytest.mark.parametrize("setup", [UVLOOP, BY_HAND], ids=["run", "by hand"])
@pytest.mark.parametrize("kind", ["waits", "computes", "callback"])
def test_a_callback_from_before_is_seen_on_uvloop(kind: str, setup: str, tmp_path: Path) -> None:
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    if setup == BY_HAND and kind == "callback":
        pytest.skip("its thread is not known: there is no task, and no frame of the loop")
    with Program(
        source(BLOCKS, setup) + MAIN, kind, folder=tmp_path, python=sys.executable, settings={"history": False}
    ) as program:
        program.expect("blocks")
        check(program, kind)
        program.say()
        program.end()


def test_a_loop_that_is_not_blocked_is_not_accused(tmp_path: Path, python: str) -> None:
    body = """
        import subprocess

        async def main():
            await told("ready")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python, settings={"history": False}) as program:
        program.expect("ready")
        # A wait that passed for a callback would be busy for as long as it is watched: longer than a crowded machine
        # keeps a real one from a processor.
        with program.viewer(slow=500_000) as viewer:
            viewer.ticks(6)
            assert not [frame for frame in viewer.frames if frame.get("blocked")]
            assert max(row["busy"] for row in viewer.loops.values()) < 500_000
            assert not viewer.of_kind("slow_callback")
        program.say()
        program.end()


def test_a_block_that_another_viewer_saw_begin_is_known_exactly(tmp_path: Path, python: str) -> None:
    body = """
        async def main():
            await told("ready")
            print("blocks", flush=True)
            sys.stdin.readline()
            print("over", flush=True)
            await told()

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python, settings={"history": False}) as program:
        program.expect("ready")
        with program.viewer() as first:
            first.ticks(1)
            asked = time.monotonic()
            program.say()
            program.expect("blocks")
            began = time.monotonic()
            first.until(lambda: blocked(first), "a loop that is blocked")
            known = time.monotonic() - began
        with program.viewer() as second:
            row = second.until(lambda: blocked(second), "a loop that is blocked")
            assert row["at_least"] is False
            assert known * 0.9 < row["blocked"] * 1e-6 < time.monotonic() - asked
            program.say()
            program.expect("over")
            moment = row["at"] - row["blocked"] // 2
            slow = second.until(lambda: of_it(second, moment), "its end")
            second.ticks(2)
            assert len(of_it(second, moment)) == 1 and slow[0]["at_least"] is False
        program.say()
        program.end()
