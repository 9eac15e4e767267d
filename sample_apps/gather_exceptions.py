"""`asyncio.gather` with `return_exceptions=True`: all results are awaited, and exceptions are among them.

What you see: `check-*` tasks that fail, and `round-*` tasks that are done nonetheless, as late as the slowest
check; there is no unhandled exception.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoTaskEnded, NoUnhandled, TaskEnded, Waiting

SAMPLE = Sample(
    name="gather_exceptions",
    topic="tasks",
    sentence="Four checks are gathered with their exceptions, so that one that fails does not end the round.",
    fix=None,
    expectations=(
        TaskEnded(task="check-*", outcome="failed", exception="ConnectionError", times=3),
        TaskEnded(task="check-*", outcome="done", times=9),
        TaskEnded(task="round-*", outcome="done", at_least=0.4, times=3),
        NoTaskEnded(task="round-*", outcome="failed"),
        Waiting(kind="gather", task="round-*", at_least=1),
        NoUnhandled(),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def check(host: int) -> str:
    """See whether a host is up; one of four is not."""
    await asyncio.sleep(0.1 + host * 0.1)
    if host == 1:
        raise ConnectionError(f"host {host} is down")
    return f"host {host} is up"


async def check_all() -> list[str | BaseException]:
    """Check all hosts at once."""
    checks = [asyncio.create_task(check(host), name=f"check-{host}") for host in range(4)]
    return await asyncio.gather(*checks, return_exceptions=True)


async def main(_: Options) -> None:
    """One round after the other."""
    for number in itertools.count():
        found = await asyncio.create_task(check_all(), name=f"round-{number}")
        print("; ".join(str(one) for one in found))


if __name__ == "__main__":
    run(main, SAMPLE)
