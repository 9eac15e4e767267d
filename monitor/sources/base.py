"""The interface of every source of frames: a live connection, a recording, a test fixture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from monitor.protocol.frames import Frame


@dataclass(frozen=True, slots=True)
class Status:
    """State of a source, for the header."""

    state: str  # connecting, connected, silent (no data), lost (retrying), ended (for good) or replay
    text: str  # one line: what happened and what follows; empty while all is well
    since: float  # Unix time


class Source(Protocol):
    """Yields frames for the viewer's current selection. Only `start` and `close` may block."""

    status: Status
    owner: int | None
    """The user id of the program, if the kernel vouches for it."""

    def start(self) -> None:
        """Start. A live source connects in its own thread; failures appear in `status`."""

    def frames(self) -> list[Frame]:
        """Frames received since the last call."""

    def watch(self, **what: Any) -> None:
        """Set what the viewer looks at (fields of the `watch` frame); sent again after a reconnect."""

    def request(self, op: str, **arguments: Any) -> int:
        """Send a request; its id comes back in the reply. 0 if not connected."""

    def close(self) -> None:
        """Close the connection or file behind the source."""
