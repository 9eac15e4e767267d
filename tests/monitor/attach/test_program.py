"""A program below the dashboard: its output, its end, and that it is ended."""

import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from fake_probe import eventually

from monitor.attach import program as module
from monitor.attach.launch import Launch, Settings
from monitor.attach.program import LONGEST_LINE, MOST_LINES, Output, PtyProgram
from monitor.cli import run_dashboard
from monitor.errors import UsageError


@pytest.fixture
def start():
    started = []

    def make(code, **options):
        launch = Launch((sys.executable, "-S", "-c", textwrap.dedent(code)), Settings(announce=False))
        started.append(PtyProgram(launch, **options))
        return started[-1]

    yield make
    for program in started:
        program.stop()
        program.stop()
        program.stop()
        assert program.wait(60)


def lines_of(program, number):
    lines = []

    def enough():
        lines.extend(program.output())
        return len(lines) >= number

    eventually(enough)
    return lines


def test_output_and_status(start):
    program = start(
        """
        import os, sys
        print("out", flush=True); print("\\x1b[31merr\\x1b[0m", file=sys.stderr, flush=True)
        print(sys.stdin.read() == "", os.isatty(1), os.isatty(2), os.get_terminal_size(1).columns)
        print("half", end="")
        sys.exit(7)
        """,
        columns=97,
    )
    assert lines_of(program, 4) == ["out", "\x1b[31merr\x1b[0m", "True True True 97", "half"]
    assert program.wait(60)
    assert (program.running, program.exit_status) == (False, 7)
    assert program.how_it_ended() == "the program ended with status 7"
    assert program.output() == []
    assert program.last_output()[-1] == "half"
    program.stop()
    assert not program.stopped


def test_it_runs_until_it_is_stopped(start):
    program = start("import time; print('ready', flush=True); time.sleep(60)")
    assert lines_of(program, 1) == ["ready"]
    assert (program.running, program.exit_status, program.how_it_ended()) == (True, None, None)
    program.stop()
    assert program.wait(60)
    assert program.exit_status == -signal.SIGINT
    assert program.stopped


def test_one_that_will_not_end_is_killed(start, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 1.0)
    program = start(
        """
        import signal, time
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: print("no", flush=True))
        print("ready", flush=True)
        while True: time.sleep(60)
        """
    )
    lines_of(program, 1)
    program.stop()
    assert program.wait(60)
    assert program.exit_status == -signal.SIGKILL
    assert lines_of(program, 2) == ["no", "no"]


def test_asked_again_it_is_ended_harder_at_once(start, monkeypatch):
    monkeypatch.setattr(module, "GRACE", 600.0)
    program = start(
        """
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(60)
        """
    )
    lines_of(program, 1)
    program.stop()
    program.stop()
    assert program.wait(60)
    assert program.exit_status == -signal.SIGTERM


def test_it_dies_with_us(tmp_path):
    code = """
        import sys, os
        from monitor.attach.launch import Launch, Settings
        from monitor.attach.program import PtyProgram
        child = "import time; print('ready', flush=True); time.sleep(60)"
        program = PtyProgram(Launch((sys.executable, "-S", "-c", child), Settings()))
        while not program.last_output(): pass
        print(program.pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    ours = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert ours.returncode == -9
    pid = int(ours.stdout)
    eventually(lambda: _is_gone(pid))


def _is_gone(pid):
    try:
        with Path(f"/proc/{pid}/stat").open() as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_it_is_ended_when_the_dashboard_can_not_open(tmp_path, monkeypatch):
    """As with a configuration file that became bad since it was looked at."""
    script = tmp_path / "program.py"
    script.write_text("import asyncio; asyncio.run(asyncio.sleep(60))")
    (tmp_path / "looptop.toml").write_text("[findings.deadlok]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_dashboard, "FIRST_MOMENT", 0.0)
    launch = Launch((sys.executable, str(script)), Settings(name="it"))
    pids = []
    with pytest.raises(UsageError, match="no such kind"):
        run_dashboard.run_below(launch, pids.append)
    assert pids
    assert not Path(f"/proc/{pids[0]}").exists()
    assert "looptop-source" not in [thread.name for thread in threading.enumerate()]


def test_what_can_not_be_started(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(UsageError, match="cannot be started: No such file"):
        PtyProgram(Launch((str(tmp_path / "python"), "x.py"), Settings()))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_output_is_bounded():
    output = Output()
    for number in range(MOST_LINES + 500):
        output.add(b"line %d\r\n" % number)
    lines = output.take()
    assert len(lines) == MOST_LINES
    assert lines[-1] == f"line {MOST_LINES + 499}"
    assert output.printed == MOST_LINES + 500
    for _ in range(1000):
        output.add(b"x" * 65536)
    waiting = output.take()
    assert sum(len(line) for line in waiting) <= module.MOST_CHARACTERS
    assert max(len(line) for line in waiting) == LONGEST_LINE
    assert len(output._open) <= LONGEST_LINE


def test_lines_that_are_written_over_and_bytes_that_are_cut():
    output = Output()
    for piece in (b"10%\r", b"20%\r", b"done\r\n", "é".encode()[:1], "é".encode()[1:] + b"\xff\n", b"tail"):
        output.add(piece)
    assert output.take() == ["done", "é\ufffd"]
    output.add(b"", final=True)
    assert output.take() == ["tail"]
    assert output.last() == ["done", "é\ufffd", "tail"]
