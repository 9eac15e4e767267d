"""Real servers with workers, for tests of sets: an application, and how each server is started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from waiting import wait_until
from watched import ROOT, free_port

from monitor.attach.worker_processes import WorkerProcesses, has_loop

APP = """
import asyncio, os, sys, time

running = []

async def background():
    while True:
        await asyncio.sleep(0.05)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            running.extend(asyncio.create_task(background(), name=f"bg-{i}") for i in range(3))
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/block":
        time.sleep(0.3)
    if scope["path"] == "/exec":
        code = "import asyncio; asyncio.run(asyncio.sleep(60))"
        os.execv(sys.executable, [sys.executable, "-c", code])
    if scope["path"] == "/busy":
        until = time.monotonic() + 60
        while time.monotonic() < until and not os.path.exists("calm"):
            time.sleep(0.03)
            await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


RUNNERS = """
import asyncio, multiprocessing, signal, sys
from aiohttp import web

async def background():
    while True:
        await asyncio.sleep(0.05)

async def begin(app):
    tasks = [asyncio.create_task(background(), name=f"bg-{i}") for i in range(3)]
    yield
    for task in tasks:
        task.cancel()

def run(port):
    app = web.Application()
    app.cleanup_ctx.append(begin)
    web.run_app(app, port=port, reuse_port=True, print=None)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    context = multiprocessing.get_context("spawn")
    runners = [context.Process(target=run, args=(int(sys.argv[1]),), daemon=True) for _ in range(int(sys.argv[2]))]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
"""
"""aiohttp has no workers of its own: each process runs a server on the same port."""


class Server:
    """A parent process with workers, which serves APP."""

    def __init__(self, command: Sequence[str], folder: Path, workers: int) -> None:
        self.port = free_port()
        (folder / "app.py").write_text(APP)
        (folder / "runners.py").write_text(RUNNERS)
        words = [word.format(port=self.port, workers=workers) for word in command]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("LOOPTOP_BOOT")}
        self._log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=folder, env=environ, stdout=self._log, stderr=self._log
        )
        self.pid = self.process.pid
        self._found = WorkerProcesses()
        try:
            self.wait_for(workers)
        except AssertionError:
            self.close()
            raise AssertionError((folder / "server.log").read_text()[-3000:]) from None

    def workers(self) -> list[int]:
        return self._found.of(self.pid)

    def wait_for(self, number: int) -> list[int]:
        """Its workers, once all of them have their loops."""

        def ready() -> list[int]:
            found = self.workers()
            return found if len(found) == number and all(map(has_loop, found)) else []

        return wait_until(ready, f"{number} workers")

    def get(self, path: str = "/") -> int:
        """Asks the server; the pid of the worker that answered."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return int(answer.read())

    def close(self) -> None:
        pids = self.workers()
        for pid in pids:
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(60)
            for pid in pids:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self._log.close()


# Its parent kills a worker that does not answer for 5 s: one that a test has stopped, or that waits for a processor.
UVICORN = ("uvicorn", "app:app", "--port", "{port}", "--workers", "{workers}", "--log-level", "warning")
UVICORN += ("--timeout-worker-healthcheck", "600")
GUNICORN = ("gunicorn", "app:app", "-b", "127.0.0.1:{port}", "-w", "{workers}", "-k", "uvicorn_worker.UvicornWorker")
HYPERCORN = ("hypercorn", "app:app", "-b", "127.0.0.1:{port}", "-w", "{workers}")
AIOHTTP = ("runners", "{port}", "{workers}")
GRANIAN = ("granian", "--interface", "asgi", "--port", "{port}", "--workers", "{workers}", "app:app")


@contextmanager
def serving(command: Sequence[str], folder: Path, workers: int = 3) -> Iterator[Server]:
    server = Server(command, folder, workers)
    try:
        yield server
    finally:
        server.close()


def looptop(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitor", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=timeout)


class Watching:
    """`looptop watch --json`, running: its objects as they come."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "monitor", "watch", "--json", *words]
        self._path = Path(os.environ["LOOPTOP_DIR"] + ".watch")
        self._file = self._path.open("w")
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self._file, stderr=subprocess.PIPE, text=True)

    def objects(self, kind: str) -> list[dict]:
        lines = self._path.read_text().splitlines(keepends=True)
        things = [json.loads(line) for line in lines if line.endswith("\n")]
        return [thing for thing in things if thing["type"] == kind]

    def close(self) -> str:
        """Ends it; what it said on stderr."""
        self.process.send_signal(signal.SIGINT)
        try:
            said = self.process.communicate(timeout=60)[1]
        finally:
            self.process.kill()
        self._file.close()
        return said
