"""`looptop` alone, in a terminal: from the list to a dashboard and back, and out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, sys
async def main():
    asyncio.get_running_loop().create_task(asyncio.sleep(1000), name="sleeper")
    print("ready", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""
_CODES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][A-B0-9]")


class Terminal:
    """looptop in a pseudo-terminal of 100x30."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitor", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"},
            start_new_session=True,
        )
        os.close(slave)
        self.drawn = b""

    def press(self, keys: str) -> None:
        self.drawn = b""
        os.write(self.master, keys.encode())

    def until(self, wanted: str, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while wanted.encode() not in _CODES.sub(b"", self.drawn):
            assert time.monotonic() < deadline, (wanted, _CODES.sub(b"", self.drawn)[-3000:])
            self._read(0.5)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.drawn += data
        return bool(data)

    def end(self) -> int:
        deadline = time.monotonic() + 15
        while self.process.poll() is None and time.monotonic() < deadline:
            if not self._read(0.2):
                break
        return self.process.wait(5)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(tmp_path, runtime_dir):
    made = Terminal(tmp_path)
    yield made
    made.close()


@pytest.fixture
def program(tmp_path):
    script = tmp_path / "sleeping_of_the_test.py"
    script.write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_to_a_program_and_to_a_sample_and_back(terminal, program):
    terminal.until("2 Recordings 0")
    terminal.press("/")
    terminal.until("Keep")
    terminal.press("sleeping_of_the")
    terminal.until("1 found")
    terminal.press("\r")
    terminal.until("Open")
    terminal.press("\r")
    terminal.until("sleeper")
    terminal.press("q")
    terminal.until("top for the event loop")
    terminal.press("3")
    terminal.until("A program that misbehaves")
    terminal.press("\r")
    terminal.until("cpu-burner")
    terminal.press("q")
    terminal.until("What it shows")
    assert program.poll() is None
    terminal.press("q")
    assert terminal.end() == 0


def test_a_signal_ends_it(terminal):
    terminal.until("top for the event loop")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.end() == 128 + signal.SIGTERM
    assert b"\x1b[?1049l" in terminal.drawn


def test_from_a_program_of_ours_to_the_samples(tmp_path, runtime_dir):
    """The command palette goes there; the program is stopped first, and that is asked."""
    (tmp_path / "ours.py").write_text(PROGRAM)
    terminal = Terminal(tmp_path, "run", "ours.py")
    try:
        terminal.until("sleeper")
        terminal.press("\x10")
        terminal.until("Search for commands")
        terminal.press("samples")
        terminal.until("start a small sample program")
        terminal.press("\r")
        terminal.until("Stop it and quit?")
        terminal.press("y")
        terminal.until("What it shows")
        terminal.press("q")
        assert terminal.end() == 0
    finally:
        terminal.close()
