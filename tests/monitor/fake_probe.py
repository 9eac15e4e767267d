"""A probe written from docs/protocol.md alone: what it takes to talk to looptop, and to talk nonsense to it."""

import contextlib
import hashlib
import hmac
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

DEADLINE = 60.0
SESSION = "1f0c8a2e-0000-4000-8000-000000000001"
SCHEMA = {
    "task_static": ["id", "name", "coro", "loop", "born", "counted", "parent", "site", "flags"],
    "task_row": ["id", "state", "steps", "busy", "scheduled", "max_step"],
    "loop_static": ["id", "kind", "thread", "name"],
    "loop_row": ["id", "lag", "busy", "ready", "timers", "steps", "running", "blocked"],
    "site_row": ["site", "born", "ended", "failed", "cancelled", "busy", "steps"],
    "states": ["running", "scheduled", "waiting", "done", "cancelled", "failed"],
}
NOW = 1_763_700_010_000_000
"""The clock of the fake: 10 s after its program started."""


def hello(**changes: Any) -> dict[str, Any]:
    return {
        "type": "hello",
        "protocol": 1,
        "session": SESSION,
        "pid": 4242,
        "started": NOW - 10_000_000,
        "opened": NOW - 9_000_000,
        "now": NOW,
        "name": "api",
        "program": "app.py --port 80",
        "argv": ["app.py", "--port", "80"],
        "cwd": "/srv",
        "host": "box",
        "user": "www",
        "python": "3.11.7",
        "implementation": "CPython",
        "probe": "0.1.0",
        "hooks": "pure Python",
        "capabilities": ["cancel", "detach"],
        "settings": {"slow": 100000, "ended": 1000},
        "paths": {"stdlib": ["/usr/lib/python3.11"], "path": ["/srv"]},
        "schema": SCHEMA,
        **changes,
    }


STRINGS = ["", "/srv/app.py", "main", "worker", "/usr/lib/python3.11/asyncio/locks.py", "acquire"]
SITES = [[0, 0, 0], [1, 10, 2], [1, 42, 3], [4, 115, 5]]


def static(**changes: Any) -> dict[str, Any]:
    """Three tasks: one from the beginning, one that is watched since a while only, one older than the probe."""
    return {
        "type": "static",
        "strings": {"from": 0, "items": STRINGS},
        "sites": {"from": 0, "items": SITES},
        "loops": [[1, "asyncio", 7, "MainThread"]],
        "tasks": [
            [1, "main", 2, 1, NOW - 8_000_000, None, 0, 1, 0],
            [2, "worker-1", 3, 1, NOW - 4_000_000, NOW - 1_000_000, 1, 2, 0],
            [3, "worker-2", 3, 1, None, NOW - 1_000_000, 0, 0, 1],
        ],
        **changes,
    }


