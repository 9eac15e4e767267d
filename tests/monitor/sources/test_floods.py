"""A probe that floods whoever looks: what a viewer keeps is bounded, and a look ends after its time."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_probe
import pytest
from fake_probe import NOW, Peer, event, hello, static, tick

from monitor.cli import main
from monitor.errors import NO_CONNECTION
from monitor.plain import snapshot

Frames = Iterator[dict[str, Any]]
LONG = "x" * 1900


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process: status, stdout, stderr."""

    def command(*args: object) -> tuple[int, str, str]:
        status = main([str(arg) for arg in args])
        return status, *capfd.readouterr()

    return command


MEMORY = """
import sys, time
from monitor.transport.address import Address
from monitor.transport.connection import connect
from monitor.sources.live import LiveSource
from monitor.store.store import Store
source = LiveSource(lambda: connect(Address(path=sys.argv[1])))
source.watch(rate=4)
source.start()
store, until, came = Store(), time.monotonic() + 3, 0
while time.monotonic() < until or (came <= 10 and time.monotonic() < until + 20):
    for frame in source.frames():
        store.apply(frame)
        came += 1
    time.sleep(0.05)
assert came > 10, came
# VmHWM: ru_maxrss is inherited from the process that started this one.
print(next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM")))
import os
sys.stdout.flush(); os._exit(0)
"""
MOST = 420
"""MiB of a whole viewer; what is legitimate (200,000 tasks) needs half of it."""


def strings() -> Frames:
    for number in itertools.count():
        items = [f"{number * 500 + place} {LONG}" for place in range(500)]
        yield {"type": "static", "strings": {"from": len(fake_probe.STRINGS) + number * 500, "items": items}}


def tasks() -> Frames:
    for number in itertools.count(1):
        rows = [[number * 500 + place, f"{place} {LONG}", 2, 1, NOW, None, 0, 1, 0] for place in range(500)]
        yield {"type": "static", "tasks": rows}


def short_tasks() -> Frames:
    for number in itertools.count(1):
        yield {
            "type": "static",
            "tasks": [[number * 9000 + place, "t", 2, 1, NOW, None, 0, 1, 0] for place in range(9000)],
        }


def loops() -> Frames:
    for number in itertools.count(1):
        yield {"type": "static", "loops": [[number * 2000 + place, "asyncio", 7, "l"] for place in range(2000)]}


def notices() -> Frames:
    return (event(number, "notice", text=f"{number} {LONG}") for number in itertools.count(1))


def ends() -> Frames:
    for number in itertools.count(1):
        failure = {"type": LONG, "message": LONG, "traceback": [1] * 200, "locals": [[["n", "v"]] * 5] * 200}
        yield event(number, "task_ended", task=number + 9, name=LONG, coro=LONG, outcome="failed", exception=failure)


def slow() -> Frames:
    """Under ever new lines."""
    for number in itertools.count(1):
        if number % 100 == 1:
            yield {"type": "static", "sites": {"from": 4, "items": [[1, number + line, 2] for line in range(100)]}}
        stack = [4 + number % 100] * 200
        yield event(number, "slow_callback", loop=1, duration=200_000, callback=LONG, name=LONG, stack=stack, blame=0)


def details() -> Frames:
    for number in itertools.count(1):
        found = [{"id": number * 500 + place, "await_stack": [1] * 200} for place in range(500)]
        yield {"type": "reply", "id": 1, "ok": True, "more": True, "details": found}


def memory() -> Frames:
    figures = dict.fromkeys(("blocks", "groups", "pause", "took", "traced", "peak", "overhead"), 1)
    for number in itertools.count(1):
        look = {"at": NOW + number, **figures, "group": f"{number}", "rows": [[[1], 1, 1, 1, 1]] * 20_000}
        yield {"type": "reply", "id": 1, "ok": True, "memory": look}


def deaf(peer: Peer) -> None:
    with contextlib.suppress(OSError):
        peer.read_until_closed()


def floods(flood: Callable[[], Frames]) -> Callable[[Peer], None]:
    def behave(peer: Peer) -> None:
        peer.socket.settimeout(None)
        threading.Thread(target=deaf, args=(peer,), daemon=True).start()
        peer.send(hello(), static(), tick())
        for frame in flood():
            peer.send(frame)

    return behave


@pytest.mark.parametrize("flood", [strings, tasks, short_tasks, loops, notices, ends, slow, details, memory])
def test_what_a_flood_leaves_in_a_viewer_is_bounded(tmp_path: Path, probe_at: Any, flood: Callable[[], Frames]) -> None:
    probe_at(tmp_path / "s", floods(flood))
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "s")], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    print(f"{flood.__name__}: {ran.stdout.strip()} MiB")
    assert int(ran.stdout) < MOST


@pytest.mark.parametrize(
    "frame",
    [
        event(1, "notice", text="x" * 900_000),
        event(1, "slow_callback", stack=[1] * 201),
        event(1, "unhandled", exception={"type": "E", "message": "m", "locals": [[["n", "v"]] * 1001]}),
        event(1, "unhandled", exception={"type": "E", "message": "m", "locals": [[["n", "v" * 1999]] * 17]}),
        {"type": "static", "strings": {"from": 0, "items": ["x" * 2001]}},
        {"type": "static", "tasks": [[1, "x" * 2001, 2, 1, NOW, None, 0, 1, 0]]},
    ],
    ids=["notice", "stack", "names", "locals", "string", "name"],
)
def test_texts_that_no_probe_sends_are_one_line(run: Any, tmp_path: Path, probe_at: Any, frame: dict[str, Any]) -> None:
    probe_at(tmp_path / "s", fake_probe.says(hello(), frame))
    status, out, err = run("tasks", f"unix:{tmp_path}/s")
    assert status == NO_CONNECTION and out == "" and err.count("\n") == 1 and "a broken" in err, err


def never_whole() -> Frames:
    return (tick(NOW + number, left=1) for number in itertools.count(1))


def test_a_look_at_a_probe_that_never_ends_its_first_screen_ends(
    run: Any, tmp_path: Path, probe_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "LONGEST", 1.0)
    probe_at(tmp_path / "s", floods(never_whole))
    status, out, err = run("tasks", f"unix:{tmp_path}/s", "--json")
    assert status == NO_CONNECTION and out == "" and "did not send all of its tasks in 1 s" in err


def test_a_reply_that_never_ends_is_given_up(
    run: Any, tmp_path: Path, probe_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "LONGEST", 1.0)

    def talks() -> Frames:
        yield tick(NOW + 1)
        while True:
            yield {"type": "reply", "id": 1, "ok": True, "more": True, "details": []}

    probe_at(tmp_path / "s", floods(talks))
    status, out, err = run("tasks", f"unix:{tmp_path}/s", "--json")
    assert status == NO_CONNECTION and out == "" and "does not reply" in err
