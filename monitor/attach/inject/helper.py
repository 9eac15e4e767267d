"""The helper process that injects: separate, with signals blocked, alive for a fraction of a second. Prints JSON.

helper PID --method auto|remote_exec|ptrace|gdb --timeout S [--force] [--dry-run]

It reads the name of the answer file, the text and the parts from stdin. If stdin closes early, its parent has gone:
it stops waiting, but never in the middle of an operation on the target.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from monitor.attach.inject import gdb, interruptible_threads, remote_exec, seccomp, thread_injector
from monitor.attach.inject.ptrace import GoneError, PtraceError, StuckError
from monitor.attach.inject.target import Target, look
from monitor.attach.inject.thread_injector import Done, InjectError
from monitor.errors import NO_CONNECTION, ConnectError
from monitor.transport.mailbox import Answer, BootstrapResult

METHODS = ("remote_exec", "ptrace", "gdb")
LOADING = 4.0
"""Additional seconds for a probe that has begun to load."""

_HOW_TO_RUN = "start it with: looptop run SCRIPT"


def main(arguments: list[str] | None = None) -> int:
    """Run the helper; its exit status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    options = parser().parse_args(arguments)
    lengths = [int(word) for word in sys.stdin.buffer.readline().split()]
    pieces = [sys.stdin.buffer.read(length) for length in lengths]
    if [len(piece) for piece in pieces] != lengths or len(pieces) != 3:
        return NO_CONNECTION  # the parent ended while writing
    result = injected(options, pieces[0].decode(), pieces[1].decode(), pieces[2])
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    return 0 if result["ok"] else NO_CONNECTION


def injected(options: argparse.Namespace, name: str, text: str, parts: bytes) -> dict[str, Any]:
    """Inject, and say how it went. Signals must be blocked, and stdin be a pipe that closes when nobody waits."""
    gc.disable()
    began = time.monotonic()
    tried: list[dict[str, str]] = []
    try:
        result = work(options, name, text, parts, tried)
    except ConnectError as error:
        result = {"ok": False, "message": error.message, "hint": error.hint}
    except (PtraceError, StuckError, GoneError, InjectError, OSError) as error:
        result = {"ok": False, "message": f"attaching to PID {options.pid} failed: {error}", "hint": _HOW_TO_RUN}
    result.update({"tried": tried, "total_ms": round((time.monotonic() - began) * 1e3, 2)})
    return result


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m monitor.attach.inject", description="Puts a probe into a process.")
    made.add_argument("pid", type=int)
    made.add_argument("--method", choices=("auto", *METHODS), default="auto")
    made.add_argument("--timeout", type=float, default=5.0, metavar="S")
    made.add_argument(
        "--force",
        action="store_true",
        help="also where remote debugging is disabled, or a seccomp filter may kill the program",
    )
    made.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    return made


def _cancelled() -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(ready)


def work(
    options: argparse.Namespace, name: str, text: str, parts: bytes, tried: list[dict[str, str]]
) -> dict[str, Any]:
    """Inject by the first available method. Raises ConnectError."""
    target = look(options.pid)
    if target.remote_off and not options.force:
        raise ConnectError(
            f"PID {target.pid} runs Python {target.python} with remote debugging disabled ({target.remote_off})",
            "not attaching; --force injects by ptrace",
        )
    if not options.force:
        _check_seccomp(target)
    facts = {"ok": True, "pid": target.pid, "python": target.python, "same_files": target.same_files}
    ways = open_ways(target, options.method, tried)
    if not ways:
        raise ConnectError(f"cannot get into PID {target.pid} ({'; '.join(_reasons(tried))})", _HOW_TO_RUN)
    if options.dry_run:
        return {**facts, "method": ways[0], "how": _plan(ways[0], target), "pause_ms": 0.0, "answer": None}
    answer = Answer(target.pid, name, parts)
    deadline = time.monotonic() + options.timeout
    for way in ways:
        try:
            done = _go(way, target, text, answer, deadline)
        except (InjectError, PtraceError) as error:
            tried.append({"method": way, "why": str(error)})
            continue
        result = _wait(target, answer, done, deadline, options.timeout)
        pause = round(done.pause * 1e3, 3)
        return {**facts, "method": way, "how": done.how, "pause_ms": pause, "answer": asdict(result)}
    raise ConnectError(f"cannot get into PID {target.pid} ({'; '.join(_reasons(tried))})", _HOW_TO_RUN)


