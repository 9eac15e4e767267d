"""What the probe was made of is gone when it is out, without the program's collector; unless the program holds some of it."""

from __future__ import annotations

import ast
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from inject_targets import Running
from test_matrix import interpreter, look, settled
from waiting import wait_until

from monitor.attach.inject import inject
from monitor.attach.payload import make

COUNTING = """
gc.disable()
USED = []
def _count(*_):
    ours = [thing for thing in gc.get_objects() if isinstance(thing, type(_count))
            and thing.__code__.co_filename.startswith("<looptop>")]
    os.write(1, repr({"functions": len(ours), "modules": [name for name in sys.modules if name.startswith("_looptop")],
                  "used": len(USED)}).encode()
             + b"\\n")
signal.signal(signal.SIGUSR2, _count)
"""

IDLE = """
async def main():
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
"""

KEEPING = """
kept = []
async def keep():
    while not hasattr(sys, "_looptop_probe"): await asyncio.sleep(0.01)
    kept.append(asyncio.get_running_loop().create_task)
    while hasattr(sys, "_looptop_probe"): await asyncio.sleep(0.01)
    while True:
        await kept[0](asyncio.sleep(0.01))
        USED.append(1)
async def main():
    asyncio.get_running_loop().call_soon(ready)
    await keep()
asyncio.run(main())
"""


def counted(target: Running) -> dict[str, Any]:
    os.kill(target.pid, signal.SIGUSR2)
    told = ast.literal_eval(target.line())
    assert isinstance(told, dict)
    return told


def in_and_out(target: Running) -> None:
    threads, files = target.threads(), target.files()
    result = inject(target.pid, make({"leave": True}, 10), timeout=10)
    with look(result) as viewer:
        assert viewer.names()
        viewer.ask("detach")
        viewer.until_end()
    settled(target, threads, files)


@pytest.mark.parametrize("version", ["own", "3.12", "3.13", "3.14", "3.15"])
def test_nothing_waits_for_the_collector(version: str, tmp_path: Path, runtime_dir: Path) -> None:
    with Running(interpreter(version), COUNTING + IDLE, tmp_path) as target:
        in_and_out(target)
        assert wait_until(lambda: counted(target), "an answer") == {"functions": 0, "modules": [], "used": 0}
        assert target.stderr == ""


def test_what_the_program_holds_stays_whole(tmp_path: Path, runtime_dir: Path) -> None:
    with Running(interpreter("own"), COUNTING + KEEPING, tmp_path) as target:
        in_and_out(target)
        told = counted(target)
        assert told["functions"] > 100
        wait_until(lambda: counted(target)["used"] > told["used"] + 10, "the use of a hook that was kept")
        assert target.alive
        assert target.stderr == ""
