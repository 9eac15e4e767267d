"""The machine code (x86-64, System V) that runs in the target, and the page that holds it.

A page is `stub | table | text`, mapped read-only and executable. The stub gets the address of the table, runs the
text as Python and unmaps its own page with a tail call of `munmap`, which returns to the stub's caller. So nothing
of it stays, and the caller gets 0 in any case.
"""

from __future__ import annotations

import struct

CALLER = bytes.fromhex("ffd0cc")
"""`call rax; int3`: a call from here returns here even if a shadow stack (CET) checks that."""

SYSCALL = b"\x0f\x05"

_THREAD = bytes.fromhex(
    "53"  # push rbx
    "4154"  # push r12
    "4883ec08"  # sub rsp, 8
    "4889fb"  # mov rbx, rdi
    "ff13"  # call [rbx]         pthread_self
    "4889c7"  # mov rdi, rax
    "ff5308"  # call [rbx+8]     pthread_detach
    "ff5348"  # call [rbx+72]    Py_IsInitialized
    "85c0"  # test eax, eax
    "7413"  # jz over
    "ff5310"  # call [rbx+16]    PyGILState_Ensure
    "4189c4"  # mov r12d, eax
    "488b7b30"  # mov rdi, [rbx+48]  the text
    "ff5318"  # call [rbx+24]    PyRun_SimpleString
    "4489e7"  # mov edi, r12d
    "ff5320"  # call [rbx+32]    PyGILState_Release
    "488b7b38"  # over: mov rdi, [rbx+56]  the page
    "488b7340"  # mov rsi, [rbx+64]  its length
    "488b4328"  # mov rax, [rbx+40]  munmap
    "4883c408"  # add rsp, 8
    "415c"  # pop r12
    "5b"  # pop rbx
    "ffe0"  # jmp rax
)
_PENDING = bytes.fromhex(
    "53"  # push rbx
    "4889fb"  # mov rbx, rdi
    "488b7b30"  # mov rdi, [rbx+48]
    "ff5318"  # call [rbx+24]    PyRun_SimpleString
    "488b7b38"  # mov rdi, [rbx+56]
    "488b7340"  # mov rsi, [rbx+64]
    "488b4328"  # mov rax, [rbx+40]
    "5b"  # pop rbx
    "ffe0"  # jmp rax
)
_PENDING_AT, _TABLE_AT, _TEXT_AT = 128, 256, 512

PYTHON_NAMES = (
    "PyGILState_Ensure",
    "PyGILState_Release",
    "PyRun_SimpleString",
    "Py_AddPendingCall",
    "Py_IsInitialized",
)
LIBC_NAMES = ("pthread_create", "pthread_self", "pthread_detach", "munmap", "syscall")


def size_for(text: bytes) -> int:
    """The length of a page for a text, in bytes of whole memory pages."""
    return (_TEXT_AT + len(text) + 1 + 4095) & ~4095


def page(base: int, size: int, names: dict[str, int], text: bytes) -> bytes:
    """The content of the page at address `base`."""
    table = struct.pack(
        "<10Q",
        names["pthread_self"],
        names["pthread_detach"],
        names["PyGILState_Ensure"],
        names["PyRun_SimpleString"],
        names["PyGILState_Release"],
        names["munmap"],
        base + _TEXT_AT,
        base,
        size,
        names["Py_IsInitialized"],
    )
    return (
        (_THREAD.ljust(_PENDING_AT, b"\xcc") + _PENDING).ljust(_TABLE_AT, b"\xcc")
        + table.ljust(256, b"\0")
        + text
        + b"\0"
    )


def thread_entry(base: int) -> tuple[int, int]:
    """Function and argument for a new thread."""
    return base, base + _TABLE_AT


def pending_entry(base: int) -> tuple[int, int]:
    """Function and argument for a pending call."""
    return base + _PENDING_AT, base + _TABLE_AT
