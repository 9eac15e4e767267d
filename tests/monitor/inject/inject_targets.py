"""Programs to be attached to that know nothing of looptop, and what is left in them afterwards.

Each tells its own state when it gets SIGUSR1, so that what was there before can be compared with what is there after.
"""

from __future__ import annotations

import ast
import os
import select
import signal
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

from waiting import wait_until

from monitor.attach.inject import Result
from monitor.transport import fd_passing

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60.0
"""Seconds for an injection that is to work: a crowded machine is no failure."""

PRELUDE = """
import atexit, asyncio, gc, os, signal, sys, threading, tracemalloc
LOOPS = []
def _report(*_):
    from asyncio import base_events, events
    gc.collect(); gc.collect()  # what a type of C held goes with the second
    state = {
        # Functions of the probe that were not collected.
        "ours": [function.__qualname__ for function in gc.get_objects() if isinstance(function, type(_report))
                 and function.__code__.co_filename.startswith("<looptop>")],
        "modules": sorted(sys.modules), "path": list(sys.path), "main": sorted(vars(sys.modules["__main__"])),
        "importers": sorted(sys.path_importer_cache), "sys": sorted(vars(sys)),
        "run": id(events.Handle._run), "call_soon": id(base_events.BaseEventLoop.call_soon),
        "create_task": id(base_events.BaseEventLoop.create_task),
        "handler": id(base_events.BaseEventLoop.call_exception_handler),
        "running": [id(events._set_running_loop), id(asyncio._set_running_loop)],
        "subclass": "__init_subclass__" in vars(events.AbstractEventLoop),
        "factories": [repr(loop.get_task_factory()) for loop in LOOPS],
        "own": [sorted(vars(loop)) if hasattr(loop, "__dict__") else None for loop in LOOPS],
        "debug": [loop.get_debug() for loop in LOOPS],
        # Until 3.13 this counts the places of callbacks that were taken out, too.
        "atexit": atexit._ncallbacks() if sys.version_info >= (3, 14) else None,
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "tracing": tracemalloc.is_tracing(), "depth": sys.get_coroutine_origin_tracking_depth(),
        "hooks": [repr(sys.gettrace()), repr(sys.getprofile()), repr(sys.unraisablehook), repr(threading.excepthook)],
        "umask": os.umask(0o22), "excepthook": repr(sys.excepthook), "last": repr(getattr(sys, "last_value", None)),
    }
    os.umask(state["umask"])
    os.write(1, repr(state).encode() + b"\\n")
signal.signal(signal.SIGUSR1, _report)
def ready():
    try: LOOPS.append(asyncio.get_running_loop())
    except RuntimeError: pass
    os.write(1, b"ready\\n")
"""

PROGRAMS = {
    "idle": """
async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
""",
    "ticking": """
async def tick():
    while True: await asyncio.sleep(0.01)
async def main():
    kept = [asyncio.create_task(tick(), name=f"worker-{i}") for i in range(5)]
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
""",
    "cpu": """
async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    await asyncio.sleep(0)
    ready()
    while True: pass
asyncio.run(main())
""",
    "malloc": """
async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    await asyncio.sleep(0)
    ready()
    while True: [bytearray(n) for n in range(100, 20000, 700)]
asyncio.run(main())
""",
    "sleeping": """
import time
async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    await asyncio.sleep(0)
    ready()
    time.sleep(60)
asyncio.run(main())
""",
    "second_thread": """
async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
thread.start()
thread.join()
""",
    "uvloop_idle": """
import uvloop
async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
uvloop.run(main())
""",
    "uvloop_busy": """
import uvloop
async def spin():
    while True: await asyncio.sleep(0)
async def main():
    kept = [asyncio.create_task(spin(), name=f"worker-{i}") for i in range(5)]
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
uvloop.run(main())
""",
    "aiohttp": """
import tempfile
from aiohttp import web
async def hello(request):
    await asyncio.sleep(0)
    return web.Response(text="hello")
async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    os.write(1, b"port %d\\n" % site._server.sockets[0].getsockname()[1])
    ready()
    await asyncio.sleep(3600)
asyncio.run(main())
""",
    "hostile": """
import queue, subprocess, time, zlib
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
line = queue.Queue(10)
def forever(work):
    def body():
        while True: work()
    threading.Thread(target=body, daemon=True, name=work.__name__).start()
data = os.urandom(1 << 16)
def compress(): zlib.compress(data)
def allocate(): [bytearray(n) for n in range(100, 300000, 7000)]
def small(): [object() for _ in range(2000)]
def put(): line.put(bytes(1000))
def take(): line.get(); time.sleep(0.0005)
for work in (compress, allocate, small, put, take): forever(work)
async def spawn():
    while True:
        process = await asyncio.create_subprocess_exec("/bin/true")
        assert await process.wait() == 0
        await asyncio.sleep(0.02)
async def spin():
    while True: await asyncio.sleep(0.001)
async def main():
    kept = [asyncio.create_task(spin(), name=f"worker-{i}") for i in range(5)]
    kept.append(asyncio.create_task(spawn(), name="spawner"))
    kept[-1].add_done_callback(lambda task: os._exit(9))
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
""",
    "no_asyncio": """
import time
del sys.modules["asyncio"]
ready = lambda: os.write(1, b"ready\\n")
ready()
time.sleep(60)
""",
}


