"""What stands behind the events and futures of httpx, anyio and aiohttp."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import time
from typing import Any

import pytest

from probes.inspection import detail
from probes.inspection.awaiters import awaited_by
from probes.inspection.library_waits import held, wire
from probes.inspection.waits import Wait

anyio = pytest.importorskip("anyio")
httpx = pytest.importorskip("httpx")
aiohttp = pytest.importorskip("aiohttp")


async def seen(*names: str) -> dict[str, Wait]:
    """The waits of these tasks, once all of them wait in earnest."""
    tasks = {task.get_name(): task for task in asyncio.all_tasks()}
    found = {name: detail.wait_of(tasks[name]) for name in names}
    return {name: wait for name, wait in found.items() if wait is not None}


async def until(done: Any) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.01)


async def settled(*names: str) -> dict[str, Wait]:
    """The waits of these tasks, once they have stayed the same for ten turns of the loop."""
    looks: list[dict[str, tuple[str, str]]] = []

    async def look() -> dict[str, Wait]:
        found = await seen(*names)
        looks.append({name: (wait.kind, wait.text) for name, wait in found.items()})
        return found

    deadline = time.monotonic() + 60
    while True:
        found = await look()
        if len(found) == len(names) and looks[-10:] == [looks[-1]] * 10:
            return found
        assert time.monotonic() < deadline, looks[-1]
        await asyncio.sleep(0.01)


async def clients(port_of: Any) -> tuple[dict[str, Wait], int]:
    """Two requests of httpx and two of aiohttp to a server that never answers, with room for one connection each."""
    accepted: list[Any] = []

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        await asyncio.sleep(600)

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = port_of(server)
    url = f"http://127.0.0.1:{port}/"
    limits, no_time = httpx.Limits(max_connections=1), aiohttp.ClientTimeout(total=None)
    async with (
        httpx.AsyncClient(timeout=None, limits=limits) as first,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1), timeout=no_time) as second,
    ):

        async def get() -> None:
            await second.get(url)

        tasks = [asyncio.create_task(first.get(url), name=f"httpx-{number}") for number in (1, 2)]
        tasks += [asyncio.create_task(get(), name=f"aiohttp-{number}") for number in (1, 2)]
        await until(lambda: len(accepted) == 2)
        found = await settled("httpx-1", "httpx-2", "aiohttp-1", "aiohttp-2")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for writer in accepted:
        writer.transport.abort()
    return found, port


def test_clients_of_http_wait_for_a_socket_or_a_connection() -> None:
    found, port = asyncio.run(clients(lambda server: server.sockets[0].getsockname()[1]))
    assert {name: wait.kind for name, wait in found.items()} == {
        "httpx-1": "socket", "httpx-2": "pool", "aiohttp-1": "socket", "aiohttp-2": "pool",
    }  # fmt: skip
    assert found["httpx-1"].text.startswith("read fd ")
    assert found["httpx-1"].text.endswith(f" 127.0.0.1:{port}")
    assert found["httpx-2"].text == "httpcore: 1 of 1 connections, 1 queued"
    assert found["aiohttp-1"].text.endswith(f" 127.0.0.1:{port} (aiohttp)")
    assert found["aiohttp-2"].text == "aiohttp: 1 of 1 connections, 1 queued"


AWAKE = threading.Event()


def sleep() -> None:
    AWAKE.wait(60)


async def primitives() -> tuple[dict[str, Wait], dict[str, list[str]]]:
    lock, limiter, event = anyio.Lock(), anyio.CapacityLimiter(1), anyio.Event()
    semaphore = anyio.Semaphore(0)
    _kept, receiver = anyio.create_memory_object_stream(3)

    async def locks() -> None:
        async with lock:
            await anyio.sleep_forever()

    async def limits() -> None:
        async with limiter:
            await anyio.sleep_forever()

    async def host() -> None:
        async with anyio.create_task_group() as group:
            for name, work in works.items():
                group.start_soon(work, name=name)

    works = {
        "holder": locks, "lock": locks, "borrower": limits, "limiter": limits, "event": event.wait,
        "semaphore": semaphore.acquire, "stream": receiver.receive,
        "thread": lambda: anyio.to_thread.run_sync(sleep, abandon_on_cancel=True),
    }  # fmt: skip
    task = asyncio.create_task(host(), name="host")
    names = {*works, "host"}
    await until(lambda: names <= {task.get_name() for task in asyncio.all_tasks()})
    found = await settled(*names)
    callers = {task.get_name(): [one.get_name() for one in awaited_by(task)] for task in asyncio.all_tasks()}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    AWAKE.set()
    receiver.close()
    _kept.close()
    return found, callers


def test_primitives_of_anyio_are_called_by_their_names() -> None:
    found, callers = asyncio.run(primitives())
    assert {name: (wait.kind, wait.text) for name, wait in found.items()} == {
        "holder": ("sleep", "forever"),
        "lock": ("lock", "anyio Lock(held by holder, 1 waiting)"),
        "borrower": ("sleep", "forever"),
        "limiter": ("semaphore", "anyio CapacityLimiter(1 of 1 borrowed, 1 waiting)"),
        "event": ("event", "anyio Event(1 waiting)"),
        "semaphore": ("semaphore", "anyio Semaphore(value 0, 1 waiting)"),
        "stream": ("queue", "get anyio stream(0 of 3)"),
        "thread": ("executor", "anyio: sleep"),
        "host": ("gather", "anyio TaskGroup: 8 pending"),
    }
    assert len(found["host"].tasks) == 8
    assert callers["event"] == ["host"]


def test_no_code_of_the_program_is_run() -> None:
    from probes.inspection.library_waits import held

    class Odd:
        __slots__ = ("slot", "unset")

        def __init__(self) -> None:
            self.slot = 7

        @property
        def transport(self) -> Any:
            raise AssertionError("a property was run")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError("__getattr__ was run")

    odd = Odd()
    assert held(odd, "slot") == 7
    assert [held(odd, name) for name in ("unset", "transport", "missing")] == [None, None, None]


class Base:
    slotted: int
    __slots__ = ("__dict__", "__weakref__", "slotted")


class Thing(Base):
    kept = 3

    def __init__(self) -> None:
        self.slotted, self.own = 1, 2

    @property
    def computed(self) -> int:
        raise AssertionError("a property is code of the program")

    @functools.cached_property
    def cached(self) -> int:
        raise AssertionError("so is this")

    def __getattr__(self, name: str) -> int:
        raise AssertionError("and this")


def test_attributes_are_read_without_code_of_the_program() -> None:
    thing = Thing()
    assert [held(thing, name) for name in ("slotted", "own", "kept")] == [1, 2, 3]
    assert [held(thing, name) for name in ("computed", "cached", "missing")] == [None] * 3
    assert held(asyncio.Event(), "_value") is False


def test_reading_builds_no_dictionary() -> None:
    """An object whose dictionary was built is slower for the program from then on."""

    class Plain:
        def __init__(self) -> None:
            self.sock, self.other = [], ()

    thing = Plain()
    wire(thing)
    assert held(thing, "other") == ()
    assert not any(type(referent) is dict for referent in gc.get_referents(thing))
