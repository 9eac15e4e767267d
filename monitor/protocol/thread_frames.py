"""The reply to the request `threads`: the threads of a program at one moment."""

from typing import Annotated

import msgspec

from monitor.protocol.rows import Int, Microseconds, Stack, Text


class AskedBy(msgspec.Struct, frozen=True):
    """The task that waits for the job of an executor."""

    id: Int | None = None
    name: Text = ""
    coro: Text = ""


class ThreadJob(msgspec.Struct, frozen=True):
    """The job that a thread of an executor runs."""

    function: Text
    site: Int = 0
    task: AskedBy | None = None


class ThreadFacts(msgspec.Struct, frozen=True):
    """A thread. `at`: index of the innermost frame of user code in its stack.

    `cpu`: CPU time so far; `queued`: time so far in which it was ready and had no processor; `gil`: time in which it
    had the GIL, since some viewer asked for that; None if it is not known.
    """

    native: Int
    read: Microseconds
    cpu: Microseconds
    state: Text
    queued: Microseconds | None = None
    gil: Microseconds | None = None
    name: Text = ""
    ident: Int | None = None
    daemon: bool | None = None
    stack: Stack = []
    at: Int = -1
    job: ThreadJob | None = None


class ThreadsReply(msgspec.Struct, frozen=True):
    """The threads at one moment: `at` by the monotonic clock, `time` Unix time if known; `more` were omitted."""

    at: Microseconds
    rows: Annotated[list[ThreadFacts], msgspec.Meta(max_length=10_000)]
    more: Int = 0
    time: Microseconds | None = None
