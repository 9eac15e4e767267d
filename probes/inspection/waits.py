"""What a task waits on, read from its innermost frames and the future at the end. No hooks, no repr of the program.

The innermost frames of a waiting task are those of asyncio's waiting functions, whose locals show what they wait for
(`self`, the timer of a sleep, the socket). Without such a frame the future shows it: a task, a gather, the asyncio side
of an executor's future. Written for asyncio of 3.11 to 3.13.
"""

from __future__ import annotations

import asyncio
from asyncio import base_events, base_subprocess, locks, queues, selector_events, streams, subprocess, tasks
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.task_facts import coro_name, is_done, task_name
from ..hooks.reading import Place, callbacks_of, closure_of, hold, hold_all, values_of
from . import library_waits
from .library_waits import peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

Locals = dict[str, Any]
MOST_COUNTED = 200
"""Most waiters that are checked for still waiting; of a longer queue only the length is used, to bound the cost."""

LONGEST = 1e9
"""Longest sleep (s) whose end is shown: anyio's `sleep_forever` sleeps for an infinite time."""


class Wait:
    """What a task waits on. `waited` is the object (to find its holder), `tasks` the tasks it waits for."""

    __slots__ = ("facts", "kind", "tasks", "text", "waited")

    def __init__(self, kind: str, text: str, waited: Any = None, tasks: list[Any] | None = None, **facts: Any) -> None:
        self.kind = kind
        self.text = text
        self.waited = waited
        self.tasks = tasks or []
        self.facts = facts


def read(frames: list[Place], leaf: Any, named: bool = True) -> Wait | None:
    """What the task of these frames (outermost first) waits on; `leaf` is its `_fut_waiter`. None: it is ready.

    `named`: also look up what an event or a future of a library stands for, which takes several times as long.
    """
    if leaf is None or is_done(leaf):
        return None
    try:
        return _read(frames, leaf, named)
    except Exception:  # an awaitable, lock or queue of the program's own failed to answer
        return Wait("future", type(leaf).__name__, waited=leaf)


def _read(frames: list[Place], leaf: Any, named: bool) -> Wait:
    found = _in_compiled_code(frames, leaf)
    if found is not None:
        return found
    for code, _, place in reversed(frames):
        reader = _READERS.get(code)
        if reader is not None:
            values = values_of(place)
            wait = None if values is None else reader(values)
            if found is None:
                found = wait
            elif wait is not None and wait.kind in ("queue", "barrier"):
                return wait  # Queue.join waits on an internal event, a barrier on a condition
            if found is not None and found.kind not in ("event", "condition"):
                return found
        elif sites.plumbing[code.co_filename] == sites.USER:
            break
    found = found or _of_future(leaf)
    return _named(found, frames) if named and found.kind in ("event", "condition", "future") else found


_COMPILED = (
    ("get", "executor"),  # getaddrinfo, getnameinfo: in threads of libuv
    ("sock", "socket"),
    ("create", "socket"),
    ("start_tls", "socket"),
    ("subprocess", "subprocess"),
)
"""What uvloop's own coroutines wait for, by the beginning of their names (as in monitor/trace/waiting.py)."""


def _in_compiled_code(frames: list[Place], leaf: Any) -> Wait | None:
    """What a coroutine of uvloop waits for, which is compiled: it has a name, and no values of its variables."""
    for code, _, _ in reversed(frames):
        file = code.co_filename
        if file.startswith(sites.COMPILED):
            for beginning, kind in _COMPILED:
                if code.co_name.startswith(beginning):
                    return Wait(kind, code.co_name, waited=leaf)
            return None
        if not sites.is_stdlib(file):
            return None
    return None


def _named(wait: Wait, frames: list[Place]) -> Wait:
    """The wait for what an event or a future of a library stands for, if that can be read."""
    try:
        found = library_waits.behind(frames, wait.waited)
    except Exception:
        return wait
    if found is None:
        return wait
    kind, text, waited, behind = found
    if kind:
        facts = {"running": True} if kind == "executor" else {}
        return Wait(kind, text, waited=waited, tasks=behind, **facts)
    wait.text = f"{text} {wait.text}" if text == "anyio" else f"{wait.text} in {text}"
    return wait


def _called(task: Any) -> str:
    """A task's name for display; a default name of asyncio is followed by the coroutine."""
    name = task_name(task)
    if not (name.startswith("Task-") and name[5:].isdigit()):
        return name
    return f"{coro_name(task).rpartition('.')[2]}() {name}"


