"""Reads the tasks of another process and speaks the probe's protocol, without touching the process.

python -I -S unwinder.py FD JSON

Runs under a Python (3.14+) of the same minor version as the process, which need not have looptop installed: standard
library only, one file. FD is a connected socket; JSON has `pid`, `protocol`, `kind` of loops, and fields of `hello`.
What is not visible from outside is null; `parent` is the awaiting task, because the creator is not recorded.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any

RUNNING, SCHEDULED, WAITING = range(3)
BORN_BEFORE = 1
PIECE = 400
"""Tasks per frame, which may have 1 MiB."""

SHARE = 4
"""Rest this many times as long as a scan took, to use at most a fifth of a core."""

MISSES = 2
"""Consecutive scans that a task must be missing from: a list that changes while it is read may lack some."""

STUCK = 5.0
"""Seconds without a successful scan after which to give up."""

LONGEST_NAME, DEEPEST, MOST_SITES = 1000, 100, 100_000
_TRANSIENT = (RuntimeError, OSError, UnicodeDecodeError, MemoryError)
_NOT_KNOWN = {"locks.py": "lock", "queues.py": "queue", "streams.py": "socket", "subprocess.py": "subprocess"}
_KINDS = {
    "sleep": "sleep",
    "Event.wait": "event",
    "Condition.wait": "condition",
    "Semaphore.acquire": "semaphore",
    "Barrier.wait": "barrier",
    "Barrier._block": "barrier",
    "Barrier._wait": "barrier",
    "wait_for": "timeout",
    "Process.wait": "subprocess",
}


class Task:
    """A task as last seen. `frames` are (file, line, function), innermost first."""

    __slots__ = ("address", "awaited_by", "awaits", "coro", "frames", "id", "loop", "misses", "name", "sent", "state")

    def __init__(self, number: int, address: int, loop: int) -> None:
        self.id, self.address, self.loop = number, address, loop
        self.name, self.coro, self.state, self.misses = "", "?", WAITING, 0
        self.frames: tuple[tuple[str, int, str], ...] = ()
        self.awaited_by: tuple[int, ...] = ()
        self.awaits: list[int] = []
        self.sent: tuple[Any, ...] = ()


class Process:
    """The process that is read, and its tasks by address."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.started = self._start()
        self.tasks: dict[int, Task] = {}
        self.ended: list[Task] = []
        self.loops: dict[int, int] = {}  # number by thread
        self._births = 0

    def alive(self) -> bool:
        """Whether the pid still belongs to the same process."""
        return self._start() == self.started

    def look(self) -> None:
        """Read all tasks. Raises whatever the interpreter raises."""
        from _remote_debugging import RemoteUnwinder  # type: ignore[import-not-found]

        unwinder = RemoteUnwinder(self.pid)  # a new one each time: an old one keeps pointers to freed code
        seen = [(group.thread_id, info) for group in unwinder.get_all_awaited_by() for info in group.awaited_by]
        try:
            running = {group.awaited_by[0].task_id for group in unwinder.get_async_stack_trace() if group.awaited_by}
        except _TRANSIENT:
            running = set()
        here = {info.task_id for _, info in seen}
        for thread, info in seen:
            self._take(thread, info, running)
        self._miss(here)
        self._link(seen)

    def _take(self, thread: int, info: Any, running: set[int]) -> None:
        address = info.task_id
        frames = tuple(
            (frame.filename, _line(frame), frame.funcname)
            for part in info.coroutine_stack
            for frame in part.call_stack[:DEEPEST]
        )
        coro = frames[-1][2] if frames else ""
        task = self.tasks.get(address)
        if task is not None and coro and task.coro not in ("?", coro):
            self.ended.append(self.tasks.pop(address))  # its address now belongs to another task
            task = None
        if task is None:
            self._births += 1
            loop = self.loops.setdefault(thread, len(self.loops) + 1)
            task = self.tasks[address] = Task(self._births, address, loop)
        task.name, task.coro, task.frames = str(info.task_name)[:LONGEST_NAME], coro or task.coro, frames
        task.misses = 0
        ready = bool(frames) and frames[0][2] == "__sleep0" and _of_asyncio(frames[0][0])
        task.state = RUNNING if address in running else SCHEDULED if ready else WAITING

    def _miss(self, here: set[int]) -> None:
        for address in [address for address in self.tasks if address not in here]:
            task = self.tasks[address]
            task.misses += 1
            if task.misses >= MISSES:
                self.ended.append(self.tasks.pop(address))

    def _link(self, seen: list[tuple[int, Any]]) -> None:
        """Set who awaits whom, once every task has a number."""
        for task in self.tasks.values():
            task.awaits = []
        for _, info in seen:
            task = self.tasks[info.task_id]
            above = dict.fromkeys(part.task_name for part in info.awaited_by)
            task.awaited_by = tuple(self.tasks[address].id for address in above if address in self.tasks)
            for address in above:
                if address in self.tasks:
                    self.tasks[address].awaits.append(task.id)

    def hidden_loops(self) -> int:
        """Loops in threads other than the main one, which 3.14 does not expose."""
        from _remote_debugging import RemoteUnwinder

        if sys.version_info >= (3, 15):
            return 0
        try:
            threads = RemoteUnwinder(self.pid, all_threads=True).get_stack_trace()
        except _TRANSIENT:
            return 0
        others = [thread for thread in threads if thread.thread_id not in (self.pid, *self.loops)]
        return sum(any(_runs_loop(frame) for frame in thread.frame_info) for thread in others)

    def usage(self) -> dict[str, int | None]:
        """Resource usage, as far as /proc exposes it."""
        found: dict[str, int | None] = {"rss": None, "cpu": None, "threads": None, "fds": None}
        try:
            fields = _stat(self.pid)
            found["cpu"] = (int(fields[11]) + int(fields[12])) * 1_000_000 // os.sysconf("SC_CLK_TCK")
            found["threads"] = int(fields[17])
            found["rss"] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            found["fds"] = sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())
        except (OSError, ValueError, IndexError):
            pass
        return found

    def _start(self) -> str:
        try:
            fields = _stat(self.pid)
        except OSError:
            return "" if sys.platform == "linux" else "unknown"
        return "" if fields[0] in "ZX" else fields[19]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat, from the state on."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _line(frame: Any) -> int:
    """The line number of a frame; 3.15 moved the attribute."""
    location = getattr(frame, "location", None)
    return int(getattr(frame, "lineno", 0) if location is None else location.lineno) or 0


