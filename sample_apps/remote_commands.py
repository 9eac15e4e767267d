"""A server that runs commands, and its client, both as Protocols: `data_received` is called, nobody awaits.

What you see: `command-*` tasks, each waiting on a future until the whole answer to its command is there; on
the server's side no task at all: a connection, the subprocess that it starts and the answer are callbacks of
two protocols.

A server that runs what it is sent is a hole. This one runs what is in its table, on loopback only, with no
shell; what is not in the table is refused. (`ssh_commands` is how to do it across a network.)
"""

import asyncio
import itertools
import json
import random
import sys
from typing import cast

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization, Waiting

SAMPLE = Sample(
    name="remote_commands",
    topic="networks",
    sentence="Four tasks have commands run by a server, and both sides are Protocols.",
    fix=None,
    expectations=(
        Waiting(kind="future", task="command-*", at_least=1),
        AwaitStack(task="command-*", through=("asks", "waits")),
        TaskEnded(task="command-*", outcome="done", times=4),
        TaskEnded(task="command-*", outcome="failed", exception="PermissionError"),
        Utilization(at_most=0.3),
        NoSlowCallback(over=0.5),
        NoUnhandled(),
        NoFinding(),
    ),
)
PYTHON = (sys.executable, "-S", "-c")
COMMANDS = {
    "date": (*PYTHON, "import time; print(time.ctime())"),
    "system": (*PYTHON, "import sys; print(sys.platform)"),
    "count": (*PYTHON, "import time\nfor n in range(3): print(n, flush=True); time.sleep(0.1)"),
}
LONGEST_LINE = 1000  # bytes


# -- the server's side --


class Command(asyncio.SubprocessProtocol):
    """A command that runs: collects what it prints, and sends it when it has ended."""

    def __init__(self, connection: asyncio.WriteTransport) -> None:
        self.connection = connection
        self.output = bytearray()

    def pipe_data_received(self, _: int, data: bytes) -> None:
        """Keep what it has printed."""
        self.output += data

    def connection_lost(self, _: Exception | None) -> None:
        """Answer: it has ended, and all its pipes are closed."""
        reply(self.connection, output=self.output.decode())


class Server(asyncio.Protocol):
    """A connection: cuts what comes into lines, each of which names a command."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.running: set[asyncio.Task[object]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what has come, which may be half a line, or three."""
        self.received += data
        *lines, rest = self.received.split(b"\n")
        self.received = bytearray(rest)
        if len(rest) > LONGEST_LINE:
            self.transport.abort()
        for line in lines:
            self.start(line.decode(errors="replace"))

    def start(self, name: str) -> None:
        """Start a command, if there is one of this name."""
        if name not in COMMANDS:
            reply(self.transport, refused=f"there is no command {name!r}")
            return
        starting = asyncio.get_running_loop().subprocess_exec(
            lambda: Command(self.transport), *COMMANDS[name], stdin=None, stderr=None, start_new_session=True
        )
        task = asyncio.ensure_future(starting)  # starting one is a coroutine, so it takes a task after all
        task.set_name(f"start-{name}")
        self.running.add(task)
        task.add_done_callback(self.running.discard)


def reply(connection: asyncio.WriteTransport, **answer: str) -> None:
    """Send an answer, unless the other side has hung up."""
    if not connection.is_closing():
        connection.write(json.dumps(answer).encode() + b"\n")


# -- the client's side --


class Client(asyncio.Protocol):
    """Sends one command at a time, and resolves a future when the answer is there."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to ask."""
        self.transport = cast("asyncio.WriteTransport", transport)

    async def ask(self, command: str) -> str:
        """Have a command run, and return what it printed. Raises PermissionError when it is refused."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(command.encode() + b"\n")
        answer = json.loads(await self.answer)  # expect: waits
        if "refused" in answer:
            raise PermissionError(answer["refused"])
        return str(answer["output"])

    def data_received(self, data: bytes) -> None:
        """Take what has come, until it is a whole line."""
        self.received += data
        line, end, rest = self.received.partition(b"\n")
        if end and self.answer is not None and not self.answer.done():
            self.received = rest
            self.answer.set_result(bytes(line))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the one who waits."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("the server has hung up"))


async def command(name: str, port: int) -> str:
    """Connect, have one command run, hang up."""
    transport, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    try:
        return await client.ask(name)  # expect: asks
    finally:
        transport.close()


async def main(options: Options) -> None:
    """Start the server, and have commands run, four at a time."""
    rng = random.Random(options.seed)
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for round_ in itertools.count(1):
            names = [*rng.choices(list(COMMANDS), k=3), "format the disk"]
            tasks = [asyncio.create_task(command(name, port), name=f"command-{name}-{round_}") for name in names]
            for answer in await asyncio.gather(*tasks, return_exceptions=True):
                print(str(answer).split("\n", 1)[0])
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    run(main, SAMPLE)
