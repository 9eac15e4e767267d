"""What `looptop ps` tells of a process without asking it."""

import os
import subprocess
import sys

import pytest
from fake_probe import announce

from monitor.attach import programs as module
from monitor.attach.programs import Mapped, judge_maps, look, programs

LIB = "/opt/py/lib/python3.12/lib-dynload"


@pytest.fixture
def waiting():
    """A Python program that has run some code and waits."""
    started = []

    def start(code):
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", f"{code}; print(flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        process.stdout.readline()
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/usr/bin/cat"}, Mapped(None, False, False)),
        ({"/opt/py/bin/python3.12", f"{LIB}/_asyncio.cpython-312-x86_64-linux-gnu.so"}, Mapped("3.12", True, False)),
        (
            {"/root/.pyenv/versions/3.11.7/bin/python3.11", f"{LIB}/_asyncio.cpython-311-x.so"},
            Mapped("3.11.7", True, False),
        ),
        ({"/opt/none/lib/libpython3.99.so.1.0", "/usr/sbin/uwsgi"}, Mapped("3.99", None, False)),
        ({"/x/uvloop/loop.cpython-313-x86_64-linux-gnu.so"}, Mapped("3.13", True, True)),
        ({"/versions/3.9.1/lib/libpython3.13t.so.1.0"}, Mapped("3.13", None, False)),
    ],
)
def test_the_names_of_mapped_files(files, expected):
    assert judge_maps(files) == expected


def test_python_that_has_and_that_has_not_loaded_asyncio(runtime_dir, waiting):
    without, with_ = look(waiting("pass")), look(waiting("import asyncio"))
    version = ".".join(map(str, sys.version_info[:2]))
    for program in (without, with_):
        assert program.python.startswith(version)
        assert (program.name, program.uvloop) == (None, False)
    assert (without.watchable, without.asyncio, without.reason) == (False, False, "no asyncio loaded")
    assert (with_.watchable, with_.asyncio, with_.reason) == (True, True, None)
    assert with_.todo == f"looptop attach {with_.pid}"


def test_a_program_with_a_probe_comes_first(runtime_dir, waiting):
    pids = [waiting("pass"), waiting("import asyncio"), waiting("pass")]
    announce(runtime_dir, pids[2], name="[/x]", python="3.13.0")
    ours = [program for program in programs() if program.pid in pids]
    assert [program.pid for program in ours] == [pids[2], pids[1], pids[0]]
    first = ours[0]
    assert (first.watchable, first.name, first.reason, first.python) == (True, "[/x]", None, "3.13.0")
    assert first.todo == f"looptop attach {pids[2]}"


def test_processes_of_others_are_named_but_not_looked_into(runtime_dir, waiting, monkeypatch):
    pid = waiting("import asyncio")
    monkeypatch.setattr(module.os, "geteuid", lambda: 4711)
    program = look(pid)
    assert (program.python, program.asyncio, program.watchable) == (None, None, False)
    assert program.reason == f"belongs to {program.owner}"
    assert program.todo == f"run looptop as {program.owner} or as root"


def test_what_is_no_python_and_what_is_gone(runtime_dir):
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert look(process.pid) is None
    process.communicate()
    assert look(process.pid) is None
    assert look(os.getpid()) is None
