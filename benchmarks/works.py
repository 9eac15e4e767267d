"""The workloads: each does n units of one thing that event loops do, and as little else as possible.

So the ratios are worst cases: in a program whose steps do real work, the same nanoseconds are a smaller share. Standard
library only, since the worker may run on any Python; aiohttp is imported by the one workload that needs it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SIDE_BY_SIDE = 10
"""Tasks, chains or clients that do the same thing at once."""
BATCH = 100
"""Tasks that are created before the first of them is awaited."""


async def _nothing() -> None:
    pass


async def tasks(n: int) -> None:
    """Creates and awaits n tasks that do nothing."""
    for _ in range(n // BATCH):
        batch = [asyncio.create_task(_nothing()) for _ in range(BATCH)]
        for task in batch:
            await task


async def steps(n: int) -> None:
    """Makes n steps, by `sleep(0)` in several tasks."""

    async def walk() -> None:
        for _ in range(n // SIDE_BY_SIDE):
            await asyncio.sleep(0)

    await asyncio.gather(*[walk() for _ in range(SIDE_BY_SIDE)])


async def queue(n: int) -> None:
    """Hands n items from a producer to a consumer, one at a time."""
    items: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for item in range(n):
            await items.put(item)

    producer = asyncio.create_task(produce())
    for _ in range(n):
        await items.get()
    await producer


async def call_soon(n: int) -> None:
    """Runs n plain callbacks, in several chains at once."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    left = n

    def again() -> None:
        nonlocal left
        left -= 1
        if left > 0:
            loop.call_soon(again)
        elif not ended.done():
            ended.set_result(None)

    for _ in range(SIDE_BY_SIDE):
        loop.call_soon(again)
    await ended


class Echo:
    """An echo server and its clients, over loopback."""

    def __init__(self) -> None:
        self._clients: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def start(self) -> int:
        """Opens the server and all connections, which then stay open."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        self._clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SIDE_BY_SIDE)]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()

    async def run(self, n: int) -> None:
        """Sends n lines and waits for each echo."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(n // SIDE_BY_SIDE):
                writer.write(b"x" * 99 + b"\n")
                await reader.readline()

        await asyncio.gather(*[talk(*client) for client in self._clients])


class Http:
    """An aiohttp server. Its requests come from another process (see `load`), so `run` has nothing to do."""

    async def start(self) -> int:
        """Opens the server; returns its port."""
        from aiohttp import web

        async def answer(request: web.Request) -> web.Response:
            return web.json_response({"path": request.path, "ok": True})

        app = web.Application()
        app.router.add_get("/", answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        addresses: Any = self._runner.addresses
        port: int = addresses[0][1]
        return port

    async def run(self, n: int) -> None:
        """Does nothing: the requests have been answered by then."""


@dataclass(frozen=True)
class Work:
    """A workload and its name in a table."""

    name: str
    title: str
    make: Callable[[], Any]
    """Returns a coroutine function `run(n)`, or an object with `start` and `run`."""
    unwatched: float
    """Target: CPU time with a probe and no viewer, divided by that without a probe."""
    watched: float
    """Target: the same with one viewer."""
    pure: float
    """Target: the same with one viewer and the hooks in Python."""
    remote: bool = False
    """Whether another process sends the load."""
    uvloop: bool = False
    """Whether it runs on uvloop."""
    arrival: int = 0
    """Slices of 60 ms at the start that are not counted, until the arrival of the viewer is over."""


def _plain(function: Callable[[int], Awaitable[None]]) -> Callable[[], Any]:
    return lambda: function


WORKS = {
    work.name: work
    for work in (
        Work("tasks", "create and await empty tasks", _plain(tasks), 1.03, 1.10, 1.6, arrival=45),
        Work("steps", "bare steps, `sleep(0)`", _plain(steps), 1.00, 1.00, 1.30),
        Work("queue", "queue hand-over", _plain(queue), 1.00, 1.02, 1.25),
        Work("call_soon", "`call_soon` callbacks", _plain(call_soon), 1.00, 0.95, 1.30),
        Work("streams", "streams echo over loopback", Echo, 1.00, 1.02, 1.10),
        Work("aiohttp", "aiohttp requests", Http, 1.00, 1.02, 1.04, remote=True),
        Work("uvloop", "aiohttp requests on uvloop", Http, 1.03, 1.05, 1.10, remote=True, uvloop=True),
    )
}