@cache
def interpreters() -> dict[str, str]:
    """The Pythons on this machine that can be attached to, by a short name."""
    found = {"own": sys.executable}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("PYTHONS_FOLDER") or cache_home / "looptop-pythons")
    for version in ("3.11", "3.12", "3.13", "3.14", "3.15"):
        candidates = sorted(pyenv.glob(f"{version}.*/bin/python{version}"), reverse=True)
        candidates += [folder / version / "bin" / f"python{version}"]
        for candidate in candidates:
            if candidate.exists():
                found[version] = str(candidate)
                break
    system = Path("/usr/bin/python3")
    if system.exists():
        asked = subprocess.run(
            [str(system), "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, text=True
        )
        if asked.stdout.strip() == "True":
            found["system"] = str(system)
    return found


def reach(result: Result, timeout: float = PATIENCE) -> socket.socket:
    """A connection to the probe that was put in."""
    if result.listen_fd is not None:
        sock = fd_passing.enter(result.pid, result.listen_fd, timeout)
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(result.socket)
    sock.settimeout(timeout)
    return sock


CLOCK_NANOSLEEP = "230 "


class Running:
    """A target, from its start to its end."""

    def __init__(
        self, python: str, program: str, folder: Path, *options: str, before: tuple[str, ...] = (), **environ: str
    ) -> None:
        text = PROGRAMS.get(program, program)
        script = folder / "target.py"
        script.write_text(PRELUDE + text)
        self.process = subprocess.Popen(
            [*before, python, *options, str(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=(folder / "stderr").open("wb"),
            env={**os.environ, **environ},
            cwd=folder,
        )
        self.pid = self.process.pid
        self._unread = b""
        self._folder = folder
        self.port = 0
        while (line := self.line()) != "ready":
            if line.startswith("port "):
                self.port = int(line[5:])
        if before:  # it may be a child of what it was started with
            tree = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            self.pid = int(tree[0]) if tree else self.pid
        if program == "sleeping":
            # A signal that comes just before the call does not end it, and `state` would wait for a minute.
            wait_until(lambda: Path(f"/proc/{self.pid}/syscall").read_text().startswith(CLOCK_NANOSLEEP), "the call")

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def line(self, timeout: float = PATIENCE) -> str:
        assert self.process.stdout is not None
        until = time.monotonic() + timeout
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self.process.stdout], [], [], max(until - time.monotonic(), 0))
            data = os.read(self.process.stdout.fileno(), 1 << 20) if ready else b""
            if not data:
                raise AssertionError(f"the target says nothing: {self.process.poll()}, {self.stderr}")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def state(self) -> dict[str, Any]:
        """What it says of itself."""
        os.kill(self.pid, signal.SIGUSR1)
        told = ast.literal_eval(self.line())
        assert isinstance(told, dict)
        return told

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def files(self) -> list[str]:
        """What its descriptors are, without the numbers of inodes."""
        found = []
        for path in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                found.append(str(path.readlink()).partition(":[")[0])
            except OSError:
                continue
        return sorted(found)

    def memory(self) -> int:
        """Bytes of its resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def maps(self) -> list[str]:
        """What is mapped into it."""
        return Path(f"/proc/{self.pid}/maps").read_text().splitlines()

    def pages(self) -> int:
        """How many executable mappings it has that belong to no file."""
        return sum(" r-xp 00000000 00:00 0" in line and "[v" not in line for line in self.maps())
