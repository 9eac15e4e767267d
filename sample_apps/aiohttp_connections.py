"""A hundred connections at once: an aiohttp client without a limit, and a server that takes half a second per page.

What you see: a hundred `fetch-*` tasks that wait together for half a second and end together; as many
handlers of the server that sleep in the meantime; and a loop that is hardly used. Waiting costs a loop
nothing. (Only do this to your own server; for others set a limit, see `aiohttp_limit` for what it looks
like.)
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Tasks, Utilization

if TYPE_CHECKING:
    from aiohttp import ClientSession, web

SAMPLE = Sample(
    name="aiohttp_connections",
    topic="networks",
    sentence="A hundred pages are fetched at once, over a hundred connections.",
    fix=None,
    expectations=(
        Tasks(site="fetches", at_least=100, at_most=100),
        TaskEnded(task="fetch-*", outcome="done", times=100, at_most=2.5),
        Utilization(at_most=0.7),
        NoSlowCallback(over=0.4),
        NoUnhandled(),
        NoFinding(),
    ),
    needs=("aiohttp", "aiohttp.web"),
    watch=4.0,
)


async def page(_: web.Request) -> web.Response:
    """A page that takes half a second, without keeping the loop."""
    from aiohttp import web  # here, so that the catalogue can be read without it

    await asyncio.sleep(0.5)
    return web.Response(text="here you are\n")


async def fetch(session: ClientSession) -> str:
    """Download the page over the shared session."""
    async with session.get("/") as response:
        return await response.text()


async def rounds(limit: int) -> None:
    """Get the page a hundred times at once, again and again, over so many connections at most; 0 is no limit."""
    from aiohttp import ClientSession, TCPConnector, web

    application = web.Application()
    application.router.add_get("/", page)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with ClientSession(address, connector=TCPConnector(limit=limit)) as session:
            for round_ in itertools.count(1):
                print(f"round {round_}: a hundred pages, {limit or 'any number of'} connections")
                start = asyncio.get_running_loop().time()
                async with asyncio.TaskGroup() as group:
                    for number in range(100):
                        group.create_task(fetch(session), name=f"fetch-{round_}-{number}")  # expect: fetches
                print(f"round {round_}: {asyncio.get_running_loop().time() - start:.1f} s")
    finally:
        await runner.cleanup()


async def main(_: Options) -> None:
    """Fetch without a limit."""
    await rounds(limit=0)


if __name__ == "__main__":
    run(main, SAMPLE)
