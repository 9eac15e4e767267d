"""A client that keeps some connections busy and measures every answer: route, start and duration."""

from __future__ import annotations

import asyncio
import math
import time

CALLS = ("/items/{}", "/items/{}", "/slow/{}/part", "/nope/{}", "/broken/{}")


class Client:
    """Sends requests over connections of its own, each as soon as the one before was answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.taken: dict[str, list[float]] = {}

    async def run(self, seconds: float) -> None:
        """Requests until the time is over, and the last answers."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._connection(path, end, 1000 * number) for number, path in enumerate(CALLS)))

    async def _connection(self, path: str, end: float, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        taken = self.taken.setdefault(path, [])
        while time.monotonic() < end:
            number += 1
            writer.write(f"GET {path.format(number)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            began = time.perf_counter()
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            if b"content-length" in fields:
                await reader.readexactly(int(fields[b"content-length"]))
            else:
                while (size := int(await reader.readline(), 16)) or await reader.readline() != b"\r\n":
                    await reader.readexactly(size + 2)
                    if not size:
                        break
            taken.append(time.perf_counter() - began)
        writer.close()


def percentile(values: list[float], share: float) -> float:
    """As groups have it: the value that this share does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]
