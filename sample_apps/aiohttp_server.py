"""An aiohttp server and its clients: one handler is fast, one awaits, and one blocks all others.

What you see: slow callbacks at the rendering line, in aiohttp's task for the connection that requested
the report, while the `client-*` tasks of the other handlers wait for answers that otherwise take a
millisecond. In a server all connections share one loop, so one bad handler slows down every page.

The fix is that of `cpu_bound`: render in a process pool. (Needs aiohttp; try `--uvloop` as well.)
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import burn
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Group, LoopLag, NoUnhandled, SlowCallback, Waiting

if TYPE_CHECKING:
    from aiohttp import ClientSession, web

SAMPLE = Sample(
    name="aiohttp_server",
    topic="networks",
    sentence="A web server has ten clients, and one of its three pages blocks the loop.",
    fix="cpu_bound_pool",
    expectations=(
        SlowCallback(task="*", line="renders", at_least=0.13, at_most=0.6, times=3),
        Waiting(kind="sleep", task="client-*", at_least=1),
        LoopLag(at_least=0.1),
        Group("GET /slow", coro="RequestHandler._handle_request", ended=3, at_least=0.19, at_most=1.5),
        NoUnhandled(),
    ),
    needs=("aiohttp", "aiohttp.web"),
)
PAGES = ("/fast", "/fast", "/fast", "/slow", "/slow")


def application() -> web.Application:
    """Return the web application with its routes."""
    from aiohttp import web  # here, so that the catalogue works without it

    routes = web.RouteTableDef()

    @routes.get("/fast")
    async def fast(_: web.Request) -> web.Response:
        return web.Response(text="at once\n")

    @routes.get("/slow")
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.2)  # slow for its client, but for no other
        return web.Response(text="after a while\n")

    @routes.get("/report")
    async def report(_: web.Request) -> web.Response:
        turns = burn(0.15)  # expect: renders
        return web.Response(text=f"rendered in {turns} turns\n")

    app = web.Application()
    app.add_routes(routes)
    return app


async def get(session: ClientSession, page: str) -> float:
    """Get a page; returns the seconds that it took."""
    start = time.perf_counter()
    async with session.get(page) as response:
        response.raise_for_status()
        await response.read()
    return time.perf_counter() - start


async def client(session: ClientSession, rng: random.Random) -> None:
    """Request one page after another."""
    while True:
        await get(session, rng.choice(PAGES))
        await asyncio.sleep(rng.uniform(0.05, 0.2))


async def manager(session: ClientSession) -> None:
    """Request the report twice a second, and complain about the page that should be fast."""
    while True:
        _, took = await asyncio.gather(get(session, "/report"), get(session, "/fast"))
        print(f"/fast took {took:.3f} s")
        await asyncio.sleep(0.5)


async def main(options: Options) -> None:
    """Start the server on loopback, and its clients."""
    from aiohttp import ClientSession, web

    rng = random.Random(options.seed)
    runner = web.AppRunner(application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        async with ClientSession(f"http://127.0.0.1:{port}") as session, asyncio.TaskGroup() as group:
            group.create_task(manager(session), name="manager")
            for number in range(9):
                group.create_task(client(session, rng), name=f"client-{number}")
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    run(main, SAMPLE)
