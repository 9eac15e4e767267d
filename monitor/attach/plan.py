"""What attaching to a process would do, and why: `--dry-run`, here and on the other side of `--via`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.attach import outside
from monitor.attach.targets import resolve
from monitor.errors import ConnectError, ProcessGone
from monitor.transport.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.attach.inject.result import Result


def plan(pid: int, entering: Callable[[int], str], method: str, read_only: bool) -> str:
    """How looptop would attach, as lines of text. `entering`: how a probe would be put in.

    Raises the errors of a real attach.
    """
    if read_only:
        why = outside.why_not(pid)
        if why is not None:
            raise ConnectError(why, "without --read-only a probe would be injected")
        return f"would be watched read-only, from outside: {outside.ASKED}"
    plans: list[str] = []

    def enter(entered: int) -> Address:
        plans.append(entering(entered))
        return Address(pid=entered)

    try:
        resolve(str(pid), inject=enter)
    except ProcessGone:
        raise
    except ConnectError as refused:
        if method != "auto" or outside.why_not(pid) is not None:
            raise
        return f"would be watched read-only, from outside: {refused.message}\nto put a probe in: {refused.hint}"
    return plans[0] if plans else f"process {pid} has a probe: it would be watched through that"


def lines_of(dry: Result, why_python: str) -> str:
    """The plan of an injection as lines of text; `why_python`: why the hooks would not be those in C."""
    lines = [f"process {dry.pid} runs Python {dry.python}", f"would be entered by {dry.method}: {dry.how}"]
    lines += [f"with hooks in {f'pure Python ({why_python})' if why_python else 'C'}"]
    lines += [f"not by {one['method']}: {one['why']}" for one in dry.tried if {"method", "why"} <= one.keys()]
    return "\n".join(lines)
