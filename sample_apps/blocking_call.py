"""Blocking calls in coroutines: a sleep, a socket, a file and a name server, all of them slow.

What you see: slow callbacks of `napper`, `client`, `reader` and `resolver` at four lines, although none of
them computes anything: the busy time of a task is the time for which it occupies the loop, and the process
uses hardly any CPU. `heartbeat` is late. (The file is a named pipe with a slow writer, like a network drive;
the name server is on loopback. `socket.getaddrinfo`, and therefore `requests.get`, does what `resolve` does.)

The fix: an asynchronous API if there is one (`asyncio.sleep`, streams, `loop.getaddrinfo`), else a thread
(`blocking_call_thread`).
"""

import asyncio
import os
import socket
import struct
import tempfile
import threading
import time
from pathlib import Path

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, LoopLag, SlowBecause, SlowCallback

SAMPLE = Sample(
    name="blocking_call",
    topic="slowness",
    sentence="Coroutines make calls that block for 0.2 s and more: a sleep, a socket, a file and a name server.",
    fix="blocking_call_thread",
    expectations=(
        SlowCallback(task="napper", line="sleeps", at_least=0.22, at_most=0.6, times=2),
        SlowCallback(task="client", line="receives", at_least=0.18, at_most=0.6, times=2),
        SlowCallback(task="reader", line="reads", at_least=0.18, at_most=0.6, times=2),
        SlowCallback(task="resolver", line="resolves", at_least=0.18, at_most=0.6, times=2),
        SlowBecause(line="sleeps", reason="io", at_least=0.8),
        SlowBecause(line="receives", reason="io", at_least=0.8),
        LoopLag(at_least=0.15),
        Finding("loop_blocked", task="napper", line="sleeps"),
        Finding("loop_blocked", task="client", line="receives"),
        Finding("loop_blocked", task="reader", line="reads"),
        Finding("loop_blocked", task="resolver", line="resolves"),
    ),
    watch=4.0,
)
Address = tuple[str, int]


# -- slow services, each in its own thread --


def slow_server() -> Address:
    """Start a server on loopback that takes 0.2 s for an answer; returns its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                time.sleep(0.2)
                connection.sendall(time.ctime().encode())

    threading.Thread(target=serve, name="slow-server", daemon=True).start()
    address: Address = listener.getsockname()
    return address


def slow_file(folder: Path) -> Path:
    """Create a file that takes 0.2 s to read; returns its path."""
    path = folder / f"config-{time.monotonic_ns()}"
    os.mkfifo(path)

    def write() -> None:
        with path.open("w") as file:  # blocks until a reader opens it
            time.sleep(0.2)
            file.write("colour = blue\n")

    threading.Thread(target=write, name="slow-drive", daemon=True).start()
    return path


def slow_name_server() -> Address:
    """Start a name server on loopback that takes 0.2 s and knows one address for all names; returns its own address."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            query, asker = server.recvfrom(512)
            time.sleep(0.2)
            head = query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0)
            answer = struct.pack("!HHHLH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton("127.0.0.1")
            server.sendto(head + query[12:] + answer, asker)

    threading.Thread(target=serve, name="name-server", daemon=True).start()
    address: Address = server.getsockname()
    return address


# -- calls that block --


def nap() -> None:
    """Sleep, and block the thread."""
    time.sleep(0.25)  # expect: sleeps


def ask(address: Address) -> bytes:
    """Send a question to a server and block until the answer arrives."""
    with socket.create_connection(address) as connection:
        connection.sendall(b"what time is it?\n")
        return connection.recv(100)  # expect: receives


def read_config(folder: Path) -> str:
    """Read a file from a slow drive."""
    path = slow_file(folder)
    text = path.read_text()  # expect: reads
    path.unlink()
    return text


def resolve(name: str, server: Address) -> str:
    """Ask a name server for the address of a name and block until the answer arrives."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(struct.pack("!6H", 17, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 1, 1), server)
        return socket.inet_ntoa(sock.recv(512)[-4:])  # expect: resolves


# -- the tasks that make them --


async def napper() -> None:
    """Nap now and then."""
    while True:
        nap()
        await asyncio.sleep(0.4)


async def client(address: Address) -> None:
    """Ask now and then."""
    while True:
        ask(address)
        await asyncio.sleep(0.4)


async def reader(folder: Path) -> None:
    """Read the configuration now and then."""
    while True:
        read_config(folder)
        await asyncio.sleep(0.4)


async def resolver(server: Address) -> None:
    """Resolve a name now and then."""
    while True:
        resolve("www.example.org", server)
        await asyncio.sleep(0.4)


async def main(_: Options) -> None:
    """Start the slow services and the tasks that block on them."""
    with tempfile.TemporaryDirectory() as folder:
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat(), name="heartbeat")
            group.create_task(napper(), name="napper")
            group.create_task(client(slow_server()), name="client")
            group.create_task(reader(Path(folder)), name="reader")
            group.create_task(resolver(slow_name_server()), name="resolver")


if __name__ == "__main__":
    run(main, SAMPLE)
