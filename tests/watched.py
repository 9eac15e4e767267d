"""Programs with a probe in them, and a viewer written from docs/protocol.md alone: it imports nothing of looptop."""

from __future__ import annotations

import json
import os
import random
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
BOOT = ROOT / "probes" / "boot"


def environment(boot: bool = True, settings: dict[str, Any] | None = None, **more: str) -> dict[str, str]:
    """The environment that puts a probe into a Python program from outside."""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8", **more}
    if boot:
        before = environ.get("PYTHONPATH")
        environ["PYTHONPATH"] = str(BOOT) + (os.pathsep + before if before else "")
        environ["LOOPTOP_BOOT"] = json.dumps({"pythonpath": before, "settings": settings or {}})
    return environ


def free_port() -> int:
    """A port below those that the kernel gives to connections: none of them takes it before it is used."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Program:
    """A process that runs a script; its output is collected by threads, so that it never waits for us."""

    def __init__(
        self,
        script: str | Path,
        *args: str,
        folder: Path,
        python: str = sys.executable,
        boot: bool = True,
        settings: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        if isinstance(script, str):
            path = folder / "program.py"
            path.write_text(textwrap.dedent(script), encoding="utf-8")
            script = path
        environ = environment(boot, settings, **(env or {}))
        if not boot:
            environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [python, *options, str(script), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
            cwd=folder,
        )
        self.pid = self.process.pid
        self.directory = Path(environ["LOOPTOP_DIR"])
        self.out: list[str] = []
        self.err: list[str] = []
        self._taken = 0
        self._readers = [
            threading.Thread(target=self._collect, args=(pipe, lines), daemon=True)
            for pipe, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _collect(pipe: Any, lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.rstrip("\n"))

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        for reader in self._readers:
            reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except OSError:
                continue

    @property
    def stderr(self) -> str:
        return "\n".join(self.err)

    @property
    def stdout(self) -> str:
        return "\n".join(self.out)

    def line(self, timeout: float = 60.0) -> str:
        """The next line of its stdout."""

        def next_line() -> bool:
            if len(self.out) > self._taken:
                return True
            if self.process.poll() is not None:
                self._readers[0].join(30)
                assert len(self.out) > self._taken, f"ended with {self.process.returncode}: {self.stderr[-3000:]}"
            return False

        wait_until(next_line, f"a line of output; stderr: {self.stderr[-2000:]}", timeout)
        self._taken += 1
        return self.out[self._taken - 1]

    def expect(self, text: str, timeout: float = 60.0) -> None:
        found = self.line(timeout)
        assert found == text, f"{found!r} instead of {text!r}; stderr: {self.stderr[-2000:]}"

    def say(self, text: str = "go") -> None:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self, timeout: float = 60.0) -> int:
        """Waits for its end; returns its exit status. All its output is there then."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        status = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(30)
        return status

    @property
    def socket_path(self) -> Path:
        return self.directory / f"{self.pid}.sock"

    def viewer(self, **watch: Any) -> Viewer:
        """A viewer that watches it (rate 20 unless said)."""
        viewer = Viewer(wait_for_socket(self.socket_path, self.process))
        viewer.watch(**{"rate": 20, **watch})
        return viewer

    def connect(self) -> Viewer:
        """A viewer that has said nothing yet."""
        return Viewer(wait_for_socket(self.socket_path, self.process))


def wait_for_socket(path: Path, process: Any = None, timeout: float = 60.0) -> socket.socket:
    """Connects as soon as somebody serves."""

    def connected() -> socket.socket | None:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            if process is not None and process.poll() is not None:
                raise AssertionError(f"the program ended with {process.returncode}") from None
            return None
        return sock

    return wait_until(connected, f"a probe at {path}", timeout)


class EndedError(AssertionError):
    """The probe closed the connection."""


