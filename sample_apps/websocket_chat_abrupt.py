"""A chat over websockets whose server stops abruptly: the handlers are cancelled, the connections are cut.

What you see: `hall-*` tasks that wait on the socket of their member, then, twice in five seconds, `member-*`
tasks that all fail with `ConnectionResetError`: they got no close frame, and cannot know whether their last
message arrived.

The fix: when the server stops, close each socket properly first (`websocket_chat`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from typing import TYPE_CHECKING

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoSlowCallback, NoUnhandled, TaskEnded, Utilization, Waiting

if TYPE_CHECKING:
    from aiohttp import ClientSession, web

SAMPLE = Sample(
    name="websocket_chat_abrupt",
    topic="communication",
    sentence="A chat server stops abruptly, and every member of the chat fails.",
    fix="websocket_chat",
    expectations=(
        TaskEnded(task="member-*", outcome="failed", exception="ConnectionResetError", times=5),
        Waiting(kind="future", task="member-*", at_least=1),
        Utilization(at_most=0.4),
        NoSlowCallback(),
        NoUnhandled(),
    ),
    needs=("aiohttp", "aiohttp.web"),
)
OPEN = 1.2  # seconds that the hall is open, before it closes and opens again


class Hall:
    """Where everybody hears what one says."""

    def __init__(self) -> None:
        self.present: set[web.WebSocketResponse] = set()

    async def enter(self, request: web.Request) -> web.WebSocketResponse:
        """Let a member in, and pass on what it says until it leaves."""
        from aiohttp import WSMsgType, web  # here, so that the catalogue can be read without it

        task = asyncio.current_task()
        assert task is not None
        task.set_name(f"hall-{request.query['name']}")
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.present.add(ws)
        try:
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    text = f"{request.query['name']}: {message.data}"
                    for other in list(self.present):
                        with contextlib.suppress(ConnectionError):  # it is just leaving
                            await other.send_str(text)
        finally:
            self.present.discard(ws)
        return ws

    async def close(self, _: web.Application) -> None:
        """Do nothing: who is inside will notice."""


async def member(session: ClientSession, name: str, rng: random.Random) -> str:
    """Talk and listen until the hall closes; returns what it said at the end. Raises ConnectionResetError."""
    from aiohttp import WSMsgType

    async with session.ws_connect("/", params={"name": name}) as ws:
        talking = asyncio.create_task(talk(ws.send_str, rng), name=f"talk-{name}")
        try:
            while (message := await ws.receive()).type is WSMsgType.TEXT:
                pass
        finally:
            talking.cancel()
        if message.type is not WSMsgType.CLOSE:
            raise ConnectionResetError("the hall is gone, and nobody said so")
        return str(message.extra)


async def talk(say: object, rng: random.Random) -> None:
    """Say something now and then."""
    assert callable(say)
    while True:
        await say(rng.choice(("hello", "is anybody here?", "what a nice hall")))
        await asyncio.sleep(rng.uniform(0.1, 0.3))


async def evenings(new_hall: type[Hall], options: Options) -> None:
    """Open a hall, let five members in, close it, and so again and again."""
    from aiohttp import ClientSession, web

    rng = random.Random(options.seed)
    for evening in itertools.count(1):
        hall = new_hall()
        application = web.Application()
        application.router.add_get("/", hall.enter)
        application.on_shutdown.append(hall.close)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            names = [f"{name}-{evening}" for name in ("Ada", "Bob", "Cleo", "Dan", "Eve")]
            members = [asyncio.create_task(member(session, name, rng), name=f"member-{name}") for name in names]
            try:
                await asyncio.sleep(OPEN)
                await runner.cleanup()
            except asyncio.CancelledError:
                for task in members:
                    task.cancel()
                raise
            finally:
                farewells = await asyncio.gather(*members, return_exceptions=True)
                await runner.cleanup()
        print(f"evening {evening}: {', '.join(sorted({str(farewell) for farewell in farewells}))}")


async def main(options: Options) -> None:
    """Open halls that close as they stand."""
    await evenings(Hall, options)


if __name__ == "__main__":
    run(main, SAMPLE)
