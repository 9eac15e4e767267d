"""What every source of frames is: a live connection, a recording, a fixture of a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from monitor.protocol.frames import Frame


@dataclass(frozen=True, slots=True)
class Status:
    """How it stands with a source, for the header."""

    state: str  # connecting, connected, silent (nothing comes), lost (tries again), ended (will not), or replay
    text: str  # one line for a person: what happened and what comes next; empty while all is well
    since: float  # Unix time


class Source(Protocol):
    """Yields frames; is told what the viewer looks at. No call blocks but `start` and `close`."""

    status: Status
    owner: int | None
    """The user id of the program, where the system vouches for it."""

    def start(self) -> None:
        """Begins. A live source connects in a thread of its own; what fails is in `status`."""

    def frames(self) -> list[Frame]:
        """What came since the last call."""

    def watch(self, **what: Any) -> None:
        """Says what the viewer looks at (fields of the `watch` frame); said again after a reconnect."""

    def request(self, op: str, **arguments: Any) -> int:
        """Asks for something; the number comes back in the `id` of the reply. 0 when nobody is there to ask."""

    def close(self) -> None:
        """Ends the connection."""
