"""The first frame for a viewer: which process this is, and what its probe can do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..base import process, protocol, sites
from ..hooks import install
from ..hooks.backend import FREE_THREADED

if TYPE_CHECKING:
    from .host import Host

_MOST_TEXT = 1000


def of(probe: Host) -> dict[str, Any]:
    """The `hello` frame of the protocol."""
    endpoints, settings = probe.endpoints, probe.settings
    capabilities = ["origins", "histograms", "threads"]
    if not FREE_THREADED:
        capabilities.append("groups")
    if settings.control:
        capabilities += ["arm", "detach", "cancel", "locals"]
    capabilities += probe.memory.capabilities
    if probe.demand.always_on:
        capabilities.append("history")
    if probe.ring.available:
        capabilities.append("steps")
    return {
        "type": "hello",
        "protocol": protocol.PROTOCOL,
        "session": probe.session_id,
        "pid": endpoints.pid,
        "started": round(process.started() * 1e6),
        "opened": round(probe.opened * 1e6),
        "now": probe.clock.unix(),
        "name": endpoints.name[:_MOST_TEXT],
        "program": endpoints.program[:_MOST_TEXT],
        "argv": [text[:_MOST_TEXT] for text in getattr(sys, "orig_argv", [])[:100]],
        "cwd": process.working_directory(),
        "host": os.uname().nodename,
        "user": os.environ.get("USER", "") or str(os.getuid()),
        "python": process.python(),
        "implementation": {"cpython": "CPython"}.get(sys.implementation.name, sys.implementation.name),
        "probe": protocol.VERSION,
        "hooks": install.HOOKS,
        "counted": None if probe.counting.since is None else probe.clock.unix(probe.counting.since),
        "capabilities": capabilities,
        "settings": {
            "slow": round(settings.slow * 1e6),
            "ended": settings.ended,
            "locals": settings.locals,
        },
        "paths": sites.python_paths(),
        "schema": protocol.SCHEMA,
    }