def tick(at: int = NOW + 250_000, **changes: Any) -> dict[str, Any]:
    return {
        "type": "tick",
        "at": at,
        "tasks": [[1, 2, 5, 1_500_000, 250, 900_000], [2, 0, 3, 40, None, 20], [3, 2, 0, 0, None, 0]],
        "loops": [[1, 1200, 500_000 + (at - NOW) // 2, 0, 3, 100, 2, 0]],
        "process": {"rss": 1 << 20, "cpu": 1000, "threads": 3, "fds": 9},
        "probe": {"cpu": 10, "hooks": 5, "viewers": 1, "tasks": 3, "dropped": 0, "dropped_at": None, "off": []},
        "left": 0,
        **changes,
    }


def event(seq: int, kind: str, **facts: Any) -> dict[str, Any]:
    return {"type": "event", "seq": seq, "at": NOW + seq * 1000, "kind": kind, **facts}


DETAILS = [
    {
        "id": 1,
        "await_stack": [1, 3],
        "await_tasks": [],
        "waiting_on": {"kind": "lock", "repr": "Lock(locked)", "holder": 2},
        "awaited_by": [],
        "origin": None,
        "histogram": None,
    },
    {"id": 2, "await_stack": [2], "await_tasks": [], "waiting_on": None, "awaited_by": [1], "origin": [2, 1]},
    {
        "id": 3,
        "await_stack": [2],
        "await_tasks": [],
        "waiting_on": {"kind": "sleep", "repr": "5 s", "wakes_at": NOW + 5_000_000},
        "awaited_by": [],
        "origin": None,
    },
]


class Peer:
    """One viewer, as its probe sees it."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        sock.settimeout(DEADLINE)
        self._file = sock.makefile("rb")

    def send(self, *frames: dict[str, Any] | bytes) -> None:
        for frame in frames:
            self.socket.sendall(frame if isinstance(frame, bytes) else json.dumps(frame).encode() + b"\n")

    def read(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise EOFError
        frame: dict[str, Any] = json.loads(line)
        return frame

    def read_until_closed(self) -> None:
        while self._file.readline():
            pass


Behaviour = Callable[[Peer], None]


class FakeProbe:
    """Listens, and behaves to every viewer as it is told."""

    def __init__(self, listener: socket.socket, behave: Behaviour) -> None:
        self.listener = listener
        self.behave = behave
        self.viewers = 0
        self.problems: list[BaseException] = []
        self._peers: list[Peer] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.viewers += 1
            peer = Peer(sock)
            self._peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: Peer) -> None:
        try:
            self.behave(peer)
        except (EOFError, OSError):
            pass
        except BaseException as error:
            self.problems.append(error)
        finally:
            peer._file.close()
            peer.socket.close()

    def hang_up(self) -> None:
        """Breaks every connection."""
        for peer in self._peers:
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        self._peers.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()
        self._thread.join(60)


def on_path(path: Path, behave: Behaviour) -> FakeProbe:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return FakeProbe(listener, behave)


def on_tcp(behave: Behaviour) -> FakeProbe:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return FakeProbe(listener, behave)


def well(peer: Peer) -> None:
    """As a probe should: hello, and after a `watch` facts and ticks; replies to requests."""
    peer.send(hello())
    serve(peer)


def serve(peer: Peer, ticks: int = 3, events: list[dict[str, Any]] | None = None) -> None:
    watched = False
    while True:
        frame = peer.read()
        if frame["type"] == "watch" and not watched:
            watched = True
            peer.send(static(), tick(left=1), *(events or []))
            for number in range(2, ticks + 1):
                peer.send(tick(NOW + number * 250_000))
        elif frame["type"] == "request":
            reply(peer, frame)
            if frame["op"] == "detach":
                return


def reply(peer: Peer, request: dict[str, Any]) -> None:
    number = request["id"]
    if request["op"] == "tasks":
        wanted = [detail for detail in DETAILS if detail["id"] in request["ids"]]
        peer.send({"type": "reply", "id": number, "ok": True, "more": True, "details": wanted[:1]})
        peer.send({"type": "reply", "id": number, "ok": True, "details": wanted[1:], "total": len(wanted)})
    elif request["op"] in ("detach", "ping"):
        peer.send({"type": "reply", "id": number, "ok": True})
    else:
        peer.send({"type": "reply", "id": number, "ok": False, "error": f"no such task: {request.get('task')}"})


def behind_token(token: str) -> Behaviour:
    """As a probe on TCP should."""

    def behave(peer: Peer) -> None:
        nonce = os.urandom(16).hex()
        peer.send({"type": "challenge", "protocol": 1, "nonce": nonce})
        expected = hmac.new(token.encode(), nonce.encode(), hashlib.sha256).hexdigest()
        if peer.read() != {"type": "auth", "answer": expected}:
            peer.send({"type": "error", "message": "wrong token"})
            return
        well(peer)

    return behave


def says(*frames: dict[str, Any] | bytes) -> Behaviour:
    """Says this and nothing more; stays until the viewer leaves."""

    def behave(peer: Peer) -> None:
        peer.send(*frames)
        peer.read_until_closed()

    return behave


def says_and_leaves(*frames: dict[str, Any] | bytes) -> Behaviour:
    return lambda peer: peer.send(*frames)


def announce(directory: Path, pid: int, **changes: Any) -> Path:
    """Writes PID.json as a probe does; the socket is whoever listens at PID.sock."""
    directory.mkdir(mode=0o700, exist_ok=True)
    facts = {
        "pid": pid,
        "started": psutil.Process(pid).create_time() if psutil.pid_exists(pid) else 1.0,
        "name": "api",
        "session": f"{SESSION}-{pid}",
        "program": "app.py --port 80",
        "python": "3.11.7",
        "socket": str(directory / f"{pid}.sock"),
        "listen": None,
        "token_file": None,
        **changes,
    }
    path = directory / f"{pid}.json"
    path.write_text(json.dumps(facts))
    path.chmod(0o600)
    return path


def eventually(check: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """The first true answer; fails when none comes in time."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        answer = check()
        if answer:
            return answer
        time.sleep(0.005)
    raise AssertionError(f"not within {deadline} s")
