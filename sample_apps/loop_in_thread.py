"""A loop in a second thread: the first asks, the second answers, and neither waits for the other's tasks.

What you see: two loops, each with its own tasks. `asker-*` live in the first and wait for futures that are
resolved in the second, where an `answer` task runs for each.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, Loops, NoFinding, NoSlowCallback, Tasks

SAMPLE = Sample(
    name="loop_in_thread",
    topic="loops",
    sentence="A second thread has its own event loop, and answers questions from the first.",
    fix=None,
    expectations=(
        Loops(at_least=2, at_most=2),
        Tasks(task="asker-*", at_least=3, at_most=3),
        AwaitStack(task="asker-*", through=("asks",)),
        Tasks(site="answers", at_least=2),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def answer(question: int) -> int:
    """Compute the answer, in the other loop."""
    thinking = asyncio.create_task(asyncio.sleep(0.2, question * 2), name="thinking")  # expect: answers
    return await thinking


async def asker(question: int, elsewhere: asyncio.AbstractEventLoop) -> None:
    """Ask the other loop, and wait in this one."""
    while True:
        found = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer(question), elsewhere))  # expect: asks
        print(f"twice {question} is {found}")


@contextlib.contextmanager
def another_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in its own thread, stopped with all its tasks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="answers", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(finish(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def finish() -> None:
    """Cancel the other tasks of this loop, and wait for them."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def main(_: Options) -> None:
    """Start the other loop, and ask."""
    with another_loop() as elsewhere:
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(asker(number, elsewhere), name=f"asker-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