def _of_future(leaf: Any) -> Wait:
    if isinstance(leaf, asyncio.Task):
        return Wait("task", _called(leaf), tasks=[leaf])
    children = getattr(leaf, "_children", None)
    if isinstance(children, list):
        pending = [child for child in hold_all(list(children)) if not child.done()]
        behind = [child for child in pending if isinstance(child, asyncio.Task)]
        return Wait("gather", f"{len(pending)} of {len(children)} pending", tasks=behind)
    for callback in callbacks_of(leaf):
        name = getattr(callback, "__qualname__", "")
        if name == "_chain_future.<locals>._call_check_cancel":
            source = closure_of(callback).get("source")
            if source is not None and not isinstance(source, asyncio.Future):
                running = "running" if source.running() else "queued"
                return Wait("executor", running, waited=source, running=source.running())
        elif name == "shield.<locals>._outer_done_callback":
            inner = closure_of(callback).get("inner")
            if isinstance(inner, asyncio.Task):
                return Wait("task", f"shield of {_called(inner)}", tasks=[inner])
    return Wait("future", type(leaf).__name__, waited=leaf)


def _sleep(found: Locals) -> Wait | None:
    timer = found.get("h")
    if timer is None:
        return None
    when = getattr(timer, "when", None)
    if when is None:
        return Wait("sleep", seconds(found.get("delay")))
    loop = found.get("loop")
    clock = loop.time() if loop is not None else monotonic()
    left = when() - clock
    if left > LONGEST:
        return Wait("sleep", "forever")
    return Wait("sleep", seconds(found.get("delay")), wakes_at=round((time() + left) * 1e6))


def seconds(value: Any) -> str:
    """A duration with three significant digits."""
    value = float(value or 0.0)
    if value < 0.1:
        return f"{value * 1e3:.3g} ms" if value else "0 s"
    return f"{value:.3g} s" if value < 100 else f"{min(value, 1e12):.0f} s"


def _of(value: Any, *facts: str) -> str:
    known = ", ".join(fact for fact in facts if fact)
    return f"{type(value).__name__}({known})"


def _waiters(value: Any) -> int:
    waiters = getattr(value, "_waiters", None) or ()
    if len(waiters) > MOST_COUNTED:
        return len(waiters)
    return sum(1 for waiter in hold_all(list(waiters)) if not waiter.done())


def _lock(found: Locals) -> Wait | None:
    lock = found.get("self")
    if lock is None:
        return None
    waiting = _waiters(lock)
    state = "locked" if lock._locked else "unlocked"
    return Wait("lock", _of(lock, state, f"{waiting} waiting"), waited=lock, waiters=waiting)


def _event(found: Locals) -> Wait | None:
    event = found.get("self")
    waiting = _waiters(event)
    return event and Wait("event", _of(event, f"{waiting} waiting"), waited=event, waiters=waiting)


def _condition(found: Locals) -> Wait | None:
    condition = found.get("self")
    waiting = _waiters(condition)
    return condition and Wait("condition", _of(condition, f"{waiting} waiting"), waited=condition, waiters=waiting)


def _semaphore(found: Locals) -> Wait | None:
    semaphore = found.get("self")
    if semaphore is None:
        return None
    waiting = _waiters(semaphore)
    text = _of(semaphore, f"value {semaphore._value}", f"{waiting} waiting")
    return Wait("semaphore", text, waited=semaphore, waiters=waiting, value=semaphore._value)


def _barrier(found: Locals) -> Wait | None:
    barrier = found.get("self")
    if barrier is None:
        return None
    text = _of(barrier, f"{barrier._count} of {barrier._parties}")
    return Wait("barrier", text, waited=barrier, waiters=barrier._count)


def _queue(operation: str) -> Callable[[Locals], Wait | None]:
    def read_queue(found: Locals) -> Wait | None:
        queue = found.get("self")
        if queue is None:
            return None
        size, most = len(queue._queue), queue._maxsize
        held = f"{size} of {most}" if most > 0 else f"{size} items"
        return Wait("queue", f"{operation} {_of(queue, held)}", waited=queue, op=operation, size=size, maxsize=most)

    return read_queue


