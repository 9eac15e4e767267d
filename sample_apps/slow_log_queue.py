"""Logging through a queue: the requests of `slow_log`, whose lines are passed to the slow server by a thread.

What you see: no slow callback, and a `heartbeat` that is on time. `QueueHandler` puts the line into a queue,
which takes microseconds; `QueueListener` has a thread that waits for the server. At the end the listener is
stopped, which writes the remaining lines.
"""

import asyncio
import logging
import logging.handlers
import queue
import random

from sample_apps import slow_log
from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, NoFinding, NoSlowCallback, TaskEnded, Utilization

SAMPLE = Sample(
    name="slow_log_queue",
    topic="slowness",
    sentence="A thread waits for the slow log server, and the loop does not.",
    fix=None,
    expectations=(
        NoSlowCallback(),
        TaskEnded(task="request-*", outcome="done", times=5),
        Utilization(at_most=0.1),
        LoopLag(at_most=0.3),
        NoFinding(),
    ),
)


async def main(options: Options) -> None:
    """Log to a queue, which a listener reads, and take requests."""
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(lines, slow_log.ServerHandler(slow_log.log_server()))
    listener.start()
    slow_log.log.addHandler(logging.handlers.QueueHandler(lines))
    try:
        await slow_log.requests(random.Random(options.seed))
    finally:
        await asyncio.to_thread(listener.stop)


if __name__ == "__main__":
    run(main, SAMPLE)
