"""No false findings: every sample that does it right, and an aiohttp server under wrk, watched for a minute each.

    python tests/monitor/findings/soak.py [--seconds 60] [--at-once 8] [NAME…]     `server` and `server-uvloop` are names too

Prints a line for each, with the findings that there were; exits with 1 if there was one. Ten minutes for all of them.
"""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from watched import Program, wait_for_socket  # noqa: E402

from monitor.findings.rules.engine import Findings  # noqa: E402
from monitor.plain import event_lines, stream  # noqa: E402
from monitor.transport.address import Address  # noqa: E402
from monitor.transport.connection import connect  # noqa: E402
from sample_apps.catalogue import samples  # noqa: E402
from sample_apps.vocabulary import NoFinding  # noqa: E402

SAMPLE = """
import runpy, sys
sys.path.insert(0, {root!r})
sys.argv = [{name!r}, "--seconds", "{seconds}"]
runpy.run_module("sample_apps.{name}", run_name="__main__")
"""

SERVER = """
import asyncio, json, sys
from aiohttp import ClientSession, web
{loop}
async def hello(request):
    return web.json_response({{"n": request.query.get("n"), "items": list(range(50))}})

async def pause(request):
    await asyncio.sleep(0.005)
    return web.Response(text="ok" * 500)

queue, lock = None, None
async def job(request):
    done = asyncio.get_running_loop().create_future()
    await queue.put(done)
    async with lock:
        pass
    return web.Response(text=str(await asyncio.wait_for(done, 5)))

async def worker():
    while True:
        (await queue.get()).set_result(1)

async def background(app):
    global queue, lock
    queue, lock = asyncio.Queue(100), asyncio.Lock()
    tasks = [asyncio.create_task(worker(), name=f"worker-{{n}}") for n in range(4)]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

app = web.Application()
app.router.add_get("/", hello)
app.router.add_get("/pause", pause)
app.router.add_get("/job", job)
app.cleanup_ctx.append(background)

async def main():
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(3600)

{run}
"""
PLAIN = {"loop": "", "run": "asyncio.run(main())"}
UVLOOP = {"loop": "import uvloop", "run": "uvloop.run(main())"}


def right_ones() -> list[str]:
    """The samples that declare that nothing is to be found of them."""
    return [
        sample.name
        for sample in samples()
        if any(isinstance(one, NoFinding) and one.kind is None for one in sample.expectations)
    ]


def found_in(program: Program, seconds: float) -> list[str]:
    """What was found in a program within so long, as lines."""
    wait_for_socket(program.socket_path, program.process, 60).close()
    findings = Findings()
    things = stream.watch(connect(Address(path=str(program.socket_path))), seconds, None, findings)
    return [event_lines.line(thing) for thing in things if thing["type"] == "finding"]


def soak_sample(name: str, seconds: float, folder: Path) -> list[str]:
    """One sample."""
    script = SAMPLE.format(root=str(ROOT), name=name, seconds=round(seconds + 90))
    with Program(script, folder=folder, settings={"expect": 90}) as program:
        return found_in(program, seconds)


def soak_server(kind: str, seconds: float, folder: Path) -> list[str]:
    """The server, with wrk on all of its pages."""
    script = SERVER.format(**(UVLOOP if kind == "server-uvloop" else PLAIN))
    with Program(script, folder=folder, settings={"expect": 90}) as program:
        port = program.line(30)
        wrk = [
            subprocess.Popen(
                ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds + 5)}s", f"http://127.0.0.1:{port}{page}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for page, connections in (("/", 50), ("/pause", 30), ("/job", 20))
        ]
        try:
            return found_in(program, seconds)
        finally:
            for one in wrk:
                one.terminate()
                one.wait(10)


def soak(name: str, seconds: float) -> list[str]:
    """One of them, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        if name.startswith("server"):
            return soak_server(name, seconds, folder)
        return soak_sample(name, seconds, folder)
    except Exception as error:
        return [f"it could not be watched: {type(error).__name__}: {error}"[:300]]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    if "LOOPTOP_DIR" not in os.environ:
        os.environ["LOOPTOP_DIR"] = folder = tempfile.mkdtemp(prefix="soak-run-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    names = chosen.names or ["server", "server-uvloop", *right_ones()]
    bad = 0
    with ThreadPoolExecutor(chosen.at_once) as pool:
        for name, lines in zip(names, pool.map(lambda one: soak(one, chosen.seconds), names), strict=True):
            bad += bool(lines)
            print(f"{'FOUND' if lines else 'none '}  {name}", *lines, sep="\n    " if lines else "", flush=True)
    print(f"{len(names)} watched for {chosen.seconds:g} s each, {bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
