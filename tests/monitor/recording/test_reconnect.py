"""A connection that breaks while it is recorded: the recording goes on in the same file, with a gap that shows."""

import contextlib
import socket
import threading
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from scripted import Script, wait_for_writer
from waiting import wait_until
from watched import Program

from monitor.errors import Closed, ConnectError, Unreachable
from monitor.recording import reconnect as module
from monitor.recording.reader import Recording
from monitor.recording.reconnect import reconnect
from monitor.recording.record import RecordOptions, record
from monitor.recording.writer import File, Recorder
from monitor.store.store import Store
from monitor.transport.address import Address
from monitor.transport.connection import connect

BLOCKING = """
    import asyncio, time
    async def main():
        print("ready", flush=True)
        while True:
            await asyncio.sleep(0.05)
            time.sleep(0.11)
    asyncio.run(main())
"""


class Tunnel:
    """Leads to a probe, until it is cut."""

    def __init__(self, path: Path, to: Path) -> None:
        self.path, self._to = path, to
        self._ends: list[socket.socket] = []
        self.open()

    def open(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._to))
                self._ends += [near, far]
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(a, b), daemon=True).start()

    @staticmethod
    def _carry(a: socket.socket, b: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)

    def cut(self) -> None:
        for end in [self._listener, *self._ends]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()


class Running:
    """A recorder of a program, through a tunnel."""

    def __init__(self, tunnel: Tunnel, path: Path) -> None:
        def reach():
            return connect(Address(path=str(tunnel.path)))

        self.progress = None
        self.stop = threading.Event()
        self.outcome = None

        def notify(progress):
            self.progress = progress

        def run():
            self.outcome = record(reach(), RecordOptions(path, rate=10.0), stop=self.stop, notify=notify, again=reach)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def ticks(self, more: int) -> None:
        before = self.progress.ticks if self.progress is not None else 0
        wait_until(lambda: self.progress is not None and self.progress.ticks >= before + more, f"{more} ticks more")


@pytest.fixture
def program(tmp_path):
    with Program(BLOCKING, folder=tmp_path) as program:
        program.expect("ready")
        yield program


@pytest.fixture
def tunnel(program, tmp_path):
    made = Tunnel(tmp_path / "tunnel.sock", program.directory / f"{program.pid}.sock")
    yield made
    made.cut()


def test_it_goes_on_in_the_same_file_after_a_gap(tunnel, tmp_path):
    running = Running(tunnel, tmp_path / "a.looptop")
    running.ticks(5)
    tunnel.cut()
    wait_until(lambda: running.progress.lost is not None and running.progress.lost > 0.5, "the loss to be told")
    tunnel.open()
    running.ticks(5)
    running.stop.set()
    running.thread.join(60)
    outcome = running.outcome
    assert outcome is not None and (outcome.reason, outcome.problem, len(outcome.gaps)) == ("stopped", None, 1)
    assert "in which the connection was lost" in outcome.lines()[-1]
    with Recording(tmp_path / "a.looptop") as recording:
        assert recording.finished and not recording.problems
        ((before, after),) = [pair for pair in pairwise(recording.summaries) if pair[1].jump]
        assert (after.start - before.end) * 1e-6 > 0.5
        seen = [event.seq for event in recording.notes() if event.kind == "slow_callback"]
        assert sorted(set(seen)) == list(range(min(seen), max(seen) + 1))  # what happened in the gap is there, too
        assert len(seen) == len(set(seen))


def test_the_end_of_the_program_is_no_broken_connection(program, tunnel, tmp_path):
    running = Running(tunnel, tmp_path / "a.looptop")
    running.ticks(3)
    tunnel.cut()
    program.process.kill()
    program.process.wait()
    running.thread.join(60)
    assert running.outcome is not None and running.outcome.reason == "the program has ended"


class Elsewhere:
    """A connection to another machine, which broke."""

    hello = SimpleNamespace(host="elsewhere", pid=1, session="one")
    by_network = True

    def close(self):
        pass


BROKE = Closed("box:1 closed the connection", "the program has ended, or let go of it")


def back(again, stop=None, until=None):
    return reconnect(Elsewhere, BROKE, again, stop or threading.Event(), until, lambda _: None)


def test_a_machine_that_refuses_is_not_asked_for_long(monkeypatch):
    monkeypatch.setattr(module, "REFUSED", 0.3)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)

    def refuses():
        raise ConnectError("nobody serves box:1")

    assert back(refuses) == BROKE.hint
    assert back(None) == BROKE.hint


def test_a_machine_that_does_not_answer_is_asked_for_longer(monkeypatch):
    monkeypatch.setattr(module, "REFUSED", 0.1)
    monkeypatch.setattr(module, "AWAY", 0.6)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    asked = []

    def silent():
        asked.append(1)
        raise Unreachable("box:1 does not answer")

    assert "nothing led there again" in back(silent)
    assert len(asked) > 1


def test_a_machine_that_stands_still_does_not_use_up_the_patience(monkeypatch):
    now, asked = [100.0], []
    stop = threading.Event()
    stop.wait = lambda _seconds: now.__setitem__(0, now[0] + 30.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def refuses_once():
        asked.append(now[0])
        if len(asked) == 1:
            raise ConnectError("nobody serves box:1")
        return Elsewhere

    found = back(refuses_once, stop)
    assert isinstance(found, module.Back) and found.connection is Elsewhere
    assert len(asked) == 2


def test_another_session_is_not_mixed_in(monkeypatch):
    class Another(Elsewhere):
        hello = SimpleNamespace(host="elsewhere", pid=1, session="two")

    assert back(Another) == module.ANOTHER


def test_a_recorder_that_is_stopped_does_not_go_on_asking():
    stop = threading.Event()
    stop.set()
    assert back(lambda: None, stop) == module.STOPPED
    assert back(lambda: None, until=0.0) == module.OVER


def test_what_is_told_before_the_picture_is_whole_again_is_in_the_file_once(tmp_path):
    path, script, store = tmp_path / "a.looptop", Script(seed=3, slow=0, failures=0), Store()
    recorder = Recorder(store, File(path, rate=2.0))

    def take(came):
        for one in came:
            store.apply(one)
            recorder.take(one)
        wait_for_writer(recorder)

    take(script.start())
    old = script.slow_callback(200_000)
    take([*script.tick(), old])
    script.at += 20_000_000
    again = Script(seed=3, at=script.at, seq=script.seq)
    hello, tables, facts, piece, *whole = again.start()
    new = msgspec.structs.replace(again.slow_callback(300_000), name="Task-7", callback="Shop.handle()")
    again.at += 1_000_000
    take([hello, tables, facts, old, piece, new, *whole, *again.tick()])
    recorder.close("stopped")
    with Recording(path) as recording:
        assert [e.seq for e in recording.notes() if e.kind == "slow_callback"] == [old.seq, new.seq]
        marks = [mark.text for mark in recording.markers() if mark.kind == "slow"]
        assert marks == ["#1 w blocked for 200ms", "#1 Shop.handle() blocked for 300ms"]
        for at in (recording.end, recording.end - 1):
            sought = Store()
            for one in recording.state(at)[0]:
                sought.apply(one)
            assert sum(line.count for line in sought.slow.lines.values()) == 2
