"""What an event or a future that a library waits on stands for: a socket, a pool, a lock of the library.

httpx, anyio and aiohttp wait on events and futures of asyncio. What these stand for is read from the library's frames
above them: known functions by name, any other if its `self` has a transport or a socket. Written for anyio 4,
httpcore 1 and aiohttp 3; if another version differs, the plain event is shown.

Only instance dictionaries and slots are read, so no property and no `__getattr__` of the program runs.
"""

from __future__ import annotations

import asyncio
import socket
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..hooks.reading import hold, hold_all, values_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..hooks.reading import Place

Locals = dict[str, Any]
Found = tuple[str, str, Any, list[Any]]
"""Kind, text, the object, the tasks that are waited for."""

MOST_FRAMES = 20
"""Most library frames that are examined, innermost first."""

_HOLDERS = ("_protocol", "protocol", "_connection", "connection", "_conn", "conn", "_stream", "_writer")
_PLAIN = (MemberDescriptorType, FunctionType)
"""Descriptors that run no code of the program."""
_mro = type.__dict__["__mro__"].__get__
_attributes = type.__dict__["__dict__"].__get__
_read = object.__getattribute__
"""Without code of a metaclass, `__getattribute__` or `__getattr__`."""
_FUNCTIONS = (BuiltinFunctionType, FunctionType, MethodType)
_TRANSPORTS = ("_transport", "transport", "_raw_socket", "_sock", "sock")


def held(thing: Any, name: str) -> Any:
    """The attribute of an object in its dictionary or a slot; None if missing, or if reading it would run code.

    Not by `inspect.getattr_static`, nor by `__dict__`: both make the interpreter build the dictionary of an object
    that had none, and every access of the program to that object's attributes is slower from then on (3.11: 8 % of an
    echo server's time).
    """
    described = _of_class(type(thing), name)
    if type(described) not in _PLAIN and _of_class(type(described), "__get__") is not None:
        return None
    try:
        if type(described) is MemberDescriptorType:
            return hold(described.__get__(thing))
        return hold(_read(thing, name))
    except AttributeError:  # an empty slot, or none
        return None


def _of_class(kind: type, name: str) -> Any:
    """What a class has under a name, itself or by its bases; None if nothing."""
    for base in _mro(kind):
        attributes = _attributes(base)
        if name in attributes:
            return attributes[name]
    return None


def behind(frames: list[Place], event: Any) -> Found | None:
    """What the event or future stands for that the innermost of these frames (outermost first) wait on.

    `event`: the asyncio object, if known. None: no library waits here, or its purpose is unknown.
    """
    library: list[tuple[str, Locals]] = []
    first = ""
    for code, _, place in reversed(frames[-MOST_FRAMES:]):
        file = code.co_filename
        if sites.is_package(file):
            package = package_of(file)
            if first in ("", "anyio"):
                first = package if package == "anyio" else f"{package} {code.co_qualname.replace('.<locals>', '')}"
            values = values_of(place) or {}
            reader = _READERS.get((package, code.co_qualname))
            found = None if reader is None else reader(values)
            if found is not None:
                return found
            library.append((package, values))
        elif not sites.is_stdlib(file):
            break
    for package, values in library:
        text = wire(values.get("self"))
        if text:
            return "socket", f"{text} ({package})", event, []
    return ("", first, event, []) if first else None


def package_of(file: str) -> str:
    """The package that an installed file belongs to."""
    return file.rpartition("-packages/")[2].partition("/")[0].removesuffix(".py")


def wire(thing: Any) -> str:
    """The socket of an object, or of its protocol or connection, as text; empty if there is none."""
    if thing is None:
        return ""
    text = _holds_socket(thing)
    for name in _HOLDERS if not text else ():
        inner = held(thing, name)
        if inner is not None and not callable(inner):
            text = text or _holds_socket(inner)
    return text


def _holds_socket(thing: Any) -> str:
    for name in _TRANSPORTS:
        found = held(thing, name)
        module = type(found).__module__
        if isinstance(module, str) and module.startswith(("asyncio.", "uvloop")):
            found = hold(found.get_extra_info("socket")) if hasattr(type(found), "get_extra_info") else None
            if found is not None:
                return f"fd {found.fileno()}{peer(found)}"
        elif type(found) is socket.socket:
            return f"fd {found.fileno()}{peer(found)}"
    return ""


def peer(sock: Any) -> str:
    """The peer of a socket, with a space in front; empty if it has none."""
    try:
        address = sock.getpeername()
    except (OSError, AttributeError):
        return ""
    if isinstance(address, tuple) and len(address) >= 2:
        return f" {address[0]}:{address[1]}"
    return f" {address}" if isinstance(address, str) and address else ""


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (list, dict, set)) or type(value).__name__ == "deque" else 0


def _anyio_stream(operation: str) -> Callable[[Locals], Found | None]:
    def read(values: Locals) -> Found | None:
        stream = values.get("self")
        text = wire(stream)
        return ("socket", f"{operation} {text}", stream, []) if text else None

    return read


