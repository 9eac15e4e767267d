"""Callbacks by `call_soon`, `call_later` and `call_at`: plain functions that the loop runs, without any task.

What you see: timers, a little utilization and steps on the loop, and hardly any task: callbacks do not belong
to tasks. A list of tasks alone would suggest that this program does nothing.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, NoFinding, NoSlowCallback, Tasks, Timers

SAMPLE = Sample(
    name="callbacks",
    topic="loops",
    sentence="Plain functions run by call_soon, call_later and call_at, with hardly any task.",
    fix=None,
    expectations=(
        Timers(at_least=20),
        Tasks(at_most=1),
        LoopLag(at_most=0.1),
        NoSlowCallback(),
        NoFinding(),
    ),
)


class Clockwork:
    """Wheels that drive each other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.turns = 0
        self.start = loop.time()

    def wheel(self, every: float) -> None:
        """Turn, move the pointer at once, and turn again after a while."""
        self.loop.call_soon(self.pointer)
        self.loop.call_later(every, self.wheel, every)

    def pointer(self) -> None:
        """Advance the pointer by one turn."""
        self.turns += 1

    def strike(self, hour: int) -> None:
        """Strike on time: the next time is computed from the start, so that nothing drifts."""
        print(f"{hour}: {self.turns} turns")
        self.loop.call_at(self.start + (hour + 1) * 0.5, self.strike, hour + 1)


async def main(_: Options) -> None:
    """Start the clock and let it run."""
    clockwork = Clockwork(asyncio.get_running_loop())
    for number in range(20):
        clockwork.wheel(0.05 + number * 0.01)
    clockwork.strike(0)
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(main, SAMPLE)
