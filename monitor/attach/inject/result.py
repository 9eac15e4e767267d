"""How an injection went, from the report of the helper."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from monitor.errors import ConnectError


@dataclass(frozen=True, slots=True)
class Result:
    """An injected probe, or the plan of a dry run."""

    pid: int
    python: str
    method: str  # remote_exec, ptrace or gdb
    how: str
    pause_ms: float  # for which one thread was stopped; with gdb, all of them
    total_ms: float
    tried: list[dict[str, str]] = field(default_factory=list)  # methods that were not possible, and why
    found: bool = False  # a probe was already there
    socket: str = ""  # path to connect to; or else `listen_fd`
    listen_fd: int | None = None  # the descriptor through which viewers connect
    session: str = ""
    loops: int | None = None  # running event loops; None: not known
    warnings: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What the user should know of the probe."""
        if self.loops != 0:
            return self.warnings
        return [*self.warnings, f"no event loop runs in process {self.pid} yet: it is watched from when one starts"]


def result_of(pid: int, report: dict[str, Any]) -> Result:
    """The result in the helper's words. Raises ConnectError if it failed."""
    if not report.get("ok"):
        raise ConnectError(report.get("message", "attaching failed"), report.get("hint", ""))
    answer = report.get("answer") or {}
    socket = answer.get("socket", "")
    if socket and not report["same_files"]:
        socket = f"/proc/{pid}/root{socket}"
    return Result(
        pid,
        report["python"],
        report["method"],
        report["how"],
        report["pause_ms"],
        report["total_ms"],
        report["tried"],
        answer.get("how") == "found",
        socket,
        answer.get("listen_fd"),
        answer.get("session", ""),
        answer.get("loops"),
        list(answer.get("warnings", ())),
    )
