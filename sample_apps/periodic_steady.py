"""A periodic job that does not drift: it sleeps until the next time it is due.

What you see: `metronome` ticks five times a second, however long its work takes. This one is a background job of an
aiohttp server: created in `on_startup`, cancelled and awaited in `on_cleanup`. (Needs aiohttp.)

This is the fix for `periodic_drifting`.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.periodic_drifting import PERIOD, work
from sample_apps.vocabulary import NoFinding, NoSlowCallback, StepRate, Waiting

if TYPE_CHECKING:
    from aiohttp import web

SAMPLE = Sample(
    name="periodic_steady",
    topic="loops",
    sentence="A background job of an aiohttp server ticks five times a second and does not drift.",
    fix=None,
    expectations=(
        StepRate(task="metronome", at_least=8, at_most=16),
        Waiting(kind="sleep", task="metronome", at_least=1),
        NoSlowCallback(over=0.3),
        NoFinding(),
    ),
    needs=("aiohttp", "aiohttp.web"),
)


async def metronome() -> None:
    """Work, and rest until the next beat."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for beat in itertools.count(1):
        await work()
        print(f"tick {beat}, {loop.time() - start - beat * PERIOD:.2f} s late")
        await asyncio.sleep(start + beat * PERIOD - loop.time())


def in_background(app: web.Application) -> None:
    """Have the job start with the server and end with it."""
    jobs: list[asyncio.Task[None]] = []

    async def start(_: web.Application) -> None:
        jobs.append(asyncio.create_task(metronome(), name="metronome"))

    async def end(_: web.Application) -> None:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    app.on_startup.append(start)
    app.on_cleanup.append(end)


async def main(_: Options) -> None:
    """Serve, with a job in the background."""
    from aiohttp import web

    app = web.Application()
    in_background(app)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    run(main, SAMPLE)