def _runs_loop(frame: Any) -> bool:
    """Whether a frame runs a loop: asyncio's own, `asyncio.run` or `uvloop.run`."""
    return frame.funcname in ("BaseEventLoop.run_forever", "Runner.run") and _of_asyncio(frame.filename)


def _of_asyncio(file: str) -> bool:
    return "/asyncio/" in file


def _last_part(file: str) -> str:
    return file.rpartition("/")[2]


def _of_stdlib(file: str) -> bool:
    return "/lib/python3" in file and "-packages/" not in file


def waits_on(task: Task, names: dict[int, str]) -> tuple[str | None, str | None]:
    """The kind of object a task waits on, inferred from where it is suspended, and a short description."""
    if task.state != WAITING:
        return None, None
    if task.awaits:
        first = ", ".join(names.get(number, str(number)) for number in task.awaits[:3])
        return "task", first + (f" and {len(task.awaits) - 3} more" if len(task.awaits) > 3 else "")
    kind = "future"
    if task.frames and _of_asyncio(task.frames[0][0]):
        file, _, function = task.frames[0]
        kind = _KINDS.get(function) or _NOT_KNOWN.get(_last_part(file)) or kind
        if function.rpartition(".")[2].startswith("sock_"):
            kind = "socket"
    own = next((frame for frame in task.frames if not _of_stdlib(frame[0])), None)
    return kind, f"in {own[2].rpartition('.')[2]} {_last_part(own[0])}:{own[1]}" if own else None


