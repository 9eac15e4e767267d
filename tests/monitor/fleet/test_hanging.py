"""Members of a set that hang, each in another way, beside one that answers: it is shown, and nobody waits for them."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import fake_probe
import pytest
from servers import looptop
from waiting import wait_until
from watched import Program

from monitor.attach.injector import Injector
from monitor.cli import target as targets
from monitor.cli.target import Connector
from monitor.findings.thresholds import Thresholds
from monitor.fleet.base import ASKED
from monitor.fleet.fleet import Fleet
from monitor.fleet.members import Members
from monitor.fleet.service import Service
from monitor.transport.address import Address

APP = """
import asyncio, sys

async def main():
    tasks = [asyncio.create_task(asyncio.sleep(600), name=f"job-{i}") for i in range(3)]
    await asyncio.sleep(0)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


class Stuck:
    """A socket that is never served: what comes is taken by nobody, or answered with `said` and no more."""

    def __init__(self, path: Path, said: bytes | None) -> None:
        self.target = f"unix:{path}"
        self._said = said
        self._taken: list[socket.socket] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(1)
        if said is not None:
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                taken, _ = self._socket.accept()
                self._taken.append(taken)
                taken.sendall(self._said or b"")

    def close(self) -> None:
        for one in (self._socket, *self._taken):
            one.close()


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[list[Stuck]]:
    hello = json.dumps(fake_probe.hello()).encode() + b"\n"
    said = {"deaf": None, "mute": b"", "half": hello[:40], "hello": hello}
    made = [Stuck(tmp_path / name, text) for name, text in said.items()]
    yield made
    for one in made:
        one.close()


def test_one_that_hangs_holds_up_nobody(tmp_path: Path, stuck: list[Stuck]) -> None:
    with Program(APP, folder=tmp_path) as program, Program(APP, folder=tmp_path) as stopped:
        program.expect("ready")
        stopped.expect("ready")
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            all_of_them = [str(stopped.pid), *(one.target for one in stuck), str(program.pid)]
            last = len(all_of_them) - 1
            with closing(Fleet(Members(all_of_them), Connector(), ASKED)) as fleet:
                service = Service(fleet, Thresholds())

                def row() -> object:
                    service.step()
                    return service.rows()[last]

                assert len(service.rows()) == 0
                service.step()
                rows = service.rows()
                assert [one.worker for one in rows] == list(range(last + 1)), "all rows, whoever has answered"
                assert rows[1].entering and rows[2].entering and not rows[1].problem, "the deaf one and the mute one"
                wait_until(lambda: row().tasks == 4, "the one that answers", 120)  # type: ignore[attr-defined]
                seen = {fleet.workers[last].store.now}
                wait_until(
                    lambda: row() and (seen.add(fleet.workers[last].store.now), len(seen) > 4)[1], "its ticks", 120
                )
                found = wait_until(
                    lambda: (row(), service.rows())[1] if service.rows()[0].problem else None, "the stopped one", 120
                )
                assert "stopped" in found[0].problem
                assert all(one.tasks is None or one.tasks == 0 for one in found[1:last])
                os.kill(stopped.pid, signal.SIGCONT)
                wait_until(lambda: (row(), service.rows()[0].tasks == 4)[1], "the stopped one, continued", 120)
            os.kill(stopped.pid, signal.SIGSTOP)
            done = looptop("tasks", *all_of_them, "--filter", "name:job-*", "--json")
            found = json.loads(done.stdout)
            assert {one["pid"] for one in found["tasks"]} == {program.pid}, done.stderr
            problems = {one["worker"]: one["problem"] for one in found["processes"]}
            assert problems.pop(last) is None
            assert all(problems[slot] for slot in range(4)), problems
        finally:
            os.kill(stopped.pid, signal.SIGCONT)


def test_injections_run_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    room, number = 2, 6
    monkeypatch.setattr(targets, "_INJECTING", threading.BoundedSemaphore(room))
    lock, running, most, let_go = threading.Lock(), 0, 0, threading.Event()

    def inject(_self: Injector, pid: int) -> Address:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        let_go.wait(120)
        with lock:
            running -= 1
        return Address(pid=pid)

    monkeypatch.setattr(Injector, "inject", inject)
    entered: set[str] = set()
    injector = targets._noting(None, entered)
    threads = [threading.Thread(target=injector.inject, args=(pid,), daemon=True) for pid in range(number)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(entered) == number and running == room, "all that wait count as being entered")
    let_go.set()
    for thread in threads:
        thread.join(120)
    assert (most, entered) == (room, set())
