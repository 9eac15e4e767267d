"""Groups of real servers under load: their counts and percentiles are those that a client measured."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from groups_client import Client, percentile
from waiting import wait_until, waited_for_cpu
from watched import Program, Viewer, free_port

APP = """
import asyncio

async def work(seconds):
    await asyncio.sleep(seconds)

def fastapi():
    from fastapi import APIRouter, FastAPI
    from fastapi.responses import JSONResponse
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def item(item_id: int):
        await work(0.02)
        return {"item": item_id}

    part = APIRouter()

    @part.get("/{slow_id}/part")
    async def slow(slow_id: str):
        await work(0.1)
        return "slow"

    app.include_router(part, prefix="/slow")

    @app.get("/broken/{item_id}")
    async def broken(item_id: int):
        await work(0.01)
        return JSONResponse({}, status_code=503)

    return app

def by_uvicorn(port):
    import uvicorn
    uvicorn.run(fastapi(), port=port, log_level="warning")

def by_hypercorn(port):
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    config = Config()
    config.keep_alive_max_requests = 1_000_000
    config.bind = [f"127.0.0.1:{port}"]
    asyncio.run(serve(fastapi(), config))

def by_granian(port):
    from granian.constants import Interfaces
    from granian.server.embed import Server
    asyncio.run(Server(fastapi(), address="127.0.0.1", port=port, interface=Interfaces.ASGI).serve())

def by_daphne(port):
    from twisted.internet import asyncioreactor
    asyncioreactor.install()
    from daphne.server import Server
    Server(fastapi(), endpoints=[f"tcp:port={port}:interface=127.0.0.1"], signal_handlers=False).run()

def by_aiohttp(port):
    from aiohttp import web

    async def item(request):
        await work(0.02)
        return web.json_response({"item": request.match_info["item_id"]})

    async def slow(request):
        await work(0.1)
        return web.Response(text="slow")

    async def broken(request):
        await work(0.01)
        return web.Response(status=503)

    app = web.Application()
    app.router.add_get("/broken/{item_id}", broken)
    app.router.add_get("/items/{item_id}", item)
    app.router.add_get("/slow/{slow_id}/part", slow)
    web.run_app(app, host="127.0.0.1", port=port, print=None)

import sys
globals()["by_" + sys.argv[1]](int(sys.argv[2]))
"""

LABELS = {
    "/items/{}": "GET /items/{item_id}",
    "/slow/{}/part": "GET /slow/{slow_id}/part",
    "/nope/{}": "GET /nope/*",
    "/broken/{}": "GET /broken/{item_id}",
}
SLACK = 0.03
"""Seconds by which a client may see an answer later than its task ended, on a machine that does other things too."""


def answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def groups_of(pid: int, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "monitor", "groups", str(pid), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def failing(viewer: Viewer) -> list[list[Any]]:
    """The newest rows of groups with failed responses."""
    scans = [frame["sync_scan"] for frame in viewer.frames if frame["type"] == "tick" and "sync_scan" in frame]
    return scans[-1]["responses"] if scans else []


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn", "granian", "daphne", "aiohttp"])
def test_groups_agree_with_a_client(server: str, tmp_path: Path) -> None:
    pytest.importorskip(server, reason=f"{server} is not installed")
    if server != "aiohttp":
        pytest.importorskip("fastapi", reason="fastapi is not installed")
    script = tmp_path / "server.py"
    script.write_text(APP)
    port = free_port()
    with Program(script, server, str(port), folder=tmp_path) as program:
        wait_until(lambda: answers(port), f"{server} listens")
        with program.viewer(rate=4, groups=True, rows=False, findings=True) as viewer:
            viewer.ticks(1)
            client, waited = Client(port), [waited_for_cpu(program.pid), waited_for_cpu()]
            asyncio.run(client.run(2.0))
            # On a crowded machine a task may end after the client has its answer, and a client may read it late.
            server_late, client_late = waited_for_cpu(program.pid) - waited[0], waited_for_cpu() - waited[1]
            rates = {group["label"]: group["rate"] for group in groups_of(program.pid, "--duration", "0")["groups"]}
            assert set(LABELS.values()) <= set(rates)
            groups = {group["label"]: group for group in groups_of(program.pid)["groups"]}
            broken = [LABELS["/broken/{}"], *[len(client.taken["/broken/{}"])] * 2]
            viewer.until(lambda: [row[1:4] for row in failing(viewer)] == [broken], "its failures are known")
        command = ["tasks", str(program.pid), "--json", "--ended", "--filter", "label:/items/{item_id}"]
        listed = subprocess.run(
            [sys.executable, "-m", "monitor", *command], capture_output=True, text=True, timeout=60, check=False
        )
        assert {task["label"] for task in json.loads(listed.stdout)["tasks"]} == {"GET /items/{item_id}"}
        for path, label in LABELS.items():
            taken, group = client.taken[path], groups[label]
            assert (group["started"], group["ended"], group["failed"]) == (len(taken), len(taken), 0)
            assert (group["rate"] is None) == (group["rate_over"] is None)
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                # The client's clock starts earlier and stops later, so on a busy machine ranks may differ by a few.
                least, most = percentile(taken, share - 0.05), percentile(taken, min(share + 0.05, 1.0))
                age = group["age"][name]
                assert least * 0.95 - 0.001 - SLACK - client_late <= age, (label, name)
                assert age <= most * 1.05 + 0.001 + server_late, (label, name)
            errors = len(taken) if path == "/broken/{}" else 0
            assert (group["responses"], group["errors"]) == (len(taken), errors), label
            total = group["total"]
            assert abs(total["ran"] + total["queued"] + total["waited"] - total["age"]) <= 1e-3 * group["ended"]
            assert group["age"]["max"] <= max(taken) + 0.05 + server_late  # it may end once the response is out
        slow, fast = groups[LABELS["/slow/{}/part"]], groups[LABELS["/nope/{}"]]
        assert slow["total"]["waited"] >= 0.8 * 0.1 * slow["ended"]
        assert fast["waited"]["p50"] <= 0.5 * fast["age"]["p50"]  # in all, one stop of the machine may be most of it
