"""`looptop record` on real programs: how it ends, and what is in the file then."""

import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until
from watched import Program

from monitor.errors import UsageError
from monitor.recording.metadata import about
from monitor.recording.reader import Recording, store_at
from monitor.recording.record import RecordOptions, check

BUSY = """
    import asyncio, time
    async def work():
        await asyncio.sleep(0.05)
        if work.n % 7 == 0:
            raise ValueError("seven")
    async def main():
        print("ready", flush=True)
        while True:
            work.n += 1
            asyncio.ensure_future(work()).add_done_callback(lambda t: t.exception())
            await asyncio.sleep(0.02)
            if work.n % 20 == 0:
                time.sleep(0.15)
    work.n = 0
    asyncio.run(main())
"""
LOOPTOP = [sys.executable, "-m", "monitor"]


@pytest.fixture
def busy(tmp_path):
    with Program(BUSY, folder=tmp_path) as program:
        program.expect("ready")
        yield program


def recorder(program, *args, **how):
    line = [*LOOPTOP, "record", str(program.pid), *map(str, args)]
    return subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **how)


def ended(process):
    out, err = process.communicate(timeout=60)
    assert out == ""
    return process.returncode, err


def test_a_folder_that_can_not_be_written_to_is_said_before_a_probe_is_put_in(monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UsageError, match="this folder cannot be written to: name a file in another one: -o FILE"):
        check(RecordOptions(path=Path()), named=False)


def test_a_folder_that_is_there_is_not_taken_for_one_that_is_missing(tmp_path):
    with pytest.raises(UsageError, match=f"^{tmp_path} exists: name another$"):
        check(RecordOptions(path=tmp_path))


def test_for_a_while(busy, tmp_path):
    file = tmp_path / "a.looptop"

    def enough():
        """A recording in which it has blocked and failed: on a crowded machine it may not come to that in time."""
        nonlocal said
        file.unlink(missing_ok=True)
        status, said = ended(recorder(busy, "-o", file, "--duration", "1.2", "--rate", "3"))
        assert status == 0, said
        with Recording(file) as recording:
            kinds = {marker.kind for marker in recording.markers()}
            births = sum(tick.births for tick in recording.light_ticks())
        # The tick at the end of the time belongs to it. On its way it may have been late by more than the first one.
        return kinds >= {"slow", "failed"} and births > 5 and about(file).duration >= 1.2

    said = ""
    wait_until(enough, "a recording with all of it")
    assert re.search(r"recording .* \(pid \d+\) → \S+a\.looptop; Ctrl-C ends it", said)
    assert re.search(r"a\.looptop: \d+\.\d+s, [\d.]+KiB; duration reached", said)
    assert (about(file).pid, about(file).whole) == (busy.pid, True)
    with Recording(file) as recording:
        assert {marker.kind for marker in recording.markers()} == {"slow", "failed"}
        assert recording.facts["rate"] == 3.0
    assert any(task.coro == "main" for task in store_at(file).tasks.values())
    assert file.stat().st_mode & 0o777 == 0o600  # names of tasks may be secrets


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_well(busy, tmp_path, number):
    file = tmp_path / "a.looptop"
    process = recorder(busy, "-o", file, "--rate", "20")
    wait_until(lambda: (found := about(file)) is not None and found.duration, "the first block")
    process.send_signal(number)
    status, said = ended(process)
    assert (status, about(file).whole) == (0, True), said
    assert said.rstrip().endswith("; stopped")


def test_the_end_of_the_program_ends_it_and_is_told(busy, tmp_path):
    file = tmp_path / "a.looptop"
    process = recorder(busy, "-o", file, "--rate", "20")
    wait_until(lambda: (found := about(file)) is not None and found.duration, "the first block")
    busy.process.kill()
    busy.process.wait()
    status, said = ended(process)
    assert (status, about(file).whole) == (0, True)
    assert said.rstrip().endswith("; the program has ended")


