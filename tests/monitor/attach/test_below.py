"""`looptop run` with a dashboard, seen from below it: a stand-in takes the dashboard's place, the rest is real."""

import os
import re
import signal
import sys

import pytest
from fake_probe import eventually

import monitor.tui
from monitor.attach.launch import Launch, Settings
from monitor.attach.program import PtyProgram
from monitor.cli.run_dashboard import run_below
from monitor.protocol import frames

PROGRAM = """
import asyncio, os, sys
async def main():
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.fixture
def run(tmp_path, runtime_dir, monkeypatch):
    def start(code, dashboard):
        script = tmp_path / "app.py"
        script.write_text(code)
        opened = []

        def stand_in(source, *, program, **_):
            opened.append(program)
            source.start()
            return dashboard(source, program)

        monkeypatch.setattr(monitor.tui, "run_dashboard", stand_in)
        return run_below(Launch((sys.executable, str(script)), Settings(name="app"))), opened

    return start


def connected(source):
    came = []
    source.watch(rate=20)

    def ticked():
        came.extend(source.frames())
        return any(isinstance(frame, frames.Tick) for frame in came)

    eventually(ticked)
    return came


def test_the_person_leaves_and_the_program_is_stopped(run, capfd):
    def dashboard(source, program):
        came = connected(source)
        assert came[0].name == "app"
        assert eventually(program.output) == ["ready"]
        return 0

    status, (program,) = run(PROGRAM, dashboard)
    assert status == 130
    assert not program.running
    assert capfd.readouterr() == ("", "")


def test_the_program_ends_by_itself(run, capfd, tmp_path):
    def dashboard(source, program):
        connected(source)
        (tmp_path / "enough").touch()
        ended = eventually(lambda: source.status.state == "ended" and source.status)
        assert ended.text == "the program ended with status 7"
        return 7

    code = PROGRAM.replace(
        "    await asyncio.sleep(60)",
        f"""    while not os.path.exists("{tmp_path}/enough"):
        await asyncio.sleep(0.05)
    print("last words")
    sys.exit(7)""",
    )
    assert run(code, dashboard)[0] == 7
    assert capfd.readouterr().err == "ready\nlast words\nlooptop: the program ended with status 7\n"


def test_a_program_that_is_killed(run, capfd):
    def dashboard(source, program):
        connected(source)
        os.kill(program.pid, signal.SIGKILL)
        eventually(lambda: source.status.state == "ended")
        return 137

    assert run(PROGRAM, dashboard)[0] == 137
    assert "the program was ended by SIGKILL" in capfd.readouterr().err


def test_one_that_fails_at_once_has_no_dashboard(run, capfd, monkeypatch):
    monkeypatch.setattr(
        "monitor.cli.run_dashboard.FIRST_MOMENT", 20.0
    )  # a busy machine takes its time to start a Python
    status, opened = run("import nothing_of_that_name", lambda *_: 0)
    assert (status, opened) == (1, [])
    out, err = capfd.readouterr()
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in out
    ended = "looptop: the program ended with status 1 before it could be watched"
    assert re.fullmatch(rf"{ended}(; its last minutes: looptop postmortem \d+)?\n", err), err


def test_a_dashboard_that_is_ended_by_a_signal_takes_the_program_along(run):
    status, (program,) = run(PROGRAM, lambda source, program: connected(source) and 143)
    assert status == 143
    assert isinstance(program, PtyProgram)
    assert program.stopped
    assert not program.running


def test_a_dashboard_that_fails_takes_the_program_along(run):
    seen = []

    def dashboard(source, program):
        seen.append(program)
        connected(source)
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run(PROGRAM, dashboard)
    assert not seen[0].running
