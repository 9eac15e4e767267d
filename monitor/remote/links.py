"""One link for each command, shared by all connections of this process, and replaced when it has ended."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.remote.link import Link

_links: dict[str, Link] = {}
_locks: dict[str, threading.Lock] = {}
_lock = threading.Lock()


def link_to(command: str) -> Link:
    """Return the link through a command. Raises LooptopError.

    The first time the command may ask for a password; later a screen may be open, so it gets no terminal.
    """
    from monitor.remote.link import Link

    with _lock:
        lock = _locks.setdefault(command, threading.Lock())
    with lock:
        known = _links.get(command)
        if known is None or not known.alive:
            _links[command] = known = Link(command, alone=known is not None)
        return known


def is_up(command: str) -> bool:
    """Whether there is a link by that command, and it works."""
    known = _links.get(command)
    return known is not None and known.alive


@atexit.register
def close_all() -> None:
    """Close all links, which ends their commands."""
    for link in _links.values():
        link.close()
    _links.clear()
