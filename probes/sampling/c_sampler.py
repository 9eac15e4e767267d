"""The thread of a sampler in C, which takes the GIL only as it begins and ends."""

from __future__ import annotations

from _thread import get_ident, get_native_id
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class SamplerThread:
    """Runs one sampler at a time, and knows its thread, so that the probe leaves it out of what it shows."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        """Native ids of the threads, the newest last."""
        self.own: set[int] = set()
        """Identities of the threads that run."""
        self.starting = 0
        """Threads that were started and have not run yet."""

    def start(self, sampler: Any, start_thread: Callable[..., Any]) -> None:
        """Starts a thread in which the sampler runs until it is stopped. Raises what `start_thread` raises."""
        self.starting += 1
        try:
            start_thread(self._run, (sampler,))
        except BaseException:
            self.starting -= 1
            raise

    def _run(self, sampler: Any) -> None:
        self.ids = [*self.ids[-8:], get_native_id()]
        self.starting -= 1
        self.own.add(get_ident())
        try:
            sampler.run()
        finally:
            self.own.discard(get_ident())