class Session:
    """The one viewer, and what has been sent to it."""

    def __init__(self, sock: socket.socket, process: Process, facts: dict[str, Any]) -> None:
        self._socket, self._process, self._facts = sock, process, facts
        self._strings: dict[str, int] = {"?": 0}
        self._sites: dict[tuple[str, int, str], int] = {("?", 0, "?"): 0}
        self._sent_strings = self._sent_sites = self._sent_loops = 0
        self._seq = 0
        self.rate, self.detail, self.watched, self._opened = 4.0, 0, False, _now()

    def hello(self) -> None:
        """Send the hello of the process that is read."""
        facts = self._facts["hello"]
        protocol, now = self._facts["protocol"], self._opened
        self._send(
            {"type": "hello", "protocol": protocol, "session": str(uuid.uuid4()), "now": now, "opened": now, **facts}
        )

    def tick(self) -> None:
        """Send what changed since the last tick, in pieces."""
        tasks = list(self._process.tasks.values())
        names = {task.id: task.name for task in tasks}
        changed = []
        for task in tasks:
            parent = task.awaited_by[0] if task.awaited_by else 0
            now = (task.name, task.coro, parent, task.state, waits_on(task, names))
            if now != task.sent:
                changed.append((task, now))
        pieces = [changed[start : start + PIECE] for start in range(0, len(changed), PIECE)] or [[]]
        left = len(changed)
        for piece in pieces:
            left -= len(piece)
            self._report(piece, left)
        self._report_ends()

    def _report(self, piece: list[tuple[Task, Any]], left: int) -> None:
        statics, rows, waits = [], [], []
        for task, now in piece:
            name, coro, parent, state, wait = now
            if task.sent[:3] != now[:3]:
                coro_number = self._string(coro)
                statics.append([task.id, name, coro_number, task.loop, None, self._opened, parent, 0, BORN_BEFORE])
            rows.append([task.id, state, 0, 0, None, 0])
            waits.append([task.id, *wait])
            task.sent = now
        tick: dict[str, Any] = {"type": "tick", "at": _now(), "tasks": rows, "waits": waits, "left": left}
        if not left:
            tick["process"] = self._process.usage()
            looked_at = next((task for task in self._process.tasks.values() if task.id == self.detail), None)
            if looked_at is not None:
                tick["detail"] = self._of(looked_at)
        self._send_static(statics)
        self._send(tick)

    def _report_ends(self) -> None:
        """Report ended tasks. How a task ended is not visible from outside."""
        ended, self._process.ended = self._process.ended, []
        for task in ended:
            self._seq += 1
            facts = {"task": task.id, "name": task.name, "coro": task.coro, "loop": task.loop, "outcome": "ended"}
            self._send({"type": "event", "seq": self._seq, "at": _now(), "kind": "task_ended", **facts})

    def notice(self, text: str) -> None:
        """Send a notice for the user."""
        self._seq += 1
        self._send({"type": "event", "seq": self._seq, "at": _now(), "kind": "notice", "text": text})

    def take(self, frame: dict[str, Any]) -> None:
        """Handle a frame from the viewer."""
        if frame.get("type") == "watch":
            self.watched = True
            self.rate = min(max(float(frame.get("rate", self.rate)), 0.1), 20.0)
            self.detail = frame.get("detail", self.detail) or 0
        elif frame.get("type") == "request":
            self._reply(int(frame["id"]), frame)

    def _reply(self, number: int, frame: dict[str, Any]) -> None:
        op = frame.get("op")
        if op == "ping":
            self._send({"type": "reply", "id": number, "ok": True, "now": _now()})
            return
        if op != "tasks":
            error = f"read-only: nothing is in the program that could do that ({op})"
            self._send({"type": "reply", "id": number, "ok": False, "error": error})
            return
        wanted = frame.get("ids")
        wanted = None if wanted is None else set(wanted)
        found = [task for task in self._process.tasks.values() if wanted is None or task.id in wanted]
        for start in range(0, max(len(found), 1), PIECE):
            details = [self._of(task) for task in found[start : start + PIECE]]
            more = start + PIECE < len(found)
            self._send_static([])
            self._send(
                {"type": "reply", "id": number, "ok": True, "more": more, "details": details, "total": len(found)}
            )

    def _of(self, task: Task) -> dict[str, Any]:
        kind, text = waits_on(
            task, {other.id: other.name for other in self._process.tasks.values()} if task.awaits else {}
        )
        wait: dict[str, Any] | None = None
        if kind is not None:
            wait = {"kind": kind, "repr": text or "", **({"tasks": task.awaits[:PIECE]} if task.awaits else {})}
        stack = [self._site(frame) for frame in reversed(task.frames)]
        detail = {"id": task.id, "await_stack": stack, "waiting_on": wait, "awaited_by": list(task.awaited_by)}
        self._send_static([])
        return detail

    def _string(self, text: str) -> int:
        return self._strings.setdefault(text[:LONGEST_NAME], len(self._strings))

    def _site(self, frame: tuple[str, int, str]) -> int:
        if frame not in self._sites and len(self._sites) >= MOST_SITES:
            return 0
        return self._sites.setdefault(frame, len(self._sites))

    def _send_static(self, tasks: list[Any]) -> None:
        """Send static facts before the rows that refer to them."""
        sites = list(self._sites)[self._sent_sites :]
        site_rows = [[self._string(file), line, self._string(function)] for file, line, function in sites]
        strings = list(self._strings)[self._sent_strings :]
        threads = list(self._process.loops.items())[self._sent_loops :]
        loops = [
            [number, self._facts["kind"], thread, _thread_name(self._process.pid, thread)] for thread, number in threads
        ]
        if not (strings or sites or loops or tasks):
            return
        frame: dict[str, Any] = {"type": "static", "tasks": tasks, "loops": loops}
        if strings:
            frame["strings"] = {"from": self._sent_strings, "items": strings}
        if sites:
            frame["sites"] = {"from": self._sent_sites, "items": site_rows}
        self._sent_strings, self._sent_sites = len(self._strings), len(self._sites)
        self._sent_loops = len(self._process.loops)
        self._send(frame)

    def _send(self, frame: dict[str, Any]) -> None:
        line = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
        self._socket.sendall(line.encode("utf-8", "replace") + b"\n")


