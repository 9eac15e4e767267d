"""Who asks about memory, as a type: so that no import runs back from here to the sessions of viewers."""

from __future__ import annotations

from typing import Protocol


class Watched(Protocol):
    """What a viewer looks at."""

    memory: bool


class Requester(Protocol):
    """The session of a viewer, as far as memory is concerned. Imported for typing only."""

    watching: bool
    told_tracing: bool

    @property
    def watch(self) -> Watched:
        """What it looks at now."""
