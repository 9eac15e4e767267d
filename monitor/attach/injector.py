"""Injects a probe into a running program for a command, and returns its address.

The injection code is imported on first use: most programs already have a probe.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.errors import ConnectError
from monitor.transport.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.attach.inject import Result


@dataclass(frozen=True, slots=True)
class Injector:
    """Injects probes. Options: method, timeout, and whether the probe stays when its last viewer leaves."""

    method: str = "auto"
    timeout: float = 5.0
    force: bool = False
    stay: bool = False
    notify: Callable[[str], None] | None = None  # receives what the user should know about the injected probe
    meanwhile: Callable[[], None] | None = None  # called while the injection runs

    def inject(self, pid: int) -> Address:
        """Inject a probe and return its address. Raises ConnectError; the process is then unchanged."""
        entered = self._run(pid, dry_run=False)
        for text in entered.notes:
            if self.notify is not None:
                self.notify(text)
        if not entered.socket and entered.listen_fd is None:
            raise ConnectError(
                f"the probe of process {pid} could make no socket",
                "what it said on the program's stderr names the reason; LOOPTOP_DIR must be a folder of mode 0700",
            )
        return Address(path=entered.socket, pid=pid, listen_fd=entered.listen_fd)

    def plan(self, pid: int) -> str:
        """What `inject` would do, and why, as lines of text."""
        from monitor.attach.inject import native
        from monitor.attach.plan import lines_of

        return lines_of(self._run(pid, dry_run=True), native.why_not(pid))

    def _run(self, pid: int, dry_run: bool) -> Result:
        from monitor.attach.inject import inject
        from monitor.attach.inject.payload import make

        payload = make({"leave": not self.stay}, self.timeout)
        return inject(pid, payload, self.method, self.timeout, self.force, dry_run, self.meanwhile)
