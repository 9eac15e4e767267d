"""Whether a subprocess does anything, told from real ones."""

import os
import signal
import subprocess
import sys
from time import monotonic

import pytest
from waiting import wait_until

from probes.inspection.subprocesses import Child


@pytest.fixture
def start():
    started = []

    def start(*command):
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        process.stdin.close()


def python(code):
    return sys.executable, "-S", "-c", code


def test_one_that_sleeps_and_one_that_is_stopped(start):
    process, child = start("sleep", "600"), Child()
    # It may sleep for a moment while it starts, too.
    wait_until(lambda: child.look(process.pid, 0, monotonic()) > ("sleeping", 0.5), "it sleeps")
    child = Child()
    assert child.look(process.pid, 0, 1.0) == ("sleeping", 0.0)
    assert child.look(process.pid, 0, 31.0) == ("sleeping", 30.0)
    assert child.look(process.pid, 5, 32.0) == ("sleeping", 0.0)  # it has written something
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: child.look(process.pid, 5, 40.0)[0] == "stopped", "it is stopped")
    assert child.look(process.pid, 5, 45.0) == ("stopped", 5.0)


def test_one_that_works_serves_or_has_a_child_that_works(start):
    works = python("while True: pass")
    serves = python("import socket, time; s = socket.create_server(('127.0.0.1', 0)); time.sleep(600)")
    parent = ("sh", "-c", f"'{sys.executable}' -S -c 'while True: pass' & wait")
    for command in (works, serves, parent):
        process, child = start(*command), Child()
        wait_until(lambda pid=process.pid, child=child: child.look(pid, 0, 1.0)[0] == "", "it does something")
        looks = [child.look(process.pid, 0, 2.0 + number) for number in range(5)]
        assert max(idle for _, idle in looks) < 4.0


def test_one_that_has_ended():
    process = subprocess.Popen(["true"])
    process.wait(60)
    assert Child().look(process.pid, 0, 1.0) == ("", 0.0)
