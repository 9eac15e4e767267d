"""The web server of `aiohttp_failing`, which answers without the service that is not there.

What you see: the same two routes and browsers, and no response with an error. The page of an order says what was known
last, until the service is back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sample_apps.aiohttp_failing import ask_stock, serve
from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, Utilization

if TYPE_CHECKING:
    from aiohttp import web

SAMPLE = Sample(
    name="aiohttp_fallback",
    topic="networks",
    sentence="A page answers with what was known last while a service that it asks is not there.",
    fix=None,
    expectations=(Utilization(at_most=0.6), NoSlowCallback(over=0.4), NoUnhandled(), NoFinding()),
    needs=("aiohttp", "aiohttp.web"),
    watch=5.0,
)


async def order(request: web.Request) -> web.Response:
    """A page that uses the service if it is there."""
    from aiohttp import web  # here, so that the catalogue can be read without it

    try:
        left = await ask_stock(request.match_info["id"])
    except ConnectionError:
        return web.Response(text="3 left an hour ago\n")
    return web.Response(text=f"{left} left\n")


async def main(_: Options) -> None:
    """Answer orders in any case."""
    await serve(order)


if __name__ == "__main__":
    run(main, SAMPLE)
