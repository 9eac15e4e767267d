"""A bounded cache: the pages of `cache_unbounded`, of which only the eight most recently used are kept.

What you see: memory grows for a moment and then stays constant.
"""

import asyncio
import functools
import random

from sample_apps.cache_unbounded import page, visits
from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import MemoryGrowth, NoFinding, NoSlowCallback, Utilization

SAMPLE = Sample(
    name="cache_bounded",
    topic="memory",
    sentence="A cache keeps the eight most recently used pages.",
    fix=None,
    expectations=(
        MemoryGrowth(at_most=400_000),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoFinding(),
    ),
)
cached_page = functools.lru_cache(maxsize=8)(page)


async def main(options: Options) -> None:
    """Render pages and cache a few of them."""
    await asyncio.create_task(visits(cached_page, random.Random(options.seed)), name="visits")


if __name__ == "__main__":
    run(main, SAMPLE)