def _socket(found: Locals) -> Wait | None:
    sock = found.get("sock")
    fd = sock.fileno() if sock is not None else -1
    return sock and Wait("socket", f"fd {fd}{peer(sock)}", waited=sock, fd=fd)


def _stream(operation: str) -> Callable[[Locals], Wait | None]:
    def read_stream(found: Locals) -> Wait | None:
        stream = found.get("self")
        transport = hold(getattr(stream, "_transport", None))
        if transport is None:
            return Wait("socket", operation, waited=stream, op=operation)
        if "subprocess" in type(transport).__module__ or hasattr(transport, "get_pid"):
            return Wait("subprocess", operation, waited=stream, op=operation)
        sock = hold(transport.get_extra_info("socket"))
        if sock is None:
            kind = "subprocess" if transport.get_extra_info("pipe") is not None else "socket"
            return Wait(kind, operation, waited=stream, op=operation)
        fd = sock.fileno()
        return Wait("socket", f"{operation} fd {fd}{peer(sock)}", waited=stream, op=operation, fd=fd)

    return read_stream


def _process(found: Locals) -> Wait | None:
    process = found.get("self")
    pid = getattr(process, "pid", None) or getattr(process, "_pid", None)
    return process and Wait("subprocess", f"exit of pid {pid}", waited=process, pid=pid)


def _wait_for(found: Locals) -> Wait | None:
    # 3.11 waits on an internal future; from 3.12 on the inner awaitable is awaited in the same task.
    inner = found.get("fut")
    if isinstance(inner, asyncio.Task):
        return Wait("task", f"wait_for {_called(inner)}", tasks=[inner])
    return _of_future(inner) if isinstance(inner, asyncio.Future) and not inner.done() else None


def _wait(found: Locals) -> Wait | None:
    futures = [future for future in hold_all(list(found.get("fs") or ())) if not future.done()]
    behind = [future for future in futures if isinstance(future, asyncio.Task)]
    return Wait("gather", f"wait: {len(futures)} pending", tasks=behind)


def _task_group(found: Locals) -> Wait | None:
    group = found.get("self")
    pending = [task for task in hold_all(list(getattr(group, "_tasks", None) or ())) if not task.done()]
    return Wait("gather", f"TaskGroup: {len(pending)} pending", waited=group, tasks=pending)


def _server(found: Locals) -> Wait | None:
    server = found.get("self")
    names = []
    for sock in hold_all(list(getattr(server, "sockets", None) or ())):
        try:
            address = sock.getsockname()
        except OSError:
            continue
        names.append(f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address))
    return Wait("socket", f"serving {', '.join(names)}" if names else "serving", waited=server, op="serve")


def _table() -> dict[CodeType, Callable[[Locals], Wait | None]]:
    loop = selector_events.BaseSelectorEventLoop
    wanted: list[tuple[Any, str, Callable[[Locals], Wait | None]]] = [
        (tasks, "sleep", _sleep),
        (tasks, "wait_for", _wait_for),
        (tasks, "_wait", _wait),
        (asyncio.TaskGroup, "__aexit__", _task_group),
        (asyncio.TaskGroup, "_aexit", _task_group),
        (locks.Lock, "acquire", _lock),
        (locks.Event, "wait", _event),
        (locks.Condition, "wait", _condition),
        (locks.Semaphore, "acquire", _semaphore),
        (locks.Barrier, "_wait", _barrier),
        (locks.Barrier, "_block", _barrier),
        (queues.Queue, "get", _queue("get")),
        (queues.Queue, "put", _queue("put")),
        (queues.Queue, "join", _queue("join")),
        (streams.StreamReader, "_wait_for_data", _stream("read")),
        (streams.FlowControlMixin, "_drain_helper", _stream("write")),
        (streams.StreamWriter, "drain", _stream("write")),
        (streams.StreamWriter, "wait_closed", _stream("close")),
        (subprocess.Process, "wait", _process),
        (subprocess.Process, "communicate", _process),
        (base_subprocess.BaseSubprocessTransport, "_wait", _process),
        (base_events.Server, "serve_forever", _server),
        *((loop, name, _socket) for name in dir(loop) if name.startswith("sock_")),
    ]
    table: dict[CodeType, Callable[[Locals], Wait | None]] = {}
    for owner, name, reader in wanted:
        code = getattr(getattr(owner, name, None), "__code__", None)
        if code is not None:
            table[code] = reader
    return table


_READERS = _table()
