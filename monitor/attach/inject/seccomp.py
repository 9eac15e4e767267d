"""Finds out whether a program's seccomp filters would kill it for the probe's system calls, without making them there.

Root can read the filters of a stopped thread (`PTRACE_SECCOMP_GET_FILTER`) and evaluate them: they are classic BPF
(linux/filter.h) over the number and arguments of a call. In a container, where that is not permitted, a program
usually has exactly the filters that looptop has, too: then a child of looptop makes the calls, and is killed instead.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.attach.inject import interruptible_threads
from monitor.attach.inject.ptrace import GoneError, PtraceError, StuckError, threads_of
from monitor.attach.inject.thread_injector import Borrowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.attach.inject.target import Target

STRICT, FILTER = 1, 2
_ARCH = 0xC000003E  # AUDIT_ARCH_X86_64
_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO
_NO_FILE, _CWD = (1 << 64) - 1, (1 << 64) - 100
_EXIT, _CLONE, _CLONE3 = 60, 56, 435
_TRAP, _ERRNO, _ALLOW = 0x30000, 0x50000, 0x7FFF0000  # actions below the first kill immediately

CALLS: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    ("mmap", 9, (0, 4096, 5, 0x22, _NO_FILE, 0)),
    ("mmap", 9, (0, 8 << 20, 0, 0x20022, _NO_FILE, 0)),
    ("mmap", 9, (0, 1 << 20, 3, 0x22, _NO_FILE, 0)),
    ("munmap", 11, (0, 0)),
    ("mprotect", 10, (0, 0, 3)),
    ("madvise", 28, (0, 0, 4)),
    ("rt_sigprocmask", 14, (0, 0, 0, 8)),
    ("restart_syscall", 219, ()),
    ("clone3", _CLONE3, (0, 88)),
    ("clone", _CLONE, (0x3D0F00,)),
    ("set_robust_list", 273, (0, 24)),
    ("rseq", 334, (0, 32, 2, 0x53053053)),
    ("gettid", 186, ()),
    ("futex", 202, (0, 137)),
    ("memfd_create", 319, (0, 1)),
    ("ftruncate", 77, (_NO_FILE, 0)),
    ("read", 0, (_NO_FILE, 0, 0)),
    ("write", 1, (_NO_FILE, 0, 0)),
    ("pread64", 17, (_NO_FILE, 0, 0, 0)),
    ("pwrite64", 18, (_NO_FILE, 0, 0, 0)),
    ("lseek", 8, (_NO_FILE, 0, 1)),
    ("openat", 257, (_CWD, 0, 0x80000)),
    ("close", 3, (_NO_FILE,)),
    ("newfstatat", 262, (_NO_FILE, 0, 0, 0x1000)),
    ("getdents64", 217, (_NO_FILE, 0, 0)),
    ("ioctl", 16, (_NO_FILE, 0x5421, 0)),
    ("getcwd", 79, (0, 0)),
    ("uname", 63, (0,)),
    ("times", 100, (0,)),
    ("getpid", 39, ()),
    ("getuid", 102, ()),
    ("geteuid", 107, ()),
    ("getrandom", 318, (0, 16, 0)),
    ("clock_gettime", 228, (3, 0)),
    ("clock_nanosleep", 230, (1, 1, 0, 0)),
    ("poll", 7, (0, 0, 0)),
    ("socketpair", 53, (1, 0x80001, 0, 0)),
    ("socketpair", 53, (1, 0x80002, 0, 0)),
    ("getsockname", 51, (_NO_FILE, 0, 0)),
    ("getsockopt", 55, (_NO_FILE, 1, 3, 0, 0)),
    ("sendto", 44, (_NO_FILE, 0, 0, 0, 0, 0)),
    ("recvfrom", 45, (_NO_FILE, 0, 0, 0, 0, 0)),
    ("recvmsg", 47, (_NO_FILE, 0, 0x40000000)),
    ("exit", _EXIT, (0,)),
)
"""System calls that `strace` saw a probe make from start to end on x86-64, with arguments that have no effect."""


def why_not(target: Target) -> tuple[str, str]:
    """Why the filters of a process forbid an injection, and a hint; two empty strings if they do not."""
    groups: dict[tuple[int, int], list[int]] = {}
    for tid in threads_of(target.pid):
        groups.setdefault(_state(target.pid, tid), []).append(tid)
    for (mode, number), tids in sorted(groups.items()):
        if mode == STRICT:
            return "is in the strict mode of seccomp, which kills it for any call but read and write", ""
        if mode == FILTER:
            try:
                deadly = killed_for(_filters(target, tids))
            except (PtraceError, StuckError, GoneError) as error:
                return _without_reading(target.pid, number, str(error))
            if deadly:
                return f"has a seccomp filter that kills it for {', '.join(deadly)}", "a probe needs that"
    return "", ""


def _state(pid: int, tid: int) -> tuple[int, int]:
    """Seccomp mode and number of filters of a thread."""
    try:
        text = Path(f"/proc/{pid}/task/{tid}/status").read_text(errors="replace")
    except OSError:
        return 0, 0
    facts = dict(line.split(":", 1) for line in text.splitlines() if line.startswith("Seccomp"))
    return int(facts.get("Seccomp", "0")), int(facts.get("Seccomp_filters", "-1"))


def _filters(target: Target, tids: list[int]) -> list[bytes]:
    """Filters of the first of these threads that can be stopped safely. Raises PtraceError, StuckError, GoneError."""
    order = [tid for tid, _ in interruptible_threads.threads(target.pid) if tid in tids]
    order += [
        tid for tid in tids if tid not in order and not interruptible_threads.would_interrupt_syscall(target.pid, tid)
    ]
    if not order:
        raise StuckError("its threads are busy")
    borrowed = Borrowed(order[0], target.memory, target.names)
    try:
        return borrowed.filters()
    finally:
        borrowed.restore()


def _without_reading(pid: int, number: int, why: str) -> tuple[str, str]:
    if _like_ours(pid, number):
        if _child_lives():
            return "", ""
        return "has a seccomp filter like that of looptop itself, which kills a process for system calls of a probe", ""
    hint = "as root, outside of its container, looptop can find out"
    return f"has a seccomp filter, which may kill it for system calls of a probe, and cannot be read ({why})", hint


def _like_ours(pid: int, number: int) -> bool:
    """Whether a process and looptop share a container and have equally many filters: the container's."""
    own = os.getpid()
    try:
        spaces = [os.readlink(f"/proc/{one}/ns/pid") for one in (pid, own)]  # noqa: PTH115 - "pid:[…]" is no path
    except OSError:
        return False
    same = spaces[0] == spaces[1] != _FIRST_PID_NAMESPACE
    return same and number > 0 and _state(own, own) == (FILTER, number)


