"""Makes requests late in twelve ways, round after round, until it is killed. Each cause stands on a marked line.

Run as `late_requests.py [asyncio|uvloop] [KIND…]`. The task of a request is called KIND:NUMBER.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
import time
from functools import partial

LATE = 0.04


def spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def blocks() -> None:
    await asyncio.sleep(0.004)
    time.sleep(LATE)  # blocking


async def blocking() -> None:
    other = asyncio.create_task(blocks())
    await asyncio.sleep(0.01)
    await other


async def small() -> None:  # many
    spin(0.0004)


async def many() -> None:
    others = [asyncio.create_task(small()) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.gather(*others)


async def holds(lock: asyncio.Lock) -> None:
    await lock.acquire()
    await asyncio.sleep(LATE)  # lock_held
    lock.release()  # lock


async def lock() -> None:
    shared = asyncio.Lock()
    other = asyncio.create_task(holds(shared))
    await asyncio.sleep(0)
    await shared.acquire()
    await other


async def takes(places: asyncio.Semaphore) -> None:
    await places.acquire()
    await asyncio.sleep(LATE)  # semaphore_held
    places.release()  # semaphore


async def semaphore() -> None:
    places = asyncio.Semaphore(1)
    other = asyncio.create_task(takes(places))
    await asyncio.sleep(0)
    await places.acquire()
    await other


async def produces(items: asyncio.Queue[int]) -> None:
    await asyncio.sleep(LATE)
    await items.put(1)  # queue


async def queue() -> None:
    items: asyncio.Queue[int] = asyncio.Queue()
    other = asyncio.create_task(produces(items))
    await items.get()
    await other


class Pool:
    """Connections that are handed out."""

    def __init__(self) -> None:
        self.free: asyncio.Queue[str] = asyncio.Queue()
        self.free.put_nowait("connection")

    async def acquire(self) -> str:
        return await self.free.get()

    def release(self, connection: str) -> None:
        self.free.put_nowait(connection)  # pool


async def uses(connections: Pool) -> None:
    connection = await connections.acquire()
    await asyncio.sleep(LATE)  # pool_held
    connections.release(connection)


async def pool() -> None:
    connections = Pool()
    other = asyncio.create_task(uses(connections))
    await asyncio.sleep(0)
    connections.release(await connections.acquire())
    await other


async def cpu() -> None:
    spin(LATE)  # cpu


async def collects() -> None:
    gc.collect()


async def collection() -> None:
    other = asyncio.create_task(collects())  # collection
    await asyncio.sleep(0)
    await other


async def executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, LATE)  # executor


def resolve(*_: object, **__: object) -> list[object]:
    time.sleep(LATE)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))]


async def dns() -> None:
    loop = asyncio.get_running_loop()
    resolver = loop.getaddrinfo if "uvloop" not in sys.argv else partial(loop.run_in_executor, None, resolve)
    await resolver("example.org", 1)  # dns


def answers(server: socket.socket) -> None:
    while server.recv(1):
        time.sleep(LATE)
        server.send(b"x")


async def peer() -> None:
    reader, writer = streams[0]
    writer.write(b"?")
    await reader.read(1)  # peer


async def cleans_up(done: asyncio.Event) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(LATE)
        done.set()  # cancelled


async def cancelled() -> None:
    done = asyncio.Event()
    other = asyncio.create_task(cleans_up(done))
    await asyncio.sleep(0)
    other.cancel()
    await done.wait()


KINDS = (blocking, many, lock, semaphore, queue, pool, cpu, collection, executor, dns, peer, cancelled)
streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
ballast = [[number] for number in range(1_200_000)]


async def main(kinds: list[str]) -> None:
    gc.disable()
    socket.getaddrinfo = resolve  # uvloop calls the one of C: there a thread resolves, as in libraries
    ours, theirs = socket.socketpair()
    threading.Thread(target=answers, args=(theirs,), daemon=True).start()
    streams.append(await asyncio.open_connection(sock=ours))
    print("ready", flush=True)
    number = 0
    while True:
        for kind in KINDS:
            if not kinds or kind.__name__ in kinds:
                number += 1
                await asyncio.create_task(kind(), name=f"{kind.__name__}:{number}")
                await asyncio.sleep(0.002)


if __name__ == "__main__":
    chosen = [name for name in sys.argv[1:] if name not in ("asyncio", "uvloop")]
    if "uvloop" in sys.argv[1:]:
        import uvloop

        uvloop.run(main(chosen))
    else:
        asyncio.run(main(chosen))
