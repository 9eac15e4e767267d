"""A connection limit that is reached: the fetches of `aiohttp_connections`, with ten connections for the hundred.

What you see: a hundred `fetch-*` tasks again, of which ten wait for the server and ninety wait on a future of
the connection pool; their ages differ: some are done after half a second, the last after five. The server is
not slow, the loop is not busy, and still everything takes ten times as long. aiohttp's default limit is 100 (and
a request to a hanging server holds a connection until its timeout).

The fix: a suitable limit (`aiohttp_connections`), and a timeout for requests that hang (`aiohttp_timeouts`).
"""

from sample_apps.aiohttp_connections import rounds
from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import (
    NoSlowCallback,
    NotSeenYet,
    NoUnhandled,
    TaskEnded,
    Tasks,
    Utilization,
    Waiting,
)

SAMPLE = Sample(
    name="aiohttp_limit",
    topic="networks",
    sentence="A hundred pages are fetched over ten connections, and ninety tasks wait for one of them.",
    fix="aiohttp_connections",
    expectations=(
        Tasks(task="fetch-*", at_least=90),
        Waiting(kind="future", task="fetch-*", at_least=1),
        TaskEnded(task="fetch-*", outcome="done", times=10, at_least=1.4),
        NotSeenYet(
            "90 of fetch-* wait for one connection pool",
            because="aiohttp creates a future for each, which does not reveal its purpose",
        ),
        Utilization(at_most=0.5),
        NoSlowCallback(over=0.4),
        NoUnhandled(),
    ),
    needs=("aiohttp", "aiohttp.web"),
    watch=4.0,
)


async def main(_: Options) -> None:
    """Fetch over ten connections."""
    await rounds(limit=10)


if __name__ == "__main__":
    run(main, SAMPLE)