def _check_seccomp(target: Target) -> None:
    why, hint = seccomp.why_not(target)
    if why:
        hint = f"{hint}; " if hint else ""
        raise ConnectError(f"PID {target.pid} {why}", f"{hint}not attaching; --force goes in all the same")


def _reasons(tried: list[dict[str, str]]) -> list[str]:
    return [f"{entry['method']}: {entry['why']}" for entry in tried]


def open_ways(target: Target, wanted: str, tried: list[dict[str, str]]) -> list[str]:
    """The available methods, best first; reasons against the others are appended to `tried`."""
    ways: list[str] = []
    for way in METHODS:
        if wanted not in ("auto", way):
            continue
        if way == "gdb" and ways and wanted == "auto":
            continue  # asking gdb for its version takes longer than injecting
        closed = {"remote_exec": lambda: remote_exec.why_not(target), "gdb": gdb.why_not}.get(way, lambda: "")()
        if not closed and way != "ptrace" and wanted == "auto" and target.foreign:
            closed = "it opens files that another user's program names; --method allows it"
        if closed:
            tried.append({"method": way, "why": closed})
        else:
            ways.append(way)
    return ways


def _plan(way: str, target: Target) -> str:
    """One line on what a method would do."""
    if way == "remote_exec":
        return "its main thread runs the probe's text when it next looks up; if it waits in epoll, after a nudge"
    if way == "gdb":
        return "all of it stands still for a quarter of a second or more"
    sitting = interruptible_threads.threads(target.pid)
    if not sitting:
        return "no thread of it sits still now: its main thread is stopped where it is, and gets a pending call"
    tid, where = sitting[0]
    which = "its main thread" if tid == target.pid else f"its thread {tid}"
    return f"{which} waits in {where}: it is borrowed for about a millisecond, and a new thread starts the probe"


def _go(way: str, target: Target, text: str, answer: Answer, deadline: float) -> Done:
    if way == "remote_exec":
        return remote_exec.run(target, text, answer, nudge=True)
    if way == "gdb":
        return gdb.run(target, text)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)  # one thread of the target is stopped meanwhile
    return thread_injector.inject(target.pid, target.memory, target.names, text.encode(), deadline)


def _wait(target: Target, answer: Answer, done: Done, deadline: float, timeout: float) -> BootstrapResult:
    try:
        result = answer.wait(max(deadline, time.monotonic() + 0.05), _cancelled)
        if result is None and answer.seen:  # it runs, and waits for the GIL repeatedly
            result = answer.wait(time.monotonic() + LOADING, _cancelled)
    except ProcessLookupError:
        raise ConnectError(f"process {target.pid} has ended while looptop attached to it", "") from None
    if result is None and _cancelled():
        raise ConnectError(f"attaching to PID {target.pid} was cancelled", "a probe that still arrives removes itself")
    if result is None and answer.seen:
        text = f"the probe of PID {target.pid} is still loading after {timeout:g} s"
        raise ConnectError(text, "threads of the program hold the GIL most of the time: try a longer --timeout")
    if result is None and "pending" in done.how:
        text = f"the main thread of PID {target.pid} has not reached a safe point after {timeout:g} s"
        raise ConnectError(text, "it is in one long call: try again, or with a longer --timeout")
    if result is None:
        text = f"PID {target.pid} has not started the probe after {timeout:g} s"
        raise ConnectError(text, "one call of it keeps the interpreter: try again, or with a longer --timeout")
    if result.refused:
        if result.refused == "asyncio":
            text = f"no asyncio loop is running in PID {target.pid}"
            raise ConnectError(text, "it is Python but has not loaded asyncio")
        raise ConnectError(f"the probe cannot work in PID {target.pid}", result.refused)
    if result.error:
        raise ConnectError(f"the probe did not start in PID {target.pid}", result.error)
    return result
