"""A cache without a bound: every page is kept forever, under a key that never recurs.

What you see: memory grows by a megabyte or more a second, all of it allocated at the line that renders, and hardly
any cache lookup succeeds: each key contains the number of its visitor. Nothing is slow; a cache makes
things fast, until there is no memory left.

The fix: a bound (`cache_bounded`), and a key without the part that always differs.
"""

import asyncio
import functools
import random
from collections.abc import Callable

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, MemoryGrowth, NoSlowCallback, Utilization

SAMPLE = Sample(
    name="cache_unbounded",
    topic="memory",
    sentence="A cache keeps the page of every visitor forever.",
    fix="cache_bounded",
    expectations=(
        MemoryGrowth(line="renders", at_least=500_000),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        Finding("memory_growing"),
    ),
    watch=19.0,  # memory must grow for 15 s
)
VISITORS = 2000  # a sample may be left running


def page(address: str) -> str:
    """Render a page of about 50 kB."""
    return f"<h1>Welcome, {address}</h1>" * 1500  # expect: renders


cached_page = functools.cache(page)  # the same as lru_cache(maxsize=None)


async def visits(render: Callable[[str], str], rng: random.Random) -> None:
    """Show a page to about forty visitors a second."""
    for number in range(VISITORS):
        render(f"/home?visitor={number}")
        if number % 40 == 0:
            print(f"{number + 1} visitors were shown their page")
        await asyncio.sleep(rng.uniform(0.02, 0.03))
    await asyncio.Event().wait()


async def main(options: Options) -> None:
    """Show pages, all of which are remembered."""
    await asyncio.create_task(visits(cached_page, random.Random(options.seed)), name="visits")


if __name__ == "__main__":
    run(main, SAMPLE)
