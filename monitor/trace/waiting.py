"""Infers what a task waited on, and what ended the wait, from frames: a table of asyncio's functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.trace.events import Kind

if TYPE_CHECKING:
    from monitor.store.model import Site
    from monitor.trace.timeline import Wait


@dataclass(frozen=True, slots=True)
class WaitedOn:
    """What was waited on; the kinds are those of `waiting_on` in docs/protocol.md."""

    kind: str
    repr: str = ""
    object: int = 0  # the probe's number of the object; 0: unknown


@dataclass(frozen=True, slots=True)
class WokenBy:
    """What ended a wait: task, timer, socket, thread, callback or signal."""

    kind: str
    task: int = 0
    name: str = ""
    at: Site | None = None


_BY_FUNCTION = (
    ("asyncio/locks.py", "Lock.", "lock"),
    ("asyncio/locks.py", "Condition.", "condition"),
    ("asyncio/locks.py", "Event.", "event"),
    ("asyncio/locks.py", "Semaphore.", "semaphore"),
    ("asyncio/locks.py", "BoundedSemaphore.", "semaphore"),
    ("asyncio/locks.py", "Barrier.", "barrier"),
    ("asyncio/queues.py", "", "queue"),
    ("asyncio/streams.py", "", "socket"),
    ("asyncio/sslproto.py", "", "socket"),
    ("asyncio/selector_events.py", "", "socket"),
    ("asyncio/base_events.py", "BaseEventLoop.getaddrinfo", "executor"),
    ("asyncio/base_events.py", "BaseEventLoop.sock", "socket"),
    ("asyncio/base_events.py", "BaseEventLoop.create", "socket"),
    ("asyncio/base_subprocess.py", "", "subprocess"),
    ("asyncio/subprocess.py", "", "subprocess"),
    ("asyncio/taskgroups.py", "", "gather"),
    ("asyncio/tasks.py", "sleep", "sleep"),
    ("asyncio/tasks.py", "wait", "task"),
    ("asyncio/tasks.py", "_wait", "task"),
    ("asyncio/tasks.py", "wait_for", "future"),
    ("asyncio/threads.py", "", "executor"),
    ("uvloop/loop.pyx", "get", "executor"),  # getaddrinfo, getnameinfo: in threads of libuv
    ("uvloop/loop.pyx", "sock", "socket"),
    ("uvloop/loop.pyx", "create", "socket"),
    ("uvloop/loop.pyx", "start_tls", "socket"),
    ("uvloop/loop.pyx", "subprocess", "subprocess"),
    ("handles/process.pyx", "", "subprocess"),
)
_BY_WAKER = (
    ("asyncio/futures.py", "_set_state", "executor"),
    ("asyncio/futures.py", "_copy_future_state", "executor"),
    ("asyncio/futures.py", "_call_set_state", "executor"),
    ("asyncio/futures.py", "_chain_future", "executor"),
    ("asyncio/tasks.py", "gather", "gather"),
    ("asyncio/tasks.py", "_GatheringFuture", "gather"),
    ("asyncio/tasks.py", "shield", "future"),
)
_NAMED = ("lock", "semaphore", "event", "condition", "barrier", "queue", "pool")
_POOL = re.compile(r"pool|connector", re.IGNORECASE)
_PEERS = ("socket", "subprocess")
_SOCKETS = ("asyncio/streams.py", "asyncio/selector_events.py", "asyncio/sslproto.py", "asyncio/transports.py")


def is_asyncios(site: Site | None) -> bool:
    """Whether a line is one of asyncio's own."""
    return site is not None and _ending(site).startswith("asyncio/")


def _ending(site: Site) -> str:
    return "/".join(site.file.replace("\\", "/").rsplit("/", 2)[-2:])


def _find(site: Site | None, table: tuple[tuple[str, str, str], ...]) -> str:
    if site is None:
        return ""
    file, name = _ending(site), site.function.removeprefix("Loop.")
    for ending, function, kind in table:
        if file == ending and name.startswith(function):
            return kind
    return ""


def waited_on(wait: Wait | None, woken: WokenBy | None, woke_by_end: bool) -> WaitedOn:
    """Return what a wait was on. `woke_by_end`: the task that ended the wait did so by ending."""
    kind = ""
    pool = None
    if wait is not None:
        kind = _find(wait.innermost, _BY_FUNCTION)
        by_waker = _find(wait.waking, _BY_WAKER)
        if not kind or (kind == "future" and by_waker):
            kind = by_waker
        if not kind and wait.waking is not None and _ending(wait.waking) in _SOCKETS:
            kind = "socket"
        if kind in ("lock", "semaphore", "condition", "queue", "future", ""):
            pool = next((site for site in (wait.users, wait.package) if is_pool(site)), None)
            kind = "pool" if pool is not None else kind
    if not kind and woken is not None:
        kind = {"timer": "sleep", "socket": "socket", "thread": "executor"}.get(woken.kind, "")
    if not kind and woke_by_end:
        kind = "task"
    if wait is None:
        return WaitedOn(kind or "future")
    texts = []
    if kind == "queue" and wait.innermost is not None:
        texts.append(wait.innermost.function.rpartition(".")[2])
    if kind == "executor" and wait.innermost is not None and _resolves(wait.innermost):
        texts.append(wait.innermost.function.rpartition(".")[2])
    if pool is not None:
        texts.append(pool.function)
    if wait.name:
        # The kind already implies the type.
        texts.append(wait.name.partition(" ")[2] if kind in _NAMED else wait.name if kind in _PEERS else "")
    return WaitedOn(kind or "future", " ".join(filter(None, texts)), wait.object if kind in (*_NAMED, *_PEERS) else 0)


def _resolves(site: Site) -> bool:
    """Whether a function looks a name up, asyncio's or uvloop's."""
    return site.function.rpartition(".")[2] in ("getaddrinfo", "getnameinfo")


def is_pool(site: Site | None) -> bool:
    """Whether a line belongs to a pool, by the name of its class or function."""
    return site is not None and bool(_POOL.search(site.function))


def by_callback(kind: Kind, wait: Wait | None) -> str:
    """Return what a callback that ended a wait stands for. `kind`: kind of the step that it made ready."""
    waking = None if wait is None else wait.waking
    if kind == Kind.STEP_TIMER:
        return "timer"
    if waking is not None:
        if _find(waking, _BY_WAKER) == "executor":
            return "thread"
        if _ending(waking) in _SOCKETS:
            return "socket"
        if _ending(waking) == "asyncio/futures.py" and waking.function == "_set_result_unless_cancelled":
            return "timer"
        if _ending(waking) in ("asyncio/unix_events.py", "asyncio/base_subprocess.py"):
            return "signal" if "sig" in waking.function else "callback"
    return "callback"
