"""Several who look at the same moment: none is in the way of another, whether they come or go."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inject_targets import ROOT, Running
from test_matrix import settled

from monitor.attach.inject import interruptible_threads, thread_injector
from monitor.attach.inject.ptrace import PtraceError


def looptop(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "monitor", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_three_who_come_together(tmp_path: Path, runtime_dir: Path) -> None:
    """One of them gets in; the others wait for it, and come through its probe."""
    with Running(sys.executable, "idle", tmp_path) as target:
        threads, files = target.threads(), target.files()
        for _ in range(2):
            viewers = [looptop("tasks", str(target.pid)) for _ in range(3)]
            for viewer in viewers:
                out, err = viewer.communicate(timeout=60)
                assert (viewer.returncode, err) == (0, "")
                assert "worker-4" in out
        settled(target, threads, files)
        assert target.stderr == ""


def test_a_thread_that_another_has_for_a_moment_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [PtraceError(errno.EPERM, "Operation not permitted") for _ in range(3)]

    def borrow(*_: object) -> thread_injector.Done:
        if taken:
            raise taken.pop()
        return thread_injector.Done("a new thread", 0.001)

    monkeypatch.setattr(interruptible_threads, "threads", lambda _: [(1, "poll")])
    monkeypatch.setattr(thread_injector, "_by_thread", borrow)
    arguments: tuple[Any, ...] = (1, None, {}, b"", time.monotonic() + 10)
    assert thread_injector.inject(*arguments).how == "a new thread"
    taken = [PtraceError(errno.EINVAL, "Invalid argument")]
    with pytest.raises(PtraceError, match="Invalid"):
        thread_injector.inject(*arguments)


def test_one_who_comes_while_the_probe_is_taken_out(tmp_path: Path, runtime_dir: Path) -> None:
    with Running(sys.executable, "idle", tmp_path) as target:
        threads, files = target.threads(), target.files()
        for _ in range(2):
            assert looptop("attach", str(target.pid), "--stay").wait(60) == 0
            gone, come = looptop("detach", str(target.pid)), looptop("tasks", str(target.pid))
            assert gone.communicate(timeout=60)[1] == ""
            out, err = come.communicate(timeout=60)
            assert (come.returncode, err) == (0, "")
            assert "worker-4" in out
        settled(target, threads, files)
        assert target.stderr == ""


def bootstrap() -> dict[str, Any]:
    """What runs in the program when somebody comes."""
    made: dict[str, Any] = {"__name__": "bootstrap"}
    exec((ROOT / "monitor" / "attach" / "inject" / "bootstrap.py").read_text(), made)
    return made


def test_a_probe_that_is_being_taken_out_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    naps = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            monkeypatch.delattr(sys, "_looptop_probe")

    monkeypatch.setattr(sys, "_looptop_probe", SimpleNamespace(_alive=False), raising=False)
    made = bootstrap()
    made |= {"asyncio_is_there": lambda _: False, "time": SimpleNamespace(time=time.time, sleep=sleep)}
    with pytest.raises(made["Refused"], match="asyncio"):
        made["settle"]({"until": time.time() + 60}, 0)
    assert len(naps) == 3


def test_one_makes_a_probe_at_a_time(tmp_path: Path) -> None:
    """Loading takes long enough for two that come together to find no probe, and to hook the same methods twice."""
    made = bootstrap()
    inside, most, answers = [], [], []
    lock = threading.Lock()

    def settle(bundle: dict[str, Any], _handle: int) -> tuple[dict[str, Any], None]:
        inside.append(bundle)
        most.append(len(inside))
        time.sleep(0.05)
        inside.remove(bundle)
        return {"how": "found"}, None

    def answer(_handle: int, result: dict[str, Any]) -> None:
        with lock:
            answers.append(result)

    def open_answer(name: str) -> int:
        return os.open(tmp_path / name, os.O_CREAT | os.O_RDWR)

    made |= {"settle": settle, "answer": answer, "open_answer": open_answer, "wait_until_read": os.close}
    until = time.time() + 60
    arrivals = [
        threading.Thread(target=made["arrive"], args=({"nonce": str(n), "name": str(n), "until": until},))
        for n in range(4)
    ]
    for arrival in arrivals:
        arrival.start()
    for arrival in arrivals:
        arrival.join(60)
    assert answers == [{"how": "found"}] * 4
    assert max(most) == 1
    assert not hasattr(sys, "_looptop_arriving"), "nothing is left"
