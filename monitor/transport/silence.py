"""Explains why a program is silent, from its process state: stopped, traced, or held up by one call."""

from __future__ import annotations

import socket

from monitor.protocol.frames import Hello

SILENT = 3.0
"""Seconds without a tick after which the screen shows that its data is old."""

_STATES = {
    "stopped": "it is stopped by a signal: kill -CONT {pid} lets it go on",
    "tracing-stop": "a debugger has stopped it",
    "disk-sleep": "it waits for a disk",
    "zombie": "it has ended, and its parent has not asked how",
}
"""Explanations by psutil's process status."""

_HALTED = ("stopped", "tracing-stop", "zombie")
_SAME = 2.0
"""Seconds by which two readings of a process's start time may differ."""


def halted(pid: int | None) -> str | None:
    """Why a local process cannot answer until someone acts; None if it may still answer."""
    state = "" if pid is None else _state(pid)
    return None if state not in _HALTED else _STATES[state].format(pid=pid)


def why(hello: Hello) -> str:
    """One line that explains the silence. Generic for a process on another machine or in another pid namespace."""
    state = _state(hello.pid, hello.started * 1e-6) if hello.host == socket.gethostname() else ""
    held_up = "one call of it keeps the interpreter lock, or its machine has no time for it"
    return _STATES.get(state, held_up).format(pid=hello.pid)


def _state(pid: int, began: float | None = None) -> str:
    """psutil's status of a local process; empty if it does not exist or its start time is not `began`."""
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        same = began is None or abs(process.create_time() - began) < _SAME
        return str(process.status()) if same else ""
    except (psutil.Error, OverflowError, ValueError):
        return ""
