"""Reconnects a recorder whose connection broke, unless the program has ended."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.errors import Closed, LooptopError, ProcessGone, Unreachable
from monitor.recording.writer import ANOTHER

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from monitor.transport.connection import Connection

FAREWELL = 2.0
"""Seconds to wait for a local program that closed the connection to end, or for its probe to serve again."""

ENDED = "the program has ended"
STOPPED, OVER = "stopped", "duration reached"

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
REFUSED = 10.0
"""Seconds to retry a host that refuses the connection, for example a tunnel that is opened again."""

AWAY = 120.0
"""Seconds to retry a host that does not answer."""

LEAST_LOOKS = 4
"""Looks before giving up, however long they took: a machine that stands still for a while must not use up the time."""


@dataclass(frozen=True, slots=True)
class Back:
    """A new connection to the same probe, and the seconds it was lost for."""

    connection: Connection
    seconds: float


def reconnect(
    connection: Connection,
    broke: Closed,
    again: Callable[[], Connection] | None,
    stop: threading.Event,
    until: float | None,
    notify: Callable[[float], None],
) -> Back | str:
    """Open a broken connection again, or return the reason why the recording ends.

    `until`: end of the recording on the monotonic clock. `notify` is called with the seconds since the connection was
    lost.
    """
    began = time.monotonic()
    here = connection.hello.host == socket.gethostname() and not connection.relayed
    closed = REFUSED if connection.by_network else FAREWELL
    pause, patience = FIRST_PAUSE, closed if again is not None or here else 0.0
    looks = 0
    while True:
        looks += 1
        lost = time.monotonic() - began
        notify(lost)
        if here and _has_ended(connection.hello.pid):
            return ENDED
        if stop.is_set():
            return STOPPED
        if until is not None and time.monotonic() >= until:
            return OVER
        if lost >= patience and (looks > LEAST_LOOKS or not patience):
            return _why_not(broke, here, patience)
        stop.wait(pause if until is None else min(pause, max(until - time.monotonic(), 0.0)))
        if again is None:
            continue
        pause = min(pause * 1.5, LONGEST_PAUSE)
        try:
            found = again()
        except ProcessGone:
            return ENDED
        except (Unreachable, Closed):
            patience = AWAY
        except LooptopError:
            patience = closed  # it answers, and there is no probe
        else:
            if found.hello.session == connection.hello.session:
                return Back(found, time.monotonic() - began)
            found.close()
            return ANOTHER


def _why_not(broke: Closed, here: bool, patience: float) -> str:
    if patience == AWAY:
        return f"{broke.message}, and for {patience:g} s nothing led there again"
    return "the probe has left the program" if here else broke.hint or broke.message


def _has_ended(pid: int) -> bool:
    """Whether a local process has ended."""
    import psutil  # type: ignore[import-untyped]

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
