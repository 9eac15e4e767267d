"""The interface of a session that memory requests use, as a Protocol, so that this package does not import serving."""

from __future__ import annotations

from typing import Protocol


class Watched(Protocol):
    """The subscription of a viewer, as far as memory is concerned."""

    memory: bool


class Requester(Protocol):
    """The session of a viewer, as far as memory is concerned. Imported for typing only."""

    watching: bool
    tracing_reported: bool

    @property
    def watch(self) -> Watched:
        """What the viewer looks at now."""