class Viewer:
    """What a client knows that follows docs/protocol.md: facts, rows, events."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._unread = b""
        self.frames: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.strings: dict[int, str] = {}
        self.sites: dict[int, list[int]] = {}
        self.facts: dict[int, dict[str, Any]] = {}
        self.rows: dict[int, dict[str, Any]] = {}
        self.gone: set[int] = set()
        self.loops: dict[int, dict[str, Any]] = {}
        self.counts: dict[int, dict[str, Any]] = {}
        self.waits: dict[int, tuple[Any, Any]] = {}
        self.detail: dict[str, Any] | None = None
        self.events: list[dict[str, Any]] = []
        self.replies: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.probe: dict[str, Any] = {}
        self.left: int | None = None
        self.ended = False
        self.first: dict[str, Any] = {}
        self._request = 0
        self.until(lambda: self.frames, "the first frame")
        self.first = self.frames[0]

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    # Saying

    def send(self, frame: dict[str, Any]) -> None:
        self.raw(json.dumps(frame).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def watch(self, **fields: Any) -> None:
        self.send({"type": "watch", **fields})

    def ask(self, op: str, **fields: Any) -> list[dict[str, Any]]:
        """The replies to a request, up to the last one."""
        self._request += 1
        number = self._request
        self.send({"type": "request", "id": number, "op": op, **fields})

        def answered() -> list[dict[str, Any]]:
            mine = [reply for reply in self.replies if reply["id"] == number]
            return mine if mine and not mine[-1].get("more") else []

        return self.until(answered, f"the reply to {op}")

    # Hearing

    def pump(self, seconds: float) -> bool:
        """Takes in what comes within so long; False when the connection is over."""
        if self.ended:
            return False
        ready, _, _ = select.select([self.sock], [], [], seconds)
        if not ready:
            return True
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self.ended = True
            return False
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self.sizes.append(len(line) + 1)
            self.take(json.loads(line))
        return True

    def until(self, condition: Callable[[], Any], what: str, timeout: float = 60.0) -> Any:
        """Reads on until a condition holds."""
        deadline = time.monotonic() + timeout
        while True:
            found = condition()
            if found:
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not within {timeout:g} s: {what}")
            if not self.pump(min(left, 0.5)):
                found = condition()
                if found:
                    return found
                raise EndedError(f"the connection ended before: {what}; {self.errors}")

    def read_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self.pump(left):
            pass

    def ticks(self, number: int = 2) -> None:
        """Waits for whole ticks that were made after now; what lies in the socket already does not count."""
        now = time.time() * 1e6

        def made() -> bool:
            return (
                sum(frame["type"] == "tick" and "loops" in frame and frame["at"] > now for frame in self.frames)
                >= number
            )

        self.until(made, "ticks")

    @property
    def ticked(self) -> int:
        """How many whole ticks have come."""
        return sum(frame["type"] == "tick" and "loops" in frame for frame in self.frames)

    def until_end(self, timeout: float = 60.0) -> None:
        self.until(lambda: self.ended or not self.pump(0.1), "the end of the connection", timeout)

    def take(self, frame: dict[str, Any]) -> None:
        """One frame into the model."""
        self.frames.append(frame)
        kind = frame["type"]
        if kind == "static":
            self._static(frame)
        elif kind == "tick":
            self._tick(frame)
        elif kind == "event":
            self.events.append(frame)
        elif kind == "reply":
            self.replies.append(frame)
        elif kind == "error":
            self.errors.append(frame)

    def _static(self, frame: dict[str, Any]) -> None:
        schema = self.schema
        for numbers, told in ((self.strings, frame.get("strings")), (self.sites, frame.get("sites"))):
            if told:
                numbers.update(enumerate(told["items"], told["from"]))
        for row in frame.get("loops", ()):
            self.loops.setdefault(row[0], {}).update(zip(schema["loop_static"], row, strict=True))
        for row in frame.get("tasks", ()):
            self.facts[row[0]] = dict(zip(schema["task_static"], row, strict=True))

    @property
    def schema(self) -> dict[str, Any]:
        return next(frame for frame in self.frames if frame["type"] == "hello")["schema"]

    def _tick(self, frame: dict[str, Any]) -> None:
        schema = self.schema
        for row in frame.get("tasks", ()):
            assert row[0] in self.facts, "a row before its facts"
            self.rows[row[0]] = dict(zip(schema["task_row"], row, strict=True))
            self.rows[row[0]]["state"] = schema["states"][row[1]]
        self.gone.update(frame.get("gone", ()))
        for row in frame.get("loops", ()):
            self.loops.setdefault(row[0], {}).update(zip(schema["loop_row"], row, strict=True))
        for row in frame.get("sites", ()):
            self.counts[row[0]] = dict(zip(schema["site_row"], row, strict=True))
        for number, wait, text, _ in frame.get("waits", ()):
            self.waits[number] = (wait, text)
        if "detail" in frame:
            self.detail = frame["detail"]
        self.probe = frame.get("probe") or self.probe
        if "left" in frame:
            self.left = frame["left"]

    # Asking the model

    def site(self, number: int) -> tuple[str, int, str]:
        """File name, line and function of a site."""
        file, line, function = self.sites[number]
        return os.path.basename(self.strings[file]), line, self.strings[function]

    def stack(self, numbers: list[int]) -> list[tuple[str, int, str]]:
        return [self.site(number) for number in numbers]

    def named(self, name: str) -> dict[str, Any]:
        """Facts and row of the task of a name, waited for."""
        number = self.until(lambda: self.number(name), f"a task called {name}; there are {self.names()}")
        return {**self.facts[number], **self.rows.get(number, {})}

    def number(self, name: str) -> int | None:
        return next((number for number, facts in self.facts.items() if facts["name"] == name), None)

    def names(self) -> list[str]:
        return [facts["name"] for facts in self.facts.values()]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def details_of(self, name: str) -> dict[str, Any]:
        """What the probe says of one task when it is looked at."""
        number = self.named(name)["id"]
        self.watch(detail=number, window=[number])
        self.detail = None
        return self.until(
            lambda: self.detail if self.detail and self.detail["id"] == number else None, f"the detail of {name}"
        )

    def at(self, function: str, file: str = "program.py") -> dict[str, Any]:
        """The counters of the creation sites in a function, summed."""
        found = {"born": 0, "ended": 0, "failed": 0, "cancelled": 0, "busy": 0, "steps": 0}
        for number, counts in self.counts.items():
            where = self.site(number)
            if where[0] == file and where[2] in (function, f"{function}.<locals>.<listcomp>"):
                for key in found:
                    found[key] += counts[key]
        return found
