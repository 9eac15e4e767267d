"""A callback that took longer than the threshold, and where its time went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import sites
from . import gc_pauses, page_faults

if TYPE_CHECKING:
    from ..hooks.records import LoopRecord
    from .callback_stack import Stack
    from .gil_wait import Waited


class SlowCallback:
    """A callback longer than the threshold, recorded in the program's thread; it becomes an event."""

    __slots__ = (
        "asleep",
        "at_least",
        "callback",
        "duration",
        "ended",
        "faults",
        "label",
        "loop",
        "name",
        "samples",
        "starved",
        "task",
        "throttled",
        "waited",
    )

    def __init__(
        self,
        loop: LoopRecord,
        task: int,
        name: str,
        callback: str,
        ended: float,
        duration: float,
        samples: list[tuple[Stack, float]],
    ) -> None:
        self.loop = loop.id
        self.task = task
        self.name = name
        self.callback = callback
        self.ended = ended
        self.duration = duration
        self.samples = samples
        self.starved = 0.0  # part of the duration spent waiting for a CPU
        self.throttled = 0.0  # of that: the CPU quota was used up
        self.faults = 0  # page faults that memory answered
        self.asleep = 0.0  # part of the duration spent asleep in the kernel, waits for the GIL included
        self.waited: Waited | None = None  # its wait for the GIL
        self.label: str | None = None  # of its task, as far as it is known
        self.at_least = False  # True: it began before the hooks were installed

    def heaviest(self) -> tuple[Stack, float]:
        """The stack at the line where the callback was found most of its time, and that time (s)."""
        weight: dict[Any, float] = {}
        stacks: dict[Any, Stack] = {}
        for stack, seconds in self.samples:
            if stack:
                blamed = stack[sites.blamed(list(stack))]
                key = (id(blamed[0]), blamed[1])
                weight[key] = weight.get(key, 0.0) + seconds
                stacks[key] = stack
        if not weight:
            return (), 0.0
        key = max(weight, key=lambda key: weight[key])
        return stacks[key], weight[key]

    def reasons(self) -> dict[str, float]:
        """What else took the time (s): blocking calls, garbage collection, page faults, imports. The rest is its own.

        `io` is sleep in the kernel that was no wait for the GIL: reading, waiting for another thread, pages on disk.
        """
        gil = self.waited.seconds if self.waited is not None else 0.0
        rest = max(self.duration - self.starved - gil, 0.0)
        io = min(max(self.asleep - gil, 0.0), rest)
        collecting = min(gc_pauses.within(self.ended - self.duration, self.ended), rest - io)
        whole = sum(seconds for _, seconds in self.samples)
        importing = sum(seconds for stack, seconds in self.samples if any(_is_import(code) for code, _ in stack))
        share = importing / whole if whole else 0.0  # of what the import did itself, reading included
        faulting = min(page_faults.seconds(self.faults), rest - io - collecting)
        return {
            "io": io * (1 - share),
            "gc": collecting,
            "faulting": faulting * (1 - share),
            "importing": share * (rest - collecting),
        }


def _is_import(code: Any) -> bool:
    return bool(code.co_filename == "<frozen importlib._bootstrap>")
