"""Getting a probe into a program that was started without one: what the commands ask, and where to connect then.

What it takes to get in is loaded when it is used: most programs have their probe already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.transport.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.attach.inject import Result


@dataclass(frozen=True, slots=True)
class Way:
    """How to get in, and whether to stay when nobody looks any more."""

    method: str = "auto"
    timeout: float = 5.0
    force: bool = False
    stay: bool = False
    tell: Callable[[str], None] | None = None  # is given what a person should know of a probe that is in
    meanwhile: Callable[[], None] | None = None  # is done while it takes its time

    def enter(self, pid: int) -> Address:
        """Puts a probe into a process and says where it listens. Raises ConnectError; the process is as it was."""
        entered = self._inject(pid, dry_run=False)
        for text in self._news(entered):
            if self.tell is not None:
                self.tell(text)
        return Address(path=entered.socket, pid=pid, door=entered.door)

    def plan(self, pid: int) -> str:
        """What `enter` would do, and why so, in lines."""
        from monitor.attach.inject import native

        plan = self._inject(pid, dry_run=True)
        lines = [f"process {pid} runs Python {plan.python}", f"would be entered by {plan.method}: {plan.how}"]
        why = native.why_not(pid)
        lines += [f"with hooks in {f'pure Python ({why})' if why else 'C'}"]
        lines += [f"not by {way['method']}: {way['why']}" for way in plan.tried if {"method", "why"} <= way.keys()]
        return "\n".join(lines)

    @staticmethod
    def _news(entered: Result) -> list[str]:
        news = list(entered.told)
        if entered.loops == 0:
            news.append(f"no event loop runs in process {entered.pid} yet: it is watched from when one starts")
        return news

    def _inject(self, pid: int, dry_run: bool) -> Result:
        from monitor.attach.inject import inject
        from monitor.attach.inject.payload import make

        payload = make({"leave": not self.stay}, self.timeout)
        return inject(pid, payload, self.method, self.timeout, self.force, dry_run, self.meanwhile)
