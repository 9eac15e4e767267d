"""Objects at which nothing moves in a real program, and their holders, as a viewer gets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from interpreters import find_python
from watched import Program

PYTHONS = [python for python in (find_python(version) for version in ("3.11", "3.13")) if python is not None]

STUCK = """
import asyncio, sys
from asyncio.subprocess import PIPE

class Service:
    def __init__(self):
        self.ready = asyncio.Event()
        self.news = asyncio.Condition()

    async def start(self):
        await asyncio.sleep(0)
        {}["limit"]
        self.ready.set()

    async def answer(self):
        await self.ready.wait()

    async def listen(self):
        async with self.news:
            await self.news.wait()

    async def tell(self):
        async with self.news:
            self.news.notify_all()

async def speak(service, reader):
    await reader.read()
    await service.tell()

async def consume(queue):
    await queue.get()
    raise ValueError("bad")

async def produce(queue):
    while True:
        await queue.put(1)

async def keep(lock, never):
    async with lock:
        try:
            await asyncio.sleep(60)
        finally:
            await never.wait()

async def want(lock):
    async with lock:
        pass

async def convert():
    program = "print('x' * 400_000)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", program, stdout=PIPE)
    await process.wait()

async def main():
    make = asyncio.create_task
    service, queue, lock, never = Service(), asyncio.Queue(2), asyncio.Lock(), asyncio.Event()
    reader = asyncio.StreamReader()
    kept = [make(service.start(), name="start"), make(consume(queue), name="consumer"), make(convert(), name="convert")]
    kept += [make(service.answer(), name=f"answer-{n}") for n in range(3)]
    kept += [make(service.listen(), name=f"listen-{n}") for n in range(3)] + [make(speak(service, reader), name="speak")]
    kept += [make(produce(queue), name=f"produce-{n}") for n in range(2)]
    kept += [make(keep(lock, never), name="keeper")]
    await asyncio.sleep(0.1)
    kept += [make(want(lock), name="want")]
    kept[-2].cancel()
    await asyncio.sleep(0.5)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    import os; os._exit(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_what_stands_still_and_what_has_it_in_hand(tmp_path: Path, python: str) -> None:
    with Program(STUCK, folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(findings=True) as viewer:

            def looked() -> Any:
                for frame in reversed(viewer.frames):
                    stuck = frame.get("sync_scan", {}).get("stuck", [])
                    found = {row[1]: row for row in stuck}
                    wanted = {"event", "condition", "queue", "lock", "subprocess"}
                    if wanted <= set(found) and found["lock"][7] and found["queue"][8]:
                        return frame["sync_scan"]
                return None

            scan = viewer.until(looked, "what stands still")
            # Attributes that CPython keeps inline have no names that can be read.
            rows = {(row[1], row[3].replace(" ready ", " ").replace(" news ", " ")): row for row in scan["stuck"]}
    ready = rows["event", "Event of Service"]
    assert ready[5] == 3 and ready[4] >= 4e6
    assert [ended[:4] for ended in ready[8]] == [["start", "Service.start", "KeyError", "limit"]]
    assert not any(holder[4] for holder in ready[7])
    news = rows["condition", "Condition of Service"]
    assert any(holder[4] for holder in news[7])  # `speak` calls a method that notifies
    queue = rows["queue", "Queue"]
    assert queue[2] == "put" and queue[9:11] == [2, 2] and queue[8][0][2] == "ValueError"
    (holder,) = [one for one in rows["lock", "Lock"][7] if one[1] == 1]
    assert holder[3] == 1 and holder[5].startswith("event")
    (process,) = [row for row in scan["stuck"] if row[1] == "subprocess"]
    assert process[9] > 100_000 and process[11]
    assert {row[2] for row in scan["failed"]} == {"start", "consumer"}
