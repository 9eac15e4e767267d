"""An HTTP server as a Protocol: bytes come in, a request is cut out of them, an answer goes out. No task, no stream.

What you see: `browser-*` tasks that wait on their sockets for answers, and nothing on the server's side but
callbacks: some hundred requests a second, and the list of tasks shows none of it. The connections stay open
(`keep-alive`), and a request that comes in two pieces, or two that come in one, are cut right; what is no
HTTP is answered with 400 and hung up on.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import cast

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, StepRate, Tasks, Utilization, Waiting

SAMPLE = Sample(
    name="http_protocol",
    topic="networks",
    sentence="A web server of callbacks answers the requests of six browsers.",
    fix=None,
    expectations=(
        Waiting(kind="sleep", task="browser-*", at_least=1),
        Tasks(task="browser-*", at_least=6),
        Tasks(at_most=7),
        StepRate(task="browser-*", at_least=5),
        Utilization(at_most=0.4),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
)
LONGEST_HEAD = 16 * 1024  # bytes
Site = Callable[[str], str | None]  # the page of a path, or None where there is none


class HttpServer(asyncio.Protocol):
    """One connection of a browser."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what has come, which may be half a request, or three."""
        self.received += data
        while not self.transport.is_closing():
            head, end, rest = self.received.partition(b"\r\n\r\n")
            if not end:
                break
            self.received = rest
            self.request(head.decode("latin-1"))
        if len(self.received) > LONGEST_HEAD:
            self.answer("431 Request Header Fields Too Large", "too long", close=True)

    def request(self, head: str) -> None:
        """Answer one request, of which the head is all there is: a GET has no body."""
        method, _, rest = head.partition(" ")
        path, _, version = rest.partition("\r\n")[0].partition(" ")
        if not version.startswith("HTTP/1."):
            self.answer("400 Bad Request", "this is no HTTP", close=True)
        elif method != "GET":
            self.answer("405 Method Not Allowed", "only GET is allowed", close=True)
        else:
            page = self.site(path)
            close = "\r\nconnection: close" in head.lower()
            self.answer(*(("404 Not Found", "no such page") if page is None else ("200 OK", page)), close=close)

    def answer(self, status: str, page: str, close: bool) -> None:
        """Send a page; hang up after it when told to."""
        body = page.encode()
        connection = "close" if close else "keep-alive"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: {connection}\r\n\r\n"
        self.transport.write(head.encode() + body)
        if close:
            self.transport.close()


class Browser:
    """A connection to an HTTP server, for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def get(self, path: str) -> str:
        """Get a page. Raises LookupError when there is none."""
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0])
        body = (await self.reader.readexactly(length)).decode()
        if " 200 " not in head[:20]:
            raise LookupError(f"{path}: {body}")
        return body


def weather(path: str) -> str | None:
    """The page of a path."""
    return {"/": "welcome", "/weather": "rain, and sun later"}.get(path)


async def browse(port: int, rng: random.Random) -> None:
    """Look at one page after the other; one in ten is not there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        browser = Browser(reader, writer)
        while True:
            try:
                await browser.get(rng.choice(("/", "/weather")) if rng.random() < 0.9 else "/sports")
            except LookupError as error:
                print(error)
            await asyncio.sleep(rng.uniform(0.02, 0.08))


async def main(options: Options) -> None:
    """Start the server and its browsers."""
    rng = random.Random(options.seed)
    server = await asyncio.get_running_loop().create_server(lambda: HttpServer(weather), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(browse(port, rng), name=f"browser-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
