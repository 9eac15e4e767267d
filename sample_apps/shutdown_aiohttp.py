"""A shutdown of an aiohttp server: SIGTERM, then `on_shutdown` for the open requests, then `on_cleanup`.

What you see: `listener-*` clients whose requests hang for as long as the server runs; when it is stopped
(here by itself, once a second) it ends their requests, waits, and cleans up; each listener is done rather than
failed. (Needs aiohttp.)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.shutdown_hurried import send_sigterm_soon, told_to_stop
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoTaskEnded, TaskEnded, Waiting

if TYPE_CHECKING:
    from aiohttp import web

SAMPLE = Sample(
    name="shutdown_aiohttp",
    topic="loops",
    sentence="An aiohttp server is stopped, ends its open requests, waits and cleans up.",
    fix=None,
    expectations=(
        Waiting(kind="event", task="*", at_least=3),
        TaskEnded(task="listener-*", outcome="done", times=3),
        TaskEnded(task="housekeeper", outcome="cancelled"),
        NoTaskEnded(task="*", outcome="failed"),
        NoSlowCallback(over=0.3),
        NoFinding(),
    ),
    needs=("aiohttp", "aiohttp.web"),
)


def application() -> web.Application:
    """One page that does not end until the server stops."""
    from aiohttp import web

    closing = asyncio.Event()
    app = web.Application()

    async def news(_: web.Request) -> web.Response:
        await closing.wait()
        return web.Response(text="that is all\n")

    async def let_go(_: web.Application) -> None:
        closing.set()

    async def start_housekeeper(_: web.Application) -> None:
        app[housekeeper] = asyncio.create_task(asyncio.sleep(3600), name="housekeeper")

    async def end_housekeeper(_: web.Application) -> None:
        app[housekeeper].cancel()
        await asyncio.gather(app[housekeeper], return_exceptions=True)

    housekeeper: web.AppKey[asyncio.Task[None]] = web.AppKey("housekeeper", asyncio.Task)
    app.router.add_get("/", news)
    app.on_startup.append(start_housekeeper)
    app.on_shutdown.append(let_go)
    app.on_cleanup.append(end_housekeeper)
    return app


async def listener(port: int) -> None:
    """Request news, and wait as long as it takes."""
    from aiohttp import ClientSession

    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
        await response.text()


async def serve() -> None:
    """Serve until SIGTERM, then shut down in order."""
    from aiohttp import web

    stopping = told_to_stop()
    runner = web.AppRunner(application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(listener(port), name=f"listener-{number}")
        try:
            await stopping.wait()
        finally:
            await runner.cleanup()
    print("stopped, in good order")


async def main(_: Options) -> None:
    """Start the server again whenever it has been stopped."""
    while True:
        async with asyncio.TaskGroup() as group:
            group.create_task(send_sigterm_soon(), name="init")
            group.create_task(serve(), name="service")
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    run(main, SAMPLE)
