"""The last resort: gdb, which stops the whole program for a quarter of a second or more.

The main thread is called into only while it waits in a safe system call, otherwise through a pending call. The text
is put into freshly mapped memory, because gdb's strings call the program's malloc.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.attach.inject import interruptible_threads
from monitor.attach.inject.thread_injector import Done, InjectError

if TYPE_CHECKING:
    from monitor.attach.inject.target import Target

OLDEST = 14


def why_not() -> str:
    """Why gdb cannot be used; empty if it can."""
    found = shutil.which("gdb")
    if found is None:
        return "gdb is not installed"
    try:
        output = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"gdb does not run: {error}"
    version = re.search(r"(\d+)\.\d+", output.partition("\n")[0])
    if version is None or int(version[1]) < OLDEST:
        shown = version[1] if version else "?"
        return f"gdb {shown} cannot write the registers of new CPUs; gdb {OLDEST}+ is needed"
    return ""


def _hear() -> None:
    """In the child: unblock SIGCHLD, which gdb needs and the helper blocks; terminating signals stay blocked."""
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})


def run(target: Target, text: str) -> Done:
    """Run a text in the process. Raises InjectError."""
    data = text.encode() + b"\0"
    direct = any(tid == target.pid for tid, _ in interruptible_threads.threads(target.pid))
    run_it = "((int (*)(const char *)) PyRun_SimpleString)"
    if direct:
        calls = [
            "set $state = ((int (*)(void)) PyGILState_Ensure)()",
            f"call (void) {run_it}((char *) $page)",
            "call ((void (*)(int)) PyGILState_Release)($state)",
        ]
    else:
        calls = ["call ((int (*)(void *, void *)) Py_AddPendingCall)((void *) PyRun_SimpleString, (void *) $page)"]
    with tempfile.TemporaryDirectory(prefix="looptop-") as folder:
        file = Path(folder, "text")
        file.write_bytes(data)
        mmap = "((unsigned long (*)(long, long, int, int, int, long)) mmap)"
        script = [
            f"set $page = {mmap}(0, {len(data)}, 3, 0x22, -1, 0)",
            f"restore {file} binary $page",
            *calls,
            "detach",
        ]
        command = ["gdb", "-p", str(target.pid), "-batch", "-nx", "--readnever", "-iex", "set auto-load off"]
        began = time.monotonic()
        # No timeout: killing gdb in the middle of a call would kill the program.
        done = subprocess.run(  # noqa: S603
            [*command, *(word for line in script for word in ("-ex", line))],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            preexec_fn=_hear,
        )
    if done.returncode:
        raise InjectError((done.stderr.strip().splitlines() or ["gdb failed"])[-1])
    return Done("gdb", time.monotonic() - began)
