"""Why a program says nothing, as far as its process tells: stopped, traced, or held up by one call."""

from __future__ import annotations

import socket

from monitor.protocol.frames import Hello

SILENT = 3.0
"""Seconds without a tick from which on the screen says so: what it shows is old."""

_STATES = {
    "stopped": "it is stopped by a signal: kill -CONT {pid} lets it go on",
    "tracing-stop": "a debugger has stopped it",
    "disk-sleep": "it waits for a disk",
    "zombie": "it has ended, and its parent has not asked how",
}
"""By the words of psutil."""

_HALTED = ("stopped", "tracing-stop", "zombie")
_SAME = 2.0
"""Seconds by which two clocks may differ on when a process began."""


def halted(pid: int | None) -> str | None:
    """One line where a process of this machine can not answer, however long one waits; None where it may yet."""
    state = "" if pid is None else _state(pid)
    return None if state not in _HALTED else _STATES[state].format(pid=pid)


def why(hello: Hello) -> str:
    """One line: what the process is in. Of another machine, or out of another pid namespace, that cannot be known."""
    state = _state(hello.pid, hello.started * 1e-6) if hello.host == socket.gethostname() else ""
    held_up = "one call of it keeps the interpreter lock, or its machine has no time for it"
    return _STATES.get(state, held_up).format(pid=hello.pid)


def _state(pid: int, began: float | None = None) -> str:
    """Of a process of this machine, in psutil's word; empty where there is none, or it `began` at another time."""
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        same = began is None or abs(process.create_time() - began) < _SAME
        return str(process.status()) if same else ""
    except (psutil.Error, OverflowError, ValueError):
        return ""
