"""How long each thread had the GIL, while a viewer asks: from samples of a thread in C that never takes it.

See hooks/native/gil.c. A sampler that needs the GIL would find it with itself.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..hooks import backend
from ..sampling.c_sampler import SamplerThread
from ..sampling.gil_wait import static_data

if TYPE_CHECKING:
    from collections.abc import Callable

HZ = 100
_MOST_KNOWN = 2000


class GilShare:
    """One sampling thread at most. Used by the probe's thread."""

    def __init__(self) -> None:
        self._sampler: Any = None
        self._held: dict[int, float] = {}  # seconds by identity, since sampling began
        self._cpu_before = 0.0  # of earlier threads (s)
        self.why_not = ""
        self.cpu = 0.0
        """CPU seconds of all its threads so far."""
        self.thread = SamplerThread()

    def switch(self, wanted: bool, start_thread: Callable[..., Any]) -> None:
        """Begins or ends sampling. `why_not` gives the reason if it cannot begin."""
        if wanted == (self._sampler is not None) or (wanted and self.why_not):
            return
        if not wanted:
            self._sampler.stop()
            self._sampler = None
            self._cpu_before = self.cpu
            return
        try:
            sampler = _make()
        except Exception as error:
            self.why_not = str(error) or type(error).__name__
            return
        self._held.clear()
        try:
            self.thread.start(sampler, start_thread)
        except BaseException:
            return
        self._sampler = sampler

    def look(self) -> dict[int, float] | None:
        """Seconds for which each thread had the GIL since sampling began, by identity; None if it is not sampled."""
        if self._sampler is None:
            return None
        held, _, cpu = self._sampler.drain()
        self.cpu = self._cpu_before + cpu
        if len(self._held) > _MOST_KNOWN:
            self._held.clear()
        for ident, seconds in held:
            self._held[ident] = self._held.get(ident, 0.0) + seconds
        return self._held

    def forked(self) -> None:
        """Forgets the thread in a child after a fork."""
        self._sampler = None
        self.thread.own.clear()


def _make() -> Any:
    """Creates a sampler in C for this interpreter. Raises an error with the reason if that is impossible."""
    if not hasattr(backend.native, "GilSampler"):
        raise NotImplementedError(f"it needs the hooks in C, on Linux ({backend.why_pure})")
    begin, end = static_data()
    return backend.native.GilSampler(begin, end, round(sys.getswitchinterval() * 1e6), 1 / HZ)
