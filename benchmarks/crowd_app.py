"""A program with very many tasks, watched in `crowds`: `python -m benchmarks.crowd_app PROBE LIVE ACTIVE CHURN`.

LIVE tasks sleep; ACTIVE of these make ten steps per second, and CHURN per second end and are replaced.
Each line on stdin is answered by a line of JSON: resident memory, and how late a timer of 5 ms was since the line
before. The timer is the program's own, so it shows delays from whatever thread.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from typing import Any

PERIOD = 0.005
ACTIVE_PAUSE = 0.1
STEPS = 250_000
"""As many as fill the step ring of a probe, whose memory is the same however many tasks there are."""


class Crowd:
    """The tasks, and the timer between them."""

    def __init__(self, live: int, active: int, churn: int) -> None:
        self._live, self._active, self._churn = live, active, churn
        self._late: list[float] = []
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Creates the tasks, then answers until stdin ends."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def read() -> None:
            data = os.read(0, 4096)
            if not data:
                loop.remove_reader(0)
                ended.set_result(None)
            for _ in range(data.count(b"\n")):
                self._answer()

        for number in range(self._live):
            self._tasks[number] = asyncio.create_task(self._step(number) if number < self._active else self._sleep())
            if number % 1000 == 999:
                await asyncio.sleep(0)
        for _ in range(STEPS):
            await asyncio.sleep(0)
        await asyncio.sleep(ACTIVE_PAUSE * 2)
        # As a server with many long-lived objects does; else its own collections hide the cost of a viewer.
        gc.collect()
        gc.freeze()
        helpers = [asyncio.create_task(self._replace()), asyncio.create_task(self._measure())]
        loop.add_reader(0, read)
        self._answer()
        await ended
        os._exit(0)  # cancelling all of them takes longer than what was measured
        del helpers

    async def _sleep(self) -> None:
        await asyncio.sleep(3600)

    async def _step(self, number: int) -> None:
        await asyncio.sleep(number % 997 / 9970)  # not all at once
        while True:
            await asyncio.sleep(ACTIVE_PAUSE)

    async def _replace(self) -> None:
        """Replaces tasks, those of a hundredth of a second at a time."""
        if not self._churn:
            return
        place = 0
        while True:
            for _ in range(self._churn // 100):
                place = (place + 1) % self._live
                self._tasks[place].cancel()
                self._tasks[place] = asyncio.create_task(self._sleep())
            await asyncio.sleep(0.01)

    async def _measure(self) -> None:
        """Measures how late a timer is. It is set again from now on, so that each delay counts once."""
        while True:
            due = time.monotonic() + PERIOD
            await asyncio.sleep(PERIOD)
            self._late.append(time.monotonic() - due)

    def _answer(self) -> None:
        late, self._late = sorted(self._late), []
        facts: dict[str, Any] = {"rss": _resident(), "probe": hasattr(sys, "_looptop_probe")}
        if late:
            facts["late"] = {str(share): late[int(share * (len(late) - 1))] for share in (0.5, 0.99, 0.999, 1)}
        os.write(1, json.dumps(facts).encode() + b"\n")


def _resident() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - as light as can be
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> None:
    """Runs the program that the arguments describe."""
    probe, live, active, churn = sys.argv[1:]
    if probe == "probe":
        import probes

        probes.install()
    asyncio.run(Crowd(int(live), int(active), int(churn)).run())


if __name__ == "__main__":
    main()