def _thread_name(pid: int, thread: int) -> str:
    try:
        return Path(f"/proc/{pid}/task/{thread}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _now() -> int:
    return time.time_ns() // 1000


def main() -> int:
    """Serve the one viewer until it leaves or the process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the viewer receives Ctrl+C, too, and leaves when it wants to
    facts = json.loads(sys.argv[2])
    process = Process(facts["pid"])
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        session = Session(sock, process, facts)
        first(process)
        session.hello()
        hidden = process.hidden_loops()
        if hidden:
            loops = "a loop in another thread is" if hidden == 1 else f"{hidden} loops in other threads are"
            session.notice(f"{loops} not seen from outside: Python 3.14 shows only the main thread's (3.15: all)")
        serve(sock, process, session)
    return 0


def first(process: Process) -> None:
    """The first scan, retried a few times while the process changes. Raises the last error."""
    for left in (4, 3, 2, 1, 0):
        try:
            process.look()
        except _TRANSIENT:
            if not left or not process.alive():
                raise
            time.sleep(0.02)
        else:
            return


def serve(sock: socket.socket, process: Process, session: Session) -> None:
    """Scan at our own pace, and read the viewer's frames between scans."""
    rest, due, good = b"", 0.0, time.monotonic()
    while True:
        wait = max(due - time.monotonic(), 0.0) if session.watched else None
        if select.select([sock], [], [], wait)[0]:
            data = sock.recv(65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                session.take(json.loads(line))
            if not session.watched:
                continue
        if time.monotonic() < due:
            continue
        began = time.monotonic()
        if not process.alive():
            return
        try:
            process.look()
            good = time.monotonic()
        except _TRANSIENT:
            if good + STUCK < began:
                raise
        else:
            session.tick()
        took = time.monotonic() - began
        due = time.monotonic() + max(1 / session.rate - took, SHARE * took, 0.0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the viewer shows it as one line
        cause: BaseException = error
        while cause.__context__ is not None:
            cause = cause.__context__
        sys.stderr.write(f"{type(cause).__name__}: {cause}")
        sys.exit(1)
