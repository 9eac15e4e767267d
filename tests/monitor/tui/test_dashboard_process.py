"""The dashboard as a process in a pseudo-terminal: what it leaves behind when it is told to end."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from pseudo_terminal import PseudoTerminal
from waiting import wait_until

HERE = Path(__file__).parent
PROGRAM = """
import sys
from monitor.tui import run_dashboard
from scene import FakeProgram, FakeSource, everything
program = None
if "program" in sys.argv:
    program = FakeProgram(["hello"])
if "ended" in sys.argv:
    program = FakeProgram(["bye"])
    program.running, program.exit_status = False, int(sys.argv[-1])
if "fails" in sys.argv:
    from monitor.tui.screens.task import TaskScreen
    def fails(*_):
        raise ValueError("[/x]\\n" + "odd " * 500)
    setattr(TaskScreen, sys.argv[-1], fails)
source = FakeSource(*everything())
def command():
    try:
        return run_dashboard(source, program=program, hz=10)
    finally:
        assert source.started and source.closed
from monitor.guard import guarded
sys.exit(guarded(command))
"""


class Terminal(PseudoTerminal):
    """A pseudo-terminal with the dashboard in it."""

    def __init__(self, *arguments: str, below: Sequence[str] = (), **environment: str) -> None:
        path = os.pathsep.join([str(HERE), str(HERE.parents[2])])
        command = [*below, sys.executable, "-c", PROGRAM, *arguments]
        super().__init__(command, **{"PYTHONPATH": path, **environment})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(number: signal.Signals) -> None:
    terminal = Terminal()
    terminal.until(b"worker-3")
    assert b"\x1b[?1049h" in terminal.drawn
    terminal.process.send_signal(number)
    assert terminal.end() == 128 + number
    assert b"\x1b[?1049l" in terminal.drawn
    assert b"\x1b[?1000l" in terminal.drawn
    assert terminal.drawn.rfind(b"\x1b[?25h") > terminal.drawn.rfind(b"\x1b[?25l")


@pytest.mark.parametrize("question", [b"", b"q", b"r", b"c", b"?"])
def test_a_terminal_that_was_closed_ends_it_without_a_signal_too(question: bytes) -> None:
    """It is not the controlling terminal here, so that nobody sends a SIGHUP."""
    terminal = Terminal("program")
    terminal.until(b"worker-3")
    os.write(terminal.master, question)
    time.sleep(0.3)
    os.close(terminal.master)
    assert terminal.process.wait(60) == 128 + signal.SIGHUP


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_going_on_without_having_been_suspended_starts_no_second_reader() -> None:
    terminal = Terminal()
    terminal.until(b"worker-3")
    tasks = Path(f"/proc/{terminal.process.pid}/task")
    before = len(list(tasks.iterdir()))
    for _ in range(3):
        terminal.process.send_signal(signal.SIGCONT)
        terminal.drawn = b""
        terminal.until(b"worker-3")  # it is painted again: the shell may have written over it
    wait_until(lambda: len(list(tasks.iterdir())) <= before, "no more threads than before")
    os.write(terminal.master, b"q")
    assert terminal.end() == 0


@pytest.mark.parametrize("where", ["lines", "wants", "compose_body", "on_screen_resume", "action_cancel"])
def test_what_escapes_is_one_line_and_a_file(where: str, tmp_path: Path) -> None:
    terminal = Terminal("fails", where, TMPDIR=str(tmp_path))
    terminal.until(b"worker-3")
    os.write(terminal.master, b"\r")
    if where == "action_cancel":
        terminal.until(b"Await stack")
        os.write(terminal.master, b"c")
    assert terminal.end() == 70
    _, restored, after = terminal.drawn.partition(b"\x1b[?1049l")
    assert restored
    lines = re.sub(rb"\x1b\[[?<]?[0-9;]*[a-zA-Z]", b"", after).split(b"\r\n")
    (line,) = filter(None, lines)
    (file,) = tmp_path.glob("looptop-crash-*.txt")
    assert line.startswith(b"looptop: looptop itself failed with ValueError: [/x] odd odd")
    assert line.endswith(b"the traceback is in " + bytes(file)), line
    assert len(line) < 400
    text = file.read_text()
    assert "in fails" in text
    assert "textual" in text
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("status", "expected"), [(3, 3), (-15, 143), (0, 0)])
def test_the_status_of_the_program_is_passed_on(status: int, expected: int) -> None:
    terminal = Terminal("ended", str(status))
    terminal.until(b"showing its last state")
    os.write(terminal.master, b"q")
    assert terminal.end() == expected


def test_no_colour_means_no_colour_codes() -> None:
    terminal = Terminal(NO_COLOR="1")
    terminal.until(b"worker-3")
    os.write(terminal.master, b"q")
    assert terminal.end() == 0
    assert b"\x1b[38" not in terminal.drawn
    assert b";38;" not in terminal.drawn
    assert b"48;2;" not in terminal.drawn


SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def foreground(group):
    terminal = os.open(os.ctermid(), os.O_RDWR)
    os.tcsetpgrp(terminal, group)
    os.close(terminal)
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    foreground(os.getpgrp())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    foreground(os.getpgrp())
    print("the shell is back", flush=True)
    sys.stdin.readline()
    foreground(job)
    os.killpg(job, signal.SIGCONT)
"""


def test_to_the_shell_and_back() -> None:
    terminal = Terminal(below=(sys.executable, "-c", SHELL))
    terminal.until(b"worker-3")
    os.write(terminal.master, b"\x1a")
    terminal.until(b"the shell is back")
    assert terminal.drawn.rfind(b"\x1b[?1049l") > terminal.drawn.rfind(b"\x1b[?1049h")
    terminal.drawn = b""
    os.write(terminal.master, b"fg\n")
    terminal.until(b"worker-3")
    os.write(terminal.master, b"q")
    assert terminal.end() == 0


def test_without_a_shell_nothing_is_stopped() -> None:
    terminal = Terminal()
    terminal.until(b"worker-3")
    os.write(terminal.master, b"\x1a")
    terminal.until(b"no shell with job control")
    os.write(terminal.master, b"q")
    assert terminal.end() == 0
