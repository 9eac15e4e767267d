"""Timeouts of aiohttp: a default for the session, and another one for a request that takes long.

What you see: `quick-*` and `patient-*` tasks that are done, and `impatient-*` tasks that fail with
`TimeoutError` after 0.3 s: they request the same page as the patient ones, which takes 0.6 s, but with the
session's timeout. Without any, a hanging server would hold its clients for five minutes, aiohttp's
default.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientTimeout, web

SAMPLE = Sample(
    name="aiohttp_timeouts",
    topic="networks",
    sentence="A client waits 0.3 s for a page, unless the request has a longer timeout of its own.",
    fix=None,
    expectations=(
        TaskEnded(task="quick-*", outcome="done", times=2),
        TaskEnded(task="impatient-*", outcome="failed", exception="TimeoutError", times=2, at_least=0.25),
        TaskEnded(task="patient-*", outcome="done", times=2, at_least=0.55),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
    needs=("aiohttp", "aiohttp.web"),
)


async def page(request: web.Request) -> web.Response:
    """A page that takes as long as requested."""
    from aiohttp import web  # here, so that the catalogue works without it

    await asyncio.sleep(float(request.query["takes"]))
    return web.Response(text="here you are\n")


async def get(session: ClientSession, takes: float, timeout: ClientTimeout | None = None) -> str:
    """Get a page. Raises TimeoutError after the timeout, by default the session's."""
    from aiohttp.helpers import sentinel

    async with session.get("/", params={"takes": str(takes)}, timeout=timeout or sentinel) as response:
        return await response.text()


async def main(_: Options) -> None:
    """Start the server, and request pages."""
    from aiohttp import ClientSession, ClientTimeout, web

    application = web.Application()
    application.router.add_get("/", page)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with ClientSession(address, timeout=ClientTimeout(total=0.3)) as session:
            for number in itertools.count(1):
                tasks = [
                    asyncio.create_task(get(session, 0.05), name=f"quick-{number}"),
                    asyncio.create_task(get(session, 0.6), name=f"impatient-{number}"),
                    asyncio.create_task(get(session, 0.6, ClientTimeout(total=5)), name=f"patient-{number}"),
                ]
                results = await asyncio.gather(*tasks, return_exceptions=True)
                print(", ".join(str(result).strip() or type(result).__name__ for result in results))
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    run(main, SAMPLE)
