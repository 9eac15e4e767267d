"""Injects a probe on the other side of `--via`, in the forked child that answers the request."""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING, Any

from monitor.attach.inject.helper import injected
from monitor.attach.inject.payload import make
from monitor.attach.inject.result import Result, result_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def inject(pid: int, options: Mapping[str, Any], texts: Mapping[str, str]) -> Result:
    """Inject a probe into a running process, like the helper process does elsewhere. Raises ConnectError."""
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    timeout = float(options["timeout"])
    payload = make({"leave": not options["stay"]}, timeout, texts)
    arguments = argparse.Namespace(
        pid=pid, method=options["method"], timeout=timeout, force=bool(options["force"]), dry_run=False
    )
    return result_of(pid, injected(arguments, *payload.pieces(pid)))
