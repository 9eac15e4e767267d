"""Remote procedure calls over TCP: one line of JSON for each call, and one for its answer.

What you see: `caller-*` tasks that each wait on a future until their call has been answered; one
`reader` that waits on the socket for all of them, `connection-*` on the other side, and short `call-*` tasks,
one for each call, so that a slow call does not delay a fast one: answers may arrive in another order than the
calls, and are matched by number.

JSON, never pickle: anyone who can send you a pickle can run code in your process. Methods are looked up in
a table, never by name in a module. A call that fails remotely raises `RemoteError` locally. When the
connection is lost, all pending calls fail instead of waiting forever (`rpc_forgotten` omits that).
"""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization, Waiting

SAMPLE = Sample(
    name="rpc_json",
    topic="communication",
    sentence="Five tasks call procedures of a server, over one connection, as lines of JSON.",
    fix=None,
    expectations=(
        Waiting(kind="future", task="caller-*", at_least=1),
        Waiting(kind="socket", task="reader", at_least=1),
        AwaitStack(task="caller-*", through=("calls", "awaits-the-answer")),
        TaskEnded(task="call-*", outcome="done", times=10),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
)
LONGEST_LINE = 64 * 1024  # bytes; a longer one ends the connection


class RemoteError(Exception):
    """The call failed on the other side; the message says how."""


# -- the server's side --


async def add(numbers: list[float]) -> float:
    """Return the sum of the numbers."""
    return sum(numbers)


async def divide(dividend: float, divisor: float) -> float:
    """Divide, which takes its time."""
    await asyncio.sleep(0.3)
    return dividend / divisor


METHODS: dict[str, Callable[..., Awaitable[Any]]] = {"add": add, "divide": divide}


async def answer(line: bytes, writer: asyncio.StreamWriter) -> None:
    """Do what a line asks for, and write the answer, which has the number of the question."""
    number = None
    reply: dict[str, Any]
    try:
        call = json.loads(line)
        number = call["id"]
        reply = {"id": number, "result": await METHODS[call["method"]](**call["arguments"])}
    except Exception as error:
        reply = {"id": number, "error": f"{type(error).__name__}: {error}"}
    writer.write(json.dumps(reply).encode() + b"\n")
    with contextlib.suppress(ConnectionError):  # nobody is left who wants to know
        await writer.drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the calls of a connection, each in a task of its own."""
    with contextlib.suppress(ConnectionError, ValueError), contextlib.closing(writer):
        async with asyncio.TaskGroup() as calls:
            for number in itertools.count():
                line = await reader.readline()
                if not line:
                    break
                calls.create_task(answer(line, writer), name=f"call-{number}")


# -- the caller's side --


class Client:
    """One connection that many tasks call over at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def call(self, method: str, **arguments: object) -> Any:
        """Call a method over there. Raises RemoteError when it fails, ConnectionError when the connection does."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({"id": number, "method": method, "arguments": arguments}).encode() + b"\n")
        try:
            return await future  # expect: awaits-the-answer
        finally:
            del self._waiting[number]

    async def read(self) -> None:
        """Hand answers to those who wait for them, until the connection ends; then tell those who still wait."""
        while line := await self._reader.readline():
            reply = json.loads(line)
            future = self._waiting.get(reply["id"])
            if future is None or future.done():
                continue
            if "error" in reply:
                future.set_exception(RemoteError(reply["error"]))
            else:
                future.set_result(reply["result"])
        self.lost()

    def lost(self) -> None:
        """Tell those who wait that no answer will come."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the server is gone"))


async def caller(client: Client, rng: random.Random) -> None:
    """Call one method after the other; one in five calls fails."""
    while True:
        try:
            if rng.random() < 0.5:
                await client.call("add", numbers=[rng.random() for _ in range(3)])
            else:
                await client.call("divide", dividend=1, divisor=rng.choice((0, 1, 2, 4, 8)))  # expect: calls
        except RemoteError as error:
            print(error)
        await asyncio.sleep(rng.uniform(0.05, 0.15))


async def connect(new_client: type[Client], group: asyncio.TaskGroup) -> tuple[Client, asyncio.StreamWriter]:
    """Start a server and connect to it; returns the client, which reads already, and the way to hang up."""

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        group.create_task(serve(reader, writer), name=f"connection-{writer.get_extra_info('peername')[1]}")

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=LONGEST_LINE)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=LONGEST_LINE)
    server.close()  # it has who it waited for
    client = new_client(reader, writer)
    group.create_task(client.read(), name="reader")
    return client, writer


async def main(options: Options) -> None:
    """Start the server, connect to it, and call."""
    rng = random.Random(options.seed)
    async with asyncio.TaskGroup() as group:
        client, writer = await connect(Client, group)
        try:
            async with asyncio.TaskGroup() as callers:
                for number in range(5):
                    callers.create_task(caller(client, rng), name=f"caller-{number}")
        finally:
            writer.close()


if __name__ == "__main__":
    run(main, SAMPLE)
