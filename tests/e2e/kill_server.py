"""Kills an aiohttp server under load at random moments and reads its box each time: `python tests/e2e/kill_server.py [RUNS]`.

Not part of the suite; `make kills` runs it a hundred times. Exit status 1 if a box is missing or has nothing of the last 10 s.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVER = """
import asyncio
from aiohttp import web

async def slow(request):
    await asyncio.sleep(0.2)
    return web.Response(text="ok")

async def main():
    app = web.Application()
    app.router.add_get("/", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


async def request(port: int) -> None:
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            if not await reader.readline():
                return
            await reader.readuntil(b"ok")


async def load_until_killed(port: int, seconds: float, pid: int) -> float:
    loads = [asyncio.create_task(request(port)) for _ in range(20)]
    await asyncio.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    killed = time.time()
    for load in loads:
        load.cancel()
    await asyncio.gather(*loads, return_exceptions=True)
    return killed


def one(folder: Path) -> str:
    """Runs and kills one server. What is wrong with its box; empty for nothing."""
    from monitor.attach import boxes
    from monitor.recording.reader import store_at

    environ = {**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder)}
    command = [sys.executable, "-m", "probes", "-c", SERVER]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        pause = random.uniform(1.5, 6.0)
        killed = asyncio.run(load_until_killed(port, pause, server.pid))
        server.wait()
    found = [box for box in boxes.dead({"LOOPTOP_DIR": str(folder)}) if box.heading.pid == server.pid]
    if not found:
        return "no box"
    store = store_at(found[0].path)
    if killed - store.now > 10:
        return f"it ends {killed - store.now:.1f} s before the kill"
    return "" if len(store.tasks) >= 20 else f"{len(store.tasks)} tasks only"


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o700)
        for number in range(runs):
            why = one(folder)
            if why:
                wrong.append(f"run {number}: {why}")
    print(f"{runs - len(wrong)} of {runs} boxes are readable and have the last 10 s", *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
