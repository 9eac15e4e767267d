"""`looptop` alone, in a terminal: from the list to a dashboard and back, and out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pseudo_terminal import PseudoTerminal

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, sys
async def main():
    asyncio.get_running_loop().create_task(asyncio.sleep(1000), name="sleeper")
    print("ready", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


class Terminal(PseudoTerminal):
    """looptop in a pseudo-terminal of 100x30."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "monitor", *arguments]
        super().__init__(command, 100, 30, cwd=folder, PYTHONPATH=str(ROOT))


@pytest.fixture
def terminal(tmp_path, runtime_dir):
    made = Terminal(tmp_path)
    yield made
    made.close()


@pytest.fixture
def program(tmp_path):
    script = tmp_path / f"sleeping_{os.getpid()}.py"  # all programs of the machine are listed
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
    terminal.press(f"sleeping_{os.getpid()}")
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
