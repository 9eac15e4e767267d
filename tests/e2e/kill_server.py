"""Ends an aiohttp server under load at random moments, and reads its box each time: `kill_server.py [WAY[=RUNS]]...`.

Not part of the suite; `make kills` runs all ways. Exit status 1 if a box is missing, has nothing of the last 10 s, or says
something else about the end than what happened.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SERVER = """
import asyncio, os, signal
from aiohttp import web

async def slow(request):
    await asyncio.sleep(0.2)
    return web.Response(text="ok")

async def noise():
    while True:
        tasks = [asyncio.create_task(asyncio.sleep(0.5), name=os.urandom(140).hex()) for _ in range(50)]
        await asyncio.sleep(0.02)

async def main():
    noisy = os.environ.get("LOOPTOP_NAME") == "small" and asyncio.create_task(noise())
    app = web.Application()
    app.router.add_get("/", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hungry = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, hungry.set)
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await hungry.wait()
    kept = []
    while True:
        kept.append(bytearray(1 << 24))

asyncio.run(main())
"""
AT_ONCE = 3
WORD = "ended without a word"
WAYS: dict[str, tuple[int, signal.Signals, str, str]] = {
    "kill": (100, signal.SIGKILL, WORD, ""),
    "abort": (20, signal.SIGABRT, WORD, ""),
    "fault": (20, signal.SIGSEGV, WORD, ""),
    "memory": (20, signal.SIGUSR1, "unhandled MemoryError", ""),  # `ulimit -v`
    "small": (20, signal.SIGKILL, WORD, "1MiB"),  # a segment begins every few seconds
}
"""By way: runs, signal, what the box must say, and its size."""
LIMIT = 700_000  # KiB


async def request(port: int) -> None:
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            if not await reader.readline():
                return
            await reader.readuntil(b"ok")


async def load_until_ended(port: int, seconds: float, server: "subprocess.Popen[str]", number: signal.Signals) -> float:
    loads = [asyncio.create_task(request(port)) for _ in range(20)]
    await asyncio.sleep(seconds)
    killed = time.time()
    server.send_signal(number)
    # A server that runs out of memory takes a while to end; its requests would be cancelled with their connections.
    while server.poll() is None:
        await asyncio.sleep(0.01)
    for load in loads:
        load.cancel()
    await asyncio.gather(*loads, return_exceptions=True)
    return killed


def one(folder: Path, way: str) -> str:
    """Runs and ends one server. What is wrong with its box; empty for nothing."""
    from monitor.attach import boxes
    from monitor.recording.reader import store_at

    _, number, said, size = WAYS[way]
    pause = random.uniform(8, 20) if size else random.uniform(1.5, 6.0)
    environ = {**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder), "LOOPTOP_NAME": way, "LOOPTOP_BOX": size}
    command = ["sh", "-c", f'ulimit -v {LIMIT}; exec "$@"', "sh", sys.executable, "-m", "probes", "-c", SERVER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environ, stdout=pipe, stderr=pipe, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        killed = asyncio.run(load_until_ended(port, pause, server, number))
        _, errors = server.communicate()
    if "looptop:" in errors:
        return errors
    found = boxes.of_process(server.pid, {"LOOPTOP_DIR": str(folder)})
    if found is None:
        return "no box"
    if not found.how.startswith(said):
        return found.how
    end = store_at(found.path).now
    # Not at the end: after an exception asyncio cancels all tasks, and a tick may come between that and the exit.
    tasks = len(store_at(found.path, min(end, killed)).tasks)
    found.path.unlink()
    if killed - end > 10:
        return f"it ends {killed - end:.1f} s before the kill"
    return "" if tasks >= 20 else f"{tasks} tasks only"


def main() -> int:
    wanted = dict(argument.partition("=")[::2] for argument in sys.argv[1:]) or dict.fromkeys(WAYS, "")
    failed = False
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(AT_ONCE) as pool:
        folder = Path(name)
        folder.chmod(0o700)
        for way, runs in wanted.items():
            number = int(runs or WAYS[way][0])
            results = list(pool.map(lambda _, way=way: one(folder, way), range(number)))
            wrong = [f"run {run}: {why}" for run, why in enumerate(results) if why]
            print(f"{way}: {number - len(wrong)} of {number} boxes are whole", *wrong, sep="\n", flush=True)
            failed = failed or bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
