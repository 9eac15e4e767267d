"""Other tools for asyncio tasks or time, measured in the same runs in the place of looptop's probe.

Each is set up as its documentation says, with its own thresholds; none of them needs to report anything here.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import sys
from pathlib import Path
from typing import Any

NEEDS = {
    "aiomonitor": "aiomonitor",
    "aiomonitor with its hook": "aiomonitor",
    "asyncio debug mode": "asyncio",
    "aiodebug": "aiodebug.log_slow_callbacks",
    "aiocop": "aiocop",
    "viztracer": "viztracer",
}
"""Name in the table, and the module."""
INSIDE = tuple(NEEDS)
OUTSIDE = ("py-spy at 100 Hz",)
"""Tools that read the program from another process."""
ALL = (*INSIDE, *OUTSIDE)
_kept: list[Any] = []


def load(name: str) -> None:
    """Imports what a peer needs. Raises ImportError."""
    importlib.import_module(NEEDS[name])


def begin(name: str) -> None:
    """Starts a peer in the running loop of this program."""
    loop = asyncio.get_running_loop()
    module: Any = importlib.import_module(NEEDS[name])
    logging.disable(logging.CRITICAL)
    if name.startswith("aiomonitor"):
        ports = dict(zip(("port", "console_port", "webui_port"), _free_ports(3), strict=True))
        monitor = module.start_monitor(loop, hook_task_factory="hook" in name, console_enabled=False, **ports)
        monitor.__enter__() if not getattr(monitor, "_started", True) else None
        _kept.append(monitor)
    elif name == "asyncio debug mode":
        loop.set_debug(True)
    elif name == "aiodebug":
        module.enable(0.1)
    elif name == "aiocop":
        module.patch_audit_functions()
        module.start_blocking_io_detection()
        module.detect_slow_tasks(threshold_ms=100)
        module.activate()
    elif name == "viztracer":
        tracer = module.VizTracer(verbose=0)
        tracer.start()
        _kept.append(tracer)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def outside(name: str, pid: int) -> list[str]:
    """The command of a peer that reads the program from outside; it ends with the program."""
    assert name == "py-spy at 100 Hz"
    found = Path(sys.executable).with_name("py-spy")  # of this environment, which need not be on PATH
    return [
        str(found) if found.exists() else "py-spy",
        "record",
        "--rate",
        "100",
        "--nonblocking",
        "--format",
        "raw",
        "-o",
        "/dev/null",
        "-p",
        str(pid),
    ]
