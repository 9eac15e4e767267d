"""A task that starts eagerly and blocks its loop is known before any hook has seen it, and counts once it has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from interpreters import find_python
from watched import Program

BODY = """
import asyncio, sys, time
from pathlib import Path

async def serve(scope, receive, send):
    while not Path("go").exists():
        time.sleep(0.01)

async def main():
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    scope = {"type": "http", "method": "GET", "path": "/eager", "route": None}
    asyncio.Task(serve(scope, None, None), loop=asyncio.get_running_loop(), eager_start=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


def test_an_eager_task_that_blocks_is_shown_with_its_label(tmp_path: Path) -> None:
    python = find_python("3.12")
    if python is None:
        pytest.skip("Python 3.12 is not on this machine")
    with Program(BODY, folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(rate=10, groups=True, events=True) as viewer:
            if viewer.first["hooks"] != "C":
                pytest.skip("the hooks in Python do not see eager tasks")
            viewer.ticks(1)
            program.say()

            def blocking() -> list[dict[str, Any]]:
                return [
                    row
                    for row in viewer.rows.values()
                    if row["state"] == "running" and viewer.strings[row["label"]] != "(unknown)"
                ]

            (row,) = viewer.until(blocking, "the task that blocks")
            facts = viewer.facts[row["id"]]
            assert viewer.strings[row["label"]] == "GET /eager" and facts["born"] is not None
            (tmp_path / "go").touch()

            def counted() -> list[list[Any]]:
                ticks = [frame for frame in viewer.frames if frame["type"] == "tick"]
                rows = [row for tick in ticks for row in tick.get("groups", {}).get("rows", ())]
                return [row for row in rows if viewer.strings[row[2]] == "GET /eager" and row[5]]

            (*_, group) = viewer.until(counted, "its group")
            assert (viewer.strings[group[1]], group[4], group[5]) == ("serve", 0, 1)
            assert group[9][0] >= group[9][1] > 0 and sum(group[10][1::2]) == 1  # its age is known
            program.say()
            assert program.end() == 0
