"""A chat over websockets that closes gracefully: when the server stops, it first sends each member a close frame.

What you see: `hall-*` tasks that wait on the socket of their member, and, twice in five seconds, `member-*`
tasks that are all done: they got a close frame with a code (1001, going away) and a reason, and answered it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization, Waiting
from sample_apps.websocket_chat_abrupt import Hall, evenings

if TYPE_CHECKING:
    from aiohttp import web

SAMPLE = Sample(
    name="websocket_chat",
    topic="communication",
    sentence="A chat server closes each connection properly before it stops, and every member is done.",
    fix=None,
    expectations=(
        TaskEnded(task="member-*", outcome="done", times=5),
        Waiting(kind="future", task="member-*", at_least=1),
        Utilization(at_most=0.4),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
    needs=("aiohttp", "aiohttp.web"),
)


class PoliteHall(Hall):
    """A hall that says goodbye."""

    async def close(self, _: web.Application) -> None:
        """Say goodbye to all who are inside, at once, and wait for their answers."""
        from aiohttp import WSCloseCode

        goodbye = b"we close, good night"
        leaving = (ws.close(code=WSCloseCode.GOING_AWAY, message=goodbye) for ws in list(self.present))
        await asyncio.gather(*leaving)


async def main(options: Options) -> None:
    """Open halls that close politely."""
    await evenings(PoliteHall, options)


if __name__ == "__main__":
    run(main, SAMPLE)