def _child_lives() -> bool:
    child = os.fork()
    if not child:
        try:
            syscall = ctypes.CDLL(None).syscall
            for _, call, arguments in CALLS:
                if call not in (_EXIT, _CLONE, _CLONE3):
                    syscall(ctypes.c_long(call), *map(ctypes.c_ulong, arguments))
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
        except Exception:  # noqa: BLE001 - a call refused with an error kills nobody
            os._exit(0)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def killed_for(filters: Iterable[bytes]) -> list[str]:
    """Names of the calls in `CALLS` for which these filters kill."""
    programs = [list(struct.iter_unpack("=HBBI", program)) for program in filters]
    found: list[str] = []
    refused = False
    for name, number, arguments in CALLS:
        if number == _CLONE and not refused:
            continue  # only called if clone3 is not available
        data = struct.pack("=iIQ6Q", number, _ARCH, 0, *arguments, *(0,) * (6 - len(arguments)))
        # The strictest action wins: the lowest as a signed number.
        action = min((_signed(run(program, data) & 0xFFFF0000) for program in programs), default=_ALLOW)
        refused = number == _CLONE3 and action == _ERRNO
        if action <= _TRAP and name not in found:
            found.append(name)
    return found


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def run(program: list[tuple[int, ...]], data: bytes) -> int:
    """The value that a filter returns for a call. It terminates, because all jumps go forwards."""
    a = x = at = 0
    kept = [0] * 16
    while at < len(program):
        code, yes, no, k = program[at]
        at += 1
        kind, operand = code & 7, x if code & 8 else k
        if kind in (0, 1):  # load
            mode = code & 0xE0
            value = {0: k, 0x20: _word(data, k), 0x60: kept[k & 15], 0x80: len(data)}.get(mode, 0)
            a, x = (value, x) if kind == 0 else (a, value)
        elif kind in (2, 3):  # store
            kept[k & 15] = a if kind == 2 else x
        elif kind == 4:
            a = _computed(code & 0xF0, a, operand)
        elif kind == 5:
            at += k if code & 0xF0 == 0 else yes if _true(code & 0xF0, a, operand) else no
        elif kind == 6:
            return a if code & 0x18 == 0x10 else k
        else:
            a, x = (x, x) if code & 0xF8 == 0x80 else (a, a)
    return 0


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _computed(operation: int, a: int, b: int) -> int:
    work = _OPERATIONS.get(operation >> 4)
    return (a if work is None else work(a, b)) & 0xFFFFFFFF


_OPERATIONS: dict[int, Callable[[int, int], int]] = {
    0: int.__add__,
    1: int.__sub__,
    2: int.__mul__,
    3: lambda a, b: a // b if b else 0,
    4: int.__or__,
    5: int.__and__,
    6: lambda a, b: a << (b & 31),
    7: lambda a, b: a >> (b & 31),
    8: lambda a, _: -a,
    10: int.__xor__,
}


def _true(operation: int, a: int, b: int) -> bool:
    return {0x10: a == b, 0x20: a > b, 0x30: a >= b, 0x40: bool(a & b)}.get(operation, False)
