"""Injects the probe into a process that was started without it; commands call `inject`.

Each module does one thing: `target` reads what is visible from outside, `resource_limits` checks whether a probe fits,
`elf` finds functions in the process's memory, `ptrace` stops and moves one thread, `interruptible_threads` picks it,
`thread_injector`, `remote_exec` and `gdb` are the methods, `helper` is the process that uses them, and `bootstrap`
and `module_loader` run inside the target. Standard library only, like the helper.
"""

from __future__ import annotations

from monitor.attach.inject.helper_client import inject
from monitor.attach.inject.result import Result

__all__ = ["Result", "inject"]