def _anyio_memory(operation: str) -> Callable[[Locals], Found | None]:
    def read(values: Locals) -> Found | None:
        stream = values.get("self")
        state = held(stream, "_state")
        most, size = held(state, "max_buffer_size"), _size(held(state, "buffer"))
        room = f"{size} of {most:g}" if isinstance(most, int | float) else f"{size} items"
        return "queue", f"{operation} anyio stream({room})", stream, []

    return read


def owner_of(lock: Any) -> asyncio.Task[Any] | None:
    """The holder of a lock that records it, as those of anyio do."""
    owner = held(lock, "_owner_task")
    return owner if type(owner) is asyncio.Task else None


def _anyio_lock(values: Locals) -> Found | None:
    lock = values.get("self")
    owner, waiting = owner_of(lock), _size(held(lock, "_waiters"))
    by = f"held by {owner.get_name()}, " if owner is not None else ""
    return "lock", f"anyio Lock({by}{waiting} waiting)", lock, []


def _anyio_semaphore(values: Locals) -> Found | None:
    semaphore = values.get("self")
    waiting = _size(held(semaphore, "_waiters"))
    return "semaphore", f"anyio Semaphore(value {held(semaphore, '_value')}, {waiting} waiting)", semaphore, []


def _anyio_limiter(values: Locals) -> Found | None:
    limiter = values.get("self")
    used, most = _size(held(limiter, "_borrowers")), held(limiter, "_total_tokens")
    waiting = _size(held(limiter, "_wait_queue"))
    return "semaphore", f"anyio CapacityLimiter({used} of {most} borrowed, {waiting} waiting)", limiter, []


def _anyio_group(values: Locals) -> Found | None:
    group = values.get("self")
    tasks = held(group, "_tasks")
    pending = [task for task in hold_all(list(tasks)) if not task.done()] if isinstance(tasks, set) else []
    return "gather", f"anyio TaskGroup: {len(pending)} pending", group, pending


def _anyio_thread(values: Locals) -> Found | None:
    function = values.get("func")
    name = function.__qualname__ if isinstance(function, _FUNCTIONS) else ""
    return "executor", f"anyio: {name}", values.get("worker"), []


def _httpcore_pool(values: Locals) -> Found | None:
    pool = values.get("self")
    connections, most = held(pool, "_connections"), held(pool, "_max_connections")
    requests = held(pool, "_requests")
    if not isinstance(connections, list) or not isinstance(requests, list):
        return None
    queued = sum(1 for request in hold_all(list(requests)) if held(request, "connection") is None)
    return "pool", f"httpcore: {len(connections)} of {most} connections, {queued} queued", pool, []


def _aiohttp_pool(values: Locals) -> Found | None:
    pool = values.get("self")
    used, most, waiters = held(pool, "_acquired"), held(pool, "_limit"), held(pool, "_waiters")
    if not isinstance(used, set) or not isinstance(waiters, dict):
        return None
    queued = sum(_size(waiting) for waiting in list(waiters.values()))
    return "pool", f"aiohttp: {len(used)} of {most or '∞'} connections, {queued} queued", pool, []


_READERS: dict[tuple[str, str], Callable[[Locals], Found | None]] = {
    ("anyio", "SocketStream.receive"): _anyio_stream("read"),
    ("anyio", "SocketStream.send"): _anyio_stream("write"),
    ("anyio", "UNIXSocketStream.receive"): _anyio_stream("read"),
    ("anyio", "UNIXSocketStream.send"): _anyio_stream("write"),
    ("anyio", "UDPSocket.receive"): _anyio_stream("read"),
    ("anyio", "ConnectedUDPSocket.receive"): _anyio_stream("read"),
    ("anyio", "MemoryObjectReceiveStream.receive"): _anyio_memory("get"),
    ("anyio", "MemoryObjectSendStream.send"): _anyio_memory("put"),
    ("anyio", "Lock.acquire"): _anyio_lock,
    ("anyio", "Semaphore.acquire"): _anyio_semaphore,
    ("anyio", "CapacityLimiter.acquire_on_behalf_of"): _anyio_limiter,
    ("anyio", "TaskGroup.__aexit__"): _anyio_group,
    ("anyio", "AsyncIOBackend.run_sync_in_worker_thread"): _anyio_thread,
    ("httpcore", "AsyncConnectionPool.handle_async_request"): _httpcore_pool,
    ("aiohttp", "BaseConnector._wait_for_available_connection"): _aiohttp_pool,
}


def host_of(callback: Any, closure: Locals) -> Any:
    """The task that waits in an anyio task group for the task with this done-callback; None for another callback."""
    if getattr(callback, "__qualname__", "") != "TaskGroup._spawn.<locals>.task_done":
        return None
    return held(held(closure.get("self"), "cancel_scope"), "_host_task")
