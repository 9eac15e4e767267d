"""Getting the probe into a process that was started without it; `inject` is what the commands call.

Each module is one idea: `target` reads what can be known from outside, `room` whether a probe fits in, `elf` finds
functions in its memory, `ptrace` stops and moves one thread, `waiting` says which, `thread_injector`, `remote_exec` and
`gdb` are the ways in, `helper` is the process that does it, and `arrival` and `beside` are what runs on the other side.
Standard library only, like the helper.
"""

from __future__ import annotations

from monitor.attach.inject.helper_client import Result, inject

__all__ = ["Result", "inject"]
