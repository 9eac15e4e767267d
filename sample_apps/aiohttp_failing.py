"""A page of a web server that answers with an error each time, since a service that it asks is not there.

What you see: in the Groups screen `GET /orders/{id}` has as many 5xx as requests, and nothing has failed: aiohttp turns
the exception into a response with status 500, so that its tasks end well. Findings name the route and count its
responses. `GET /` goes on as if nothing had happened.

The fix, `aiohttp_fallback`: expect that the service may be missing, and answer with what was known last.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, NoUnhandled, Utilization

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientSession, web

SAMPLE = Sample(
    name="aiohttp_failing",
    topic="networks",
    sentence="One of two pages answers with an error each time, since a service that it asks is not there.",
    fix="aiohttp_fallback",
    expectations=(
        Finding("responses_failing"),
        Utilization(at_most=0.6),
        NoSlowCallback(over=0.4),
        NoUnhandled(),
    ),
    needs=("aiohttp", "aiohttp.web"),
    watch=5.0,
)


async def ask_stock(number: str) -> int:
    """Ask the service how many are left. Raises ConnectionError: it is not there."""
    await asyncio.sleep(0.01)
    raise ConnectionRefusedError(f"stock of {number}: connection refused")


async def order(request: web.Request) -> web.Response:
    """A page that needs the service."""
    from aiohttp import web  # here, so that the catalogue can be read without it

    return web.Response(text=f"{await ask_stock(request.match_info['id'])} left\n")


async def welcome(_: web.Request) -> web.Response:
    """A page that needs nothing."""
    from aiohttp import web

    await asyncio.sleep(0.01)
    return web.Response(text="welcome\n")


async def browse(session: ClientSession, path: str) -> None:
    """Get one page again and again."""
    while True:
        async with session.get(path) as response:
            print(path, response.status)
        await asyncio.sleep(0.03)


async def serve(order: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
    """Serve both pages, and browse them."""
    from aiohttp import ClientSession, web

    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it writes a traceback for each response
    application = web.Application()
    application.router.add_get("/", welcome)
    application.router.add_get("/orders/{id}", order)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with ClientSession(address) as session, asyncio.TaskGroup() as browsers:
            for path in ("/", "/orders/7"):
                browsers.create_task(browse(session, path), name=f"browser of {path}")
    finally:
        await runner.cleanup()


async def main(_: Options) -> None:
    """Answer orders with errors."""
    await serve(order)


if __name__ == "__main__":
    run(main, SAMPLE)
