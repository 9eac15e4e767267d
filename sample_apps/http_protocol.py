"""An HTTP server as a Protocol: it parses requests from received bytes and sends answers, without tasks or streams.

What you see: `browser-*` tasks that wait on their sockets for answers, and only callbacks on the server's
side: some hundred requests a second of which the task list shows nothing. Connections stay open
(`keep-alive`), and requests that arrive in two pieces, or two in one, are split correctly; anything that is
not HTTP gets a 400 and is disconnected.
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
Site = Callable[[str], str | None]  # returns the page of a path, or None


class HttpServer(asyncio.Protocol):
    """One connection of a browser."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Process received data, which may be half a request, or three."""
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
        """Answer one request, which is only a head: a GET has no body."""
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
        """Send a page; `close` disconnects afterwards."""
        body = page.encode()
        connection = "close" if close else "keep-alive"
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: {connection}\r\n\r\n"
        self.transport.write(head.encode() + body)
        if close:
            self.transport.close()


class Browser:
    """A connection to an HTTP server, for sequential requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def get(self, path: str) -> str:
        """Get a page. Raises LookupError for a missing one."""
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
    """Request one page after another; one in ten does not exist."""
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
