"""One thread of another process: seized, stopped, read, moved and released (ptrace(2), Linux on x86-64).

The kernel ties a seized thread to the OS thread that seized it, so all calls come from one thread of the helper.
Nothing here waits forever: a thread that does not stop in time raises `StuckError`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import time
from pathlib import Path

CONT, GETREGS, SETREGS, DETACH, SYSCALL = 7, 12, 13, 17, 24
GETREGSET, SETREGSET, SEIZE, INTERRUPT = 0x4204, 0x4205, 0x4206, 0x4207
GETSIGMASK, SETSIGMASK = 0x420A, 0x420B
SECCOMP_GET_FILTER = 0x420C
EVENT_STOP = 128
TRACE_SYSGOOD = 1
NT_X86_XSTATE = 0x202
WALL = 0x40000000  # for waitpid: include threads (wait(2))
MOST_XSTATE = 1 << 15

SYNCHRONOUS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP)
"""If one of these is blocked when it occurs, the kernel resets its handler; so they stay unblocked."""


class PtraceError(OSError):
    """The kernel refused the request."""


class StuckError(Exception):
    """The thread did not stop in time."""


class GoneError(Exception):
    """The thread has ended."""


class Registers(ctypes.Structure):
    """`struct user_regs_struct` of x86-64."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
            *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
        )
    )

    rax: int
    rcx: int
    rdx: int
    rsi: int
    rdi: int
    r8: int
    r9: int
    r10: int
    rbp: int
    rip: int
    rsp: int
    orig_rax: int
    eflags: int

    def copy(self) -> Registers:
        """A copy with the same values."""
        return Registers.from_buffer_copy(self)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, tid: int, address: object = None, data: object = None) -> int:
    ctypes.set_errno(0)
    result = int(_libc.ptrace(request, tid, address, data))
    if result == -1:
        number = ctypes.get_errno()
        if number == 3:  # ESRCH
            raise GoneError(tid)
        if number:
            raise PtraceError(number, os.strerror(number))
    return result


class Memory:
    """The memory of a process, through /proc."""

    def __init__(self, pid: int) -> None:
        """Raises OSError if we may not trace the process."""
        self._handle = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)

    def read(self, address: int, size: int) -> bytes:
        """Read memory. Raises OSError if it is not mapped."""
        if not 0 <= address < 1 << 63:  # pread(2) takes no larger offset
            raise OSError(errno.EIO, f"nothing is mapped at {address:#x}")
        data = os.pread(self._handle, size, address)
        if len(data) != size:
            raise OSError(errno.EIO, f"only {len(data)} of {size} bytes are mapped at {address:#x}")
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write memory, whatever the protection of the page."""
        done = 0
        while done < len(data):
            done += os.pwrite(self._handle, data[done:], address + done)

    def close(self) -> None:
        """Close the memory file of the process, which stays as it is."""
        os.close(self._handle)


class Thread:
    """A seized thread. Unchanged after `detach`, or if this process dies while the thread runs."""

    def __init__(self, tid: int) -> None:
        """Seize the thread without stopping it. Raises PtraceError, GoneError."""
        self.tid = tid
        self.stopped = False
        _ptrace(SEIZE, tid, None, TRACE_SYSGOOD)

    def stop(self, deadline: float) -> None:
        """Stop this thread and no other."""
        _ptrace(INTERRUPT, self.tid)
        while True:
            status = self.wait(deadline)
            if status >> 16 == EVENT_STOP:
                return
            self.go_on(_signal_of(status))

    def interrupt_in_place(self, deadline: float) -> None:
        """Turn any stop into one on the way back to user space, without executing an instruction of the program."""
        _ptrace(INTERRUPT, self.tid)
        self.go_on()
        while self.wait(deadline) >> 16 != EVENT_STOP:
            self.go_on()

    def wait(self, deadline: float) -> int:
        """Wait for the next stop; waitpid's status."""
        pause = 0.00002
        while True:
            try:
                tid, status = os.waitpid(self.tid, WALL | os.WNOHANG)
            except ChildProcessError:
                raise GoneError(self.tid) from None
            if tid:
                if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                    raise GoneError(self.tid)
                self.stopped = True
                return status
            if time.monotonic() > deadline:
                raise StuckError(f"thread {self.tid} did not stop in time")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.001)

    def go_on(self, sig: int = 0, how: int = CONT) -> None:
        """Let the thread run, and deliver a signal that arrived for it."""
        self.stopped = False
        _ptrace(how, self.tid, None, sig)

    def registers(self) -> Registers:
        """The general-purpose registers of the stopped thread."""
        found = Registers()
        _ptrace(GETREGS, self.tid, None, ctypes.byref(found))
        return found

    def set_registers(self, registers: Registers) -> None:
        """Set the general-purpose registers."""
        _ptrace(SETREGS, self.tid, None, ctypes.byref(registers))

    def extended(self) -> bytes:
        """The vector and floating point registers, all that this CPU has."""
        buffer = ctypes.create_string_buffer(MOST_XSTATE)
        vector = _Vector(ctypes.addressof(buffer), MOST_XSTATE)
        _ptrace(GETREGSET, self.tid, NT_X86_XSTATE, ctypes.byref(vector))
        return buffer.raw[: vector.length]

    def set_extended(self, state: bytes) -> None:
        """Restore the state from `extended`."""
        buffer = ctypes.create_string_buffer(state, len(state))
        vector = _Vector(ctypes.addressof(buffer), len(state))
        _ptrace(SETREGSET, self.tid, NT_X86_XSTATE, ctypes.byref(vector))

    def mask(self) -> int:
        """The blocked signals, bit 0 for signal 1."""
        mask = ctypes.c_uint64()
        _ptrace(GETSIGMASK, self.tid, 8, ctypes.byref(mask))
        return mask.value

    def set_mask(self, mask: int) -> None:
        """Block exactly these signals."""
        value = ctypes.c_uint64(mask)
        _ptrace(SETSIGMASK, self.tid, 8, ctypes.byref(value))

    def filters(self) -> list[bytes]:
        """The seccomp filters, as `struct sock_filter`. Raises PtraceError if not permitted."""
        found: list[bytes] = []
        while True:
            try:
                length = _ptrace(SECCOMP_GET_FILTER, self.tid, len(found))
            except PtraceError as error:
                if error.errno == errno.ENOENT:
                    return found
                raise
            buffer = ctypes.create_string_buffer(8 * length)
            _ptrace(SECCOMP_GET_FILTER, self.tid, len(found), buffer)
            found.append(buffer.raw)

    def detach(self, deadline: float) -> None:
        """Release the thread. A running thread is stopped briefly first, as the kernel requires."""
        try:
            if not self.stopped:
                self.stop(deadline)
            self.stopped = False
            _ptrace(DETACH, self.tid)
        except GoneError:
            return


def everything_blocked() -> int:
    """A signal mask of all signals except those that a fault raises in the thread itself."""
    mask = (1 << 64) - 1
    for number in SYNCHRONOUS:
        mask &= ~(1 << (number - 1))
    return mask


def threads_of(pid: int) -> list[int]:
    """The ids of a process's threads, main thread first."""
    found = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir() if path.name.isdigit()]
    return sorted(found, key=lambda tid: (tid != pid, tid))


def _signal_of(status: int) -> int:
    number = os.WSTOPSIG(status) & 0x7F
    return 0 if status >> 16 else number
