"""Blocking calls in coroutines: `time.sleep`, and a socket that blocks until its server answers.

What you see: slow callbacks of `napper` and of `client` at two lines, although neither computes anything:
the busy time of a task is the time it keeps the loop, and the process uses hardly any CPU. `heartbeat` is
late.

The cure: an asynchronous API where there is one (`asyncio.sleep`, streams), else a thread
(`blocking_call_thread`).
"""

import asyncio
import socket
import threading
import time

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, SlowCallback

SAMPLE = Sample(
    name="blocking_call",
    topic="slowness",
    sentence="Two coroutines make calls that block: a sleep of 0.25 s and a socket that waits 0.2 s.",
    cure="blocking_call_thread",
    expectations=(
        SlowCallback(task="napper", line="sleeps", at_least=0.22, at_most=0.6, times=3),
        SlowCallback(task="client", line="receives", at_least=0.18, at_most=0.6, times=3),
        LoopLag(at_least=0.15),
    ),
)


def nap() -> None:
    """Sleep, and the thread with us."""
    time.sleep(0.25)  # expect: sleeps


def ask(address: tuple[str, int]) -> bytes:
    """Send a question to a server and block until the answer is there."""
    with socket.create_connection(address) as connection:
        connection.sendall(b"what time is it?\n")
        return connection.recv(100)  # expect: receives


def slow_server() -> tuple[str, int]:
    """Start a server on loopback, in a thread, that takes 0.2 s for an answer; returns its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                time.sleep(0.2)
                connection.sendall(time.ctime().encode())

    threading.Thread(target=serve, name="slow-server", daemon=True).start()
    address: tuple[str, int] = listener.getsockname()
    return address


async def napper() -> None:
    """Nap now and then."""
    while True:
        nap()
        await asyncio.sleep(0.4)


async def client(address: tuple[str, int]) -> None:
    """Ask now and then."""
    while True:
        ask(address)
        await asyncio.sleep(0.4)


async def main(_: Options) -> None:
    """Start the server, and those who block."""
    address = slow_server()
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(napper(), name="napper")
        group.create_task(client(address), name="client")


if __name__ == "__main__":
    run(main, SAMPLE)
