"""Runs a text in another Python process, in a new thread that takes the GIL, or through a pending call.

One thread is borrowed for about a millisecond, while it waits in a system call in which it holds no lock of the C
library; there `pthread_create` is as safe as anywhere. Nobody waits for the GIL meanwhile, so a program that hogs it
delays only the text, not itself. If no thread of a program ever waits, its main thread is stopped wherever it is, to
call `Py_AddPendingCall`, which needs neither the GIL nor memory.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass

from monitor.attach.inject import code, interruptible_threads
from monitor.attach.inject.ptrace import (
    SYSCALL,
    GoneError,
    Memory,
    PtraceError,
    Registers,
    StuckError,
    Thread,
    everything_blocked,
)

TRIES = 3
UNDISTURBED = 1.0
"""Seconds to wait for a main thread that must not be stopped in its current call."""
STEP = 2.0  # seconds for one stop
TAKEN = 0.5
"""Seconds to retry a thread that somebody else traces: another looptop may have come between our inspection of the
process and this, and holds it for some milliseconds."""
_MMAP, _MUNMAP = 9, 11
_READ_EXEC, _PRIVATE_ANONYMOUS = 5, 0x22
_NO_CALL = (1 << 64) - 1
_INTERRUPTED, _RESTART = (1 << 64) - 4, (1 << 64) - 512  # -EINTR, -ERESTARTSYS
_TRAP = 5


class InjectError(Exception):
    """Injection is not possible; the process is unchanged."""


@dataclass(slots=True)
class Done:
    """How the injection went."""

    how: str
    pause: float  # seconds for which one thread was stopped


def inject(pid: int, memory: Memory, names: dict[str, int], text: bytes, deadline: float) -> Done:
    """Make the process run a text soon. Raises InjectError, PtraceError."""
    until = min(deadline, time.monotonic() + TAKEN)
    while True:
        try:
            return _inject(pid, memory, names, text, deadline)
        except PtraceError as error:
            if error.errno != errno.EPERM or time.monotonic() > until:
                raise
            time.sleep(0.005)


def _inject(pid: int, memory: Memory, names: dict[str, int], text: bytes, deadline: float) -> Done:
    stuck = ""
    for attempt in range(TRIES):
        for tid, _ in interruptible_threads.threads(pid)[:4]:
            try:
                done = _by_thread(tid, memory, names, text)
            except (GoneError, StuckError) as error:
                stuck = str(error) if isinstance(error, StuckError) else stuck
                continue
            if done is not None:
                return done
        if time.monotonic() > deadline:
            raise InjectError(stuck or "no thread of it sat still in time")
        time.sleep(0.002 * (attempt + 1))
    until = min(deadline, time.monotonic() + UNDISTURBED)
    while (call := interruptible_threads.would_interrupt_syscall(pid, pid)) and time.monotonic() < until:
        time.sleep(0.005)
    if call:
        raise InjectError(f"its main thread waits in {call}, which would be cut short")
    return _by_pending_call(pid, memory, names, text, stuck)


def _by_thread(tid: int, memory: Memory, names: dict[str, int], text: bytes) -> Done | None:
    borrowed = Borrowed(tid, memory, names)
    try:
        if not borrowed.in_safe_call():
            return None
        base = borrowed.place(names, text)
        function, argument = code.thread_entry(base)
        scratch = borrowed.scratch
        failed = borrowed.call(names["pthread_create"], scratch, 0, function, argument) & 0xFFFFFFFF
        if failed:
            borrowed.unplace()
            raise InjectError(f"it cannot start a thread ({os.strerror(failed)})")
    finally:
        borrowed.restore()
    return Done("a new thread", borrowed.pause)


def _by_pending_call(pid: int, memory: Memory, names: dict[str, int], text: bytes, stuck: str) -> Done:
    try:
        borrowed = Borrowed(pid, memory, names)
    except (GoneError, StuckError) as error:
        raise InjectError(stuck or str(error) or "its main thread has ended") from None
    try:
        base = borrowed.place(names, text)
        function, argument = code.pending_entry(base)
        failed = borrowed.call(names["Py_AddPendingCall"], function, argument) & 0xFFFFFFFF
        if failed:
            borrowed.unplace()
            raise InjectError("its queue of pending calls is full")
    except (GoneError, StuckError) as error:
        raise InjectError(str(error)) from None
    finally:
        borrowed.restore()
    return Done("a pending call of the main thread", borrowed.pause)


class Borrowed:
    """A stopped thread with its saved state, and calls made on it."""

    def __init__(self, tid: int, memory: Memory, names: dict[str, int]) -> None:
        """Stop the thread. Raises GoneError, StuckError, PtraceError."""
        self._memory = memory
        self.pause = 0.0
        self._pages: list[tuple[int, int]] = []
        self._moved = False
        self._thread = Thread(tid)
        self._since = time.monotonic()
        try:
            self._thread.stop(self._since + STEP)
            self._registers = self._thread.registers()
            if self._registers.rax == _INTERRUPTED and self._registers.orig_rax in interruptible_threads.RESTARTABLE:
                self._registers.rax = _RESTART
                self._thread.set_registers(self._registers)
            self._extended = self._thread.extended()
            self._mask = self._thread.mask()
            self._gate = self._find_gate(names)
        except BaseException:
            self._thread.detach(self._since + 2 * STEP)
            raise
        # Below the red zone, aligned as the ABI requires, with room for a result above.
        self.scratch = ((self._registers.rsp - 1024) & ~63) + 64
        self._stack = self.scratch - 64

    def in_safe_call(self) -> bool:
        """Whether the thread is still in a system call in which it may be borrowed."""
        number = self._registers.orig_rax
        found = self._registers
        arguments = (found.rdi, found.rsi, found.rdx, found.r10)
        return (
            number < 1000
            and interruptible_threads.is_safe(self._thread.tid, number, arguments)
            and self._at_gate(found.rip - 2)
        )

    def filters(self) -> list[bytes]:
        """The seccomp filters of the thread. Raises PtraceError."""
        return self._thread.filters()

    def _at_gate(self, address: int) -> bool:
        return self._memory.read(address, 2) == code.SYSCALL

    def _find_gate(self, names: dict[str, int]) -> int:
        """Find a `syscall` instruction: at the thread's own position, or in libc's `syscall`."""
        before = self._registers.rip - 2
        if self._registers.orig_rax < 1000 and self._at_gate(before):
            return before
        found = self._memory.read(names["syscall"], 64).find(code.SYSCALL)
        if found < 0:
            raise InjectError("its C library has a syscall() that looks unknown")
        return names["syscall"] + found

    def place(self, names: dict[str, int], text: bytes) -> int:
        """Map the pages needed; returns the address of the one with the text."""
        self._call_page = self._map(4096)
        self._memory.write(self._call_page, code.CALLER)
        size = code.size_for(text)
        base = self._map(size)
        self._memory.write(base, code.page(base, size, names, text))
        return base

    def unplace(self) -> None:
        """Unmap the page with the text, which will not be run."""
        self._system_call(_MUNMAP, *self._pages.pop())

    def _map(self, size: int) -> int:
        base = self._system_call(_MMAP, 0, size, _READ_EXEC, _PRIVATE_ANONYMOUS, (1 << 64) - 1, 0)
        if base > (1 << 64) - 4096:
            raise InjectError(f"it may not map executable memory ({os.strerror((1 << 64) - base)})")
        self._pages.append((base, size))
        return base

    def _begin(self, registers: Registers) -> None:
        if not self._moved:
            self._moved = True
            self._thread.set_mask(everything_blocked())
        registers.orig_rax = _NO_CALL  # or the kernel would restart the interrupted call
        self._thread.set_registers(registers)

    def _system_call(self, number: int, *arguments: int) -> int:
        registers = self._registers.copy()
        registers.rip = self._gate
        registers.rax = number
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments):  # noqa: B905 - from 3.10
            setattr(registers, name, value)
        self._begin(registers)
        deadline = time.monotonic() + STEP
        for _ in range(2):  # entry and exit
            self._run_until(_TRAP | 0x80, deadline, SYSCALL)
        return self._thread.registers().rax

    def call(self, function: int, *arguments: int) -> int:
        """Call a function and return its result."""
        registers = self._registers.copy()
        registers.rip = self._call_page
        registers.rax = function
        registers.rsp = self._stack
        registers.eflags &= ~0x500  # clear the single-step and direction flags
        for name, value in zip(("rdi", "rsi", "rdx", "rcx"), arguments):  # noqa: B905 - from 3.10
            setattr(registers, name, value)
        self._begin(registers)
        self._run_until(_TRAP, time.monotonic() + STEP)
        after = self._thread.registers()
        if after.rip != self._call_page + len(code.CALLER):
            raise InjectError(f"a call into it stopped at {after.rip:#x}")
        return after.rax

    def _run_until(self, wanted: int, deadline: float, how: int = 7) -> None:
        sig = 0
        while True:
            self._thread.go_on(sig, how)
            status = self._thread.wait(deadline)
            stop = status >> 8
            if stop == wanted:
                return
            sig = 0
            if stop < 0x80 and stop != _TRAP:
                if stop in (4, 7, 8, 11):
                    raise InjectError(f"a call into it failed with signal {stop}")
                sig = stop  # SIGSTOP or SIGKILL: nothing else passes the mask

    def restore(self) -> None:
        """Restore the thread's state and release it."""
        deadline = time.monotonic() + STEP
        try:
            if self._moved:
                self._back(deadline)
            self._thread.detach(deadline)
        except (GoneError, StuckError):
            pass
        self.pause = time.monotonic() - self._since

    def _back(self, deadline: float) -> None:
        if not self._thread.stopped:
            self._thread.stop(deadline)
        if self._pages:
            with suppress(InjectError, PtraceError):
                self._system_call(_MUNMAP, *self._pages[0])  # the call page; the text page unmaps itself
        # The kernel restarts the interrupted call only after a stop like this.
        self._thread.interrupt_in_place(deadline)
        self._thread.set_registers(self._registers)
        self._thread.set_extended(self._extended)
        self._thread.set_mask(self._mask)
