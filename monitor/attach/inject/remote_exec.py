"""Injection by the interpreter's own means, from Python 3.14 on: its main thread runs a file at its next check.

A main thread that waits in `epoll_wait` does not check, so it is interrupted once, by a stop that the program does not
notice. One that sleeps in C does not check even then: the request is withdrawn, and another method is tried.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.attach.inject import interruptible_threads
from monitor.attach.inject.ptrace import GoneError, PtraceError, StuckError, Thread, threads_of
from monitor.attach.inject.thread_injector import Done, InjectError

if TYPE_CHECKING:
    from monitor.attach.inject.target import Target
    from monitor.transport.mailbox import Answer

AT_ONCE = 0.03
"""Seconds within which a busy program usually runs the file."""

IN_TIME = 0.25
"""Additional seconds for one that is in a call, or was nudged."""

AT_MOST = 1.5
"""Additional seconds while a thread of it runs or waits for a CPU, which takes time on a busy machine."""

_HOPELESS = set(interruptible_threads.SAFE.values()) - set(interruptible_threads.WAITING.values())
"""System calls that resume after a nudge without returning to Python."""


def why_not(target: Target) -> str:
    """Why this method cannot be used; empty if it can."""
    ours = sys.version_info[:2]
    if target.version < (3, 14):
        return f"Python {target.python} has no sys.remote_exec (3.14 has)"
    if not hasattr(sys, "remote_exec") or target.version[:2] != ours:
        return f"sys.remote_exec needs looptop under Python {target.version[0]}.{target.version[1]}, too"
    if target.remote_off:
        return f"remote debugging is disabled ({target.remote_off})"
    if not target.same_files:
        return "it is in another mount namespace"
    return ""


def run(target: Target, text: str, answer: Answer, nudge: bool) -> Done:
    """Request that the text is run, and wait a moment. Raises InjectError if it was not."""
    folder = Path(tempfile.mkdtemp(prefix="looptop-"))
    try:
        folder.chmod(0o755)  # the other user must be able to read it, and nobody to write it
        script = folder / "attach.py"
        script.write_text(text, encoding="utf-8")
        script.chmod(0o644)
        try:
            sys.remote_exec(target.pid, os.fspath(script))  # type: ignore[attr-defined, unused-ignore]
        except (RuntimeError, OSError) as error:
            raise InjectError(str(error)) from None
        pause = 0.0
        if answer.wait(time.monotonic() + AT_ONCE) is not None:
            return Done("sys.remote_exec", pause)
        where = dict(interruptible_threads.threads(target.pid)).get(target.pid)
        if where not in _HOPELESS:
            if nudge and where is not None:
                pause = _nudge(target.pid)
            if _wait(target.pid, answer):
                return Done("sys.remote_exec and a nudge" if pause else "sys.remote_exec", pause)
        # An empty script, because a missing one is reported; a later request replaces an earlier one.
        sys.remote_exec(target.pid, os.devnull)  # type: ignore[attr-defined, unused-ignore]
        if answer.wait(time.monotonic() + 0.02) is not None:
            return Done("sys.remote_exec", pause)
        raise InjectError("its main thread does not get back to the interpreter (it sleeps or waits in C)")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(pid: int, answer: Answer) -> bool:
    began = time.monotonic()
    while answer.wait(time.monotonic() + 0.05) is None:
        waited = time.monotonic() - began
        if waited > AT_MOST or (waited > IN_TIME and not _runs(pid)):
            return False
    return True


def _runs(pid: int) -> bool:
    """Whether a thread of a process is running or ready to run."""
    for tid in threads_of(pid):
        try:
            state = Path(f"/proc/{pid}/task/{tid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            continue
        if state in "RD":
            return True
    return False


def _nudge(pid: int) -> float:
    """Stop and resume the main thread, which ends a wait in epoll."""
    began = time.monotonic()
    try:
        thread = Thread(pid)
        try:
            thread.stop(began + 1.0)
        finally:
            thread.detach(began + 2.0)
    except (PtraceError, StuckError, GoneError):
        pass
    return time.monotonic() - began
