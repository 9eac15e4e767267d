"""A server that runs commands, and its client, both as Protocols: `data_received` is called, nothing awaits.

What you see: `command-*` tasks, each waiting on a future until the complete answer to its command has arrived;
on the server's side no task at all: a connection, the subprocess that it starts and the answer are callbacks
of two protocols.

A server that runs whatever it is sent is a security hole. This one only runs commands in its table, on loopback,
without a shell, and refuses anything else. (`ssh_commands` shows how to do it across a network.)
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
    sentence="Four tasks run commands on a server, and both sides are Protocols.",
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
    """A running command: collects its output, and sends it when the command has ended."""

    def __init__(self, connection: asyncio.WriteTransport) -> None:
        self.connection = connection
        self.output = bytearray()

    def pipe_data_received(self, _: int, data: bytes) -> None:
        """Keep the output of the process."""
        self.output += data

    def connection_lost(self, _: Exception | None) -> None:
        """Answer: the command has ended, and all its pipes are closed."""
        reply(self.connection, output=self.output.decode())


class Server(asyncio.Protocol):
    """A connection: splits its input into lines, each of which names a command."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.running: set[asyncio.Task[object]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Process received data, which may be half a line, or three."""
        self.received += data
        *lines, rest = self.received.split(b"\n")
        self.received = bytearray(rest)
        if len(rest) > LONGEST_LINE:
            self.transport.abort()
        for line in lines:
            self.start(line.decode(errors="replace"))

    def start(self, name: str) -> None:
        """Start the command of this name, if there is one."""
        if name not in COMMANDS:
            reply(self.transport, refused=f"there is no command {name!r}")
            return
        starting = asyncio.get_running_loop().subprocess_exec(
            lambda: Command(self.transport), *COMMANDS[name], stdin=None, stderr=None, start_new_session=True
        )
        task = asyncio.ensure_future(starting)  # starting one is a coroutine, so it takes a task
        task.set_name(f"start-{name}")
        self.running.add(task)
        task.add_done_callback(self.running.discard)


def reply(connection: asyncio.WriteTransport, **answer: str) -> None:
    """Send an answer, unless the connection has been closed."""
    if not connection.is_closing():
        connection.write(json.dumps(answer).encode() + b"\n")


# -- the client's side --


class Client(asyncio.Protocol):
    """Sends one command at a time, and resolves a future with its answer."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the commands."""
        self.transport = cast("asyncio.WriteTransport", transport)

    async def ask(self, command: str) -> str:
        """Run a command and return its output. Raises PermissionError when it is refused."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(command.encode() + b"\n")
        answer = json.loads(await self.answer)  # expect: waits
        if "refused" in answer:
            raise PermissionError(answer["refused"])
        return str(answer["output"])

    def data_received(self, data: bytes) -> None:
        """Collect received data until the line is complete."""
        self.received += data
        line, end, rest = self.received.partition(b"\n")
        if end and self.answer is not None and not self.answer.done():
            self.received = rest
            self.answer.set_result(bytes(line))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the pending command."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(exc or ConnectionResetError("the server has hung up"))


async def command(name: str, port: int) -> str:
    """Connect, run one command, disconnect."""
    transport, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    try:
        return await client.ask(name)  # expect: asks
    finally:
        transport.close()


async def main(options: Options) -> None:
    """Start the server, and run commands, four at a time."""
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