def test_a_recorder_that_was_killed_leaves_its_whole_blocks(busy, tmp_path):
    file = tmp_path / "a.looptop"
    process = recorder(busy, "-o", file, "--rate", "20")
    wait_until(lambda: (found := about(file)) is not None and (found.duration or 0) > 2, "the second block")
    process.kill()
    process.communicate()
    assert not about(file).whole
    with Recording(file) as recording:
        assert recording.duration > 2
        assert "was not finished: it is read up to" in recording.problems[0]
    assert store_at(file, "1").tasks


def test_a_full_disk_is_told_and_what_there_is_can_be_read(busy, tmp_path):
    file = tmp_path / "a.looptop"
    process = recorder(busy, "-o", file, "--rate", "20")
    wait_until(lambda: (found := about(file)) is not None and found.duration, "the first block")
    full = file.stat().st_size + 1000
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (full, full))
    status, said = ended(process)
    assert status == 1
    assert re.search(r"a\.looptop ends too early \(File too large\); what can be read: [\d.]+m?s, ", said), said
    assert 0 < about(file).size <= full
    with Recording(file) as recording:
        assert recording.duration > 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-o", "there"], "there exists: name another file, or remove it"),
        (["-o", "none/x"], "none/x cannot be written: name a file in a folder that is there"),
        (["--on", "failed"], "--on is for the flight recorder: say --ring 10m, too"),
        (["--ring", "1m", "--on", "rain"], "--on rain is not a trigger: one of slow:1s, failed, growth:100MB"),
        (["--ring", "soon"], "'soon' is not a duration: for example 10m"),
    ],
)
def test_what_can_not_be_done_is_told_before_the_program_is_asked(tmp_path, args, said):
    (tmp_path / "there").write_text("")
    line = [*LOOPTOP, "record", "1", *args]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (2, f"looptop: {said}")
    assert (tmp_path / "there").read_text() == ""


ALONE = """
    import asyncio, os, signal, sys, time
    died = []
    signal.signal(signal.SIGCHLD, lambda *a: died.append(a))
    async def main():
        until = time.monotonic() + 60
        while not sys._looptop_probe.server.viewers and time.monotonic() < until:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
    asyncio.run(main())
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no children", died, sys.argv[1:])
    sys.exit(7)
"""


def run_recorded(tmp_path, script, *args, program=ALONE, python=sys.executable):
    import textwrap

    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    line = [*LOOPTOP, "run", "--headless", "--python", python, "--record", script, "program.py", *args]
    return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, timeout=60)


def test_a_program_that_is_run_is_recorded_from_its_start_and_does_not_know(tmp_path):
    done = run_recorded(tmp_path, "a.looptop", "x")
    assert (done.returncode, done.stdout) == (7, "no children [] ['x']\n")
    assert done.stderr.startswith("looptop: recording to a.looptop\n")
    found = wait_until(lambda: (known := about(tmp_path / "a.looptop")) and known.whole and known, "a whole file")
    assert found.duration > 0.4
    assert done.stderr.count("looptop:") == 2  # where to connect; a recording that is well says nothing more
    with Recording(found.path) as recording:
        assert recording.reason == "the program has ended"


def test_a_program_that_ends_at_once_leaves_no_file_and_a_word(tmp_path):
    # A program that ends in its first line may be caught all the same, so this one ends before Python begins.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *program.py*) exit 3;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = run_recorded(tmp_path, "a.looptop", python=str(python))
    assert done.returncode == 3, done.stderr
    assert not (tmp_path / "a.looptop").exists()
    assert "nothing is recorded: the program ended before its probe was there" in done.stderr


def test_a_file_that_exists_is_kept_and_the_program_not_started(tmp_path):
    (tmp_path / "a.looptop").write_text("mine")
    done = run_recorded(tmp_path, "a.looptop")
    assert (done.returncode, done.stdout) == (2, "")
    assert "a.looptop exists" in done.stderr
    assert (tmp_path / "a.looptop").read_text() == "mine"
