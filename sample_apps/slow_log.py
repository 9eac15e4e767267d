"""Logging to a slow handler: every line is sent to a log server, which takes 0.15 s to acknowledge it.

What you see: slow callbacks of `request-*` at the line that logs. It looks like the most harmless line of the
handler; the rest of the stack shows `logging`, and at its end the socket that it waits for. `heartbeat` is
late whenever a line is logged.

The fix: loggers put the line into a queue, and a thread passes it to the slow handler (`slow_log_queue`).
"""

import asyncio
import itertools
import logging
import random
import socket
import threading
import time

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, LoopLag, SlowCallback, TaskEnded

SAMPLE = Sample(
    name="slow_log",
    topic="slowness",
    sentence="Every log line waits for a server that takes 0.15 s, and the whole loop waits with it.",
    fix="slow_log_queue",
    expectations=(
        SlowCallback(task="request-*", line="logs", at_least=0.13, at_most=0.6, times=3),
        SlowCallback(task="request-*", line="waits", at_least=0.13, at_most=0.6, times=3),
        TaskEnded(task="request-*", outcome="done", times=3),
        LoopLag(at_least=0.1),
        Finding("loop_blocked", task="request-*", line="waits"),
    ),
)
log = logging.getLogger(__name__)


class ServerHandler(logging.Handler):
    """Sends each line to a log server, and waits for the acknowledgement."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self.connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        """Send the line, and wait for the acknowledgement."""
        self.connection.sendall(self.format(record).encode() + b"\n")
        self.connection.recv(1)  # expect: waits


def log_server() -> socket.socket:
    """Start a server in a thread that takes 0.15 s per line; returns the connection to it."""
    here, there = socket.socketpair()

    def serve() -> None:
        while there.recv(10_000):
            time.sleep(0.15)
            there.sendall(b".")

    threading.Thread(target=serve, name="log-server", daemon=True).start()
    return here


async def handle(number: int, rng: random.Random) -> None:
    """Handle a request and log it."""
    await asyncio.sleep(rng.uniform(0.05, 0.1))
    log.info("request %d: done", number)  # expect: logs


async def requests(rng: random.Random) -> None:
    """Take about three requests a second."""
    log.setLevel(logging.INFO)
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        for number in itertools.count(1):
            group.create_task(handle(number, rng), name=f"request-{number}")
            await asyncio.sleep(rng.uniform(0.25, 0.35))


async def main(options: Options) -> None:
    """Log to the server, and take requests."""
    log.addHandler(ServerHandler(log_server()))
    await requests(random.Random(options.seed))


if __name__ == "__main__":
    run(main, SAMPLE)
