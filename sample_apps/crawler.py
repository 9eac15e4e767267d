"""A crawler as an async generator, over a built-in site of 10,000 pages.

What you see: `reader`, which takes one page after another from the generator (`async for page in crawl(…)`), and
eight `fetch-*` workers inside it, which get a page, put it into a queue, and rest briefly for politeness. The
queue is bounded: when the reader is slow, the workers wait, and a site of any size takes the same memory. If the
reader stops early, `aclose` ends the workers. The server is `http_protocol`, in the same loop.
"""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncGenerator

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.http_protocol import Browser, HttpServer
from sample_apps.vocabulary import AwaitStack, Child, NoFinding, NoSlowCallback, NoUnhandled, StepRate, Tasks, Waiting

SAMPLE = Sample(
    name="crawler",
    topic="networks",
    sentence="An async generator crawls a site of 10,000 pages with eight workers.",
    fix=None,
    expectations=(
        Tasks(task="fetch-*", at_least=8, at_most=8),
        Waiting(kind="queue", task="reader", at_least=1),
        Waiting(kind="sleep", task="fetch-*", at_least=1),
        StepRate(task="fetch-*", at_least=20),
        AwaitStack(task="reader", through=("reads", "yields")),
        Child(task="fetch-*", parent="reader"),
        NoSlowCallback(over=0.3),
        NoUnhandled(),
        NoFinding(),
    ),
)
PAGES = 10_000
WORKERS = 8
POLITE = 0.005  # seconds between two requests of a worker
LINK = re.compile(r'href="(/page/\d+)"')


def site(path: str) -> str | None:
    """A page, with links to ten others."""
    number = path.removeprefix("/page/")
    if not number.isdigit() or int(number) >= PAGES:
        return None
    rng = random.Random(int(number))
    links = [(int(number) + 1) % PAGES, *(rng.randrange(PAGES) for _ in range(9))]
    return f"<h1>Page {number}</h1>" + "".join(f'<a href="/page/{link}">{link}</a>\n' for link in links)


async def crawl(port: int, start: str) -> AsyncGenerator[str, None]:
    """Yield every page that can be reached from the first, each once."""
    seen = {start}
    ahead: asyncio.Queue[str] = asyncio.Queue()  # never more than the site has pages
    ahead.put_nowait(start)
    fetched: asyncio.Queue[str] = asyncio.Queue(maxsize=WORKERS)

    async def fetch() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer):
            browser = Browser(reader, writer)
            while True:
                page = await browser.get(await ahead.get())
                for link in LINK.findall(page):
                    if link not in seen:
                        seen.add(link)
                        ahead.put_nowait(link)
                await fetched.put(page)
                await asyncio.sleep(POLITE)

    workers = [asyncio.create_task(fetch(), name=f"fetch-{number}") for number in range(WORKERS)]
    yielded = 0
    try:
        while yielded < len(seen):  # what was seen is fetched, or will be
            yield await fetched.get()  # expect: yields
            yielded += 1
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def read(port: int) -> None:
    """Read the pages of the site."""
    characters = pages = 0
    async with contextlib.aclosing(crawl(port, "/page/0")) as crawled:
        async for page in crawled:  # expect: reads
            pages += 1
            characters += len(page)
            if pages % 1000 == 0:
                print(f"{pages} pages, {characters} characters")


async def main(_: Options) -> None:
    """Start the site, and crawl it again and again."""
    server = await asyncio.get_running_loop().create_server(lambda: HttpServer(site), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        while True:
            await asyncio.create_task(read(port), name="reader")


if __name__ == "__main__":
    run(main, SAMPLE)
