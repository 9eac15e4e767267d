"""Injects a probe on the other side of `--via`, in the forked child that answers the request."""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING, Any

from monitor.attach.inject import native
from monitor.attach.inject.helper import injected
from monitor.attach.inject.payload import make
from monitor.attach.inject.result import Result, result_of
from monitor.attach.plan import lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def inject(pid: int, options: Mapping[str, Any], kept: Mapping[str, Any]) -> Result:
    """Inject a probe into a running process, like the helper process does elsewhere. Raises ConnectError."""
    arrived = native.arrived(kept["native"], pid)
    payload = make({"leave": not options["stay"]}, float(options["timeout"]), kept["texts"], arrived)
    return _done(pid, options, payload.pieces(pid), dry_run=False)


def plan(pid: int, options: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    """What that would do, as lines of text. Raises ConnectError."""
    dry = _done(pid, options, ("", "", b""), dry_run=True)
    facts, _ = native.arrived(kept["native"], pid)
    return lines_of(dry, "LOOPTOP_PURE is set" if native.is_pure(pid) else str(facts.get("why", "")))


def _done(pid: int, options: Mapping[str, Any], pieces: tuple[str, str, bytes], dry_run: bool) -> Result:
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    arguments = argparse.Namespace(
        pid=pid,
        method=options["method"],
        timeout=float(options["timeout"]),
        force=bool(options["force"]),
        dry_run=dry_run,
    )
    return result_of(pid, injected(arguments, *pieces))
