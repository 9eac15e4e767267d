"""Which Python may be run to read another one: never one that somebody else could have chosen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.attach.inject import interpreter
from monitor.attach.inject.interpreter import for_compiling, for_reading

MINE = sys.version_info[1]


@pytest.fixture
def other(monkeypatch):
    """As if looptop ran on another minor version, with nothing on PATH."""
    monkeypatch.setattr(interpreter.sys, "version_info", (3, 99, 0))
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def process(tmp_path):
    """A process that runs a copy of an interpreter, which is this user's own."""
    copy = tmp_path / "python3.14"
    copy.write_bytes(Path("/bin/sleep").read_bytes())
    copy.chmod(0o755)
    child = subprocess.Popen([copy, "60"])
    yield child, copy
    child.kill()
    child.wait()


def test_pythons_that_can_not_be_read_have_no_reader():
    assert for_reading(os.getpid(), os.geteuid(), 13) is None


def test_our_own_where_the_version_is_the_same(monkeypatch):
    monkeypatch.setattr(interpreter.sys, "version_info", (3, 14, 1))
    assert for_reading(os.getpid(), os.geteuid(), 14) == sys.executable


def test_that_of_the_process_where_it_is_ours(other, process):
    child, copy = process
    assert for_reading(child.pid, os.geteuid(), 14) == str(copy)


def test_never_that_of_another_user(other, process):
    child, _ = process
    assert for_reading(child.pid, os.geteuid() + 1, 14) is None


def test_never_one_that_others_may_write(other, process):
    child, copy = process
    copy.chmod(0o757)
    assert for_reading(child.pid, os.geteuid(), 14) is None


def test_never_a_file_of_a_third(other, process, monkeypatch):
    child, _ = process
    if os.geteuid():
        pytest.skip("only root can give a file away")
    os.chown(process[1], 4711, 4711)
    assert for_reading(child.pid, os.geteuid(), 14) is None


def test_never_another_file_that_took_its_place(other, process):
    child, copy = process
    copy.unlink()
    copy.write_bytes(b"#!/bin/sh")
    copy.chmod(0o755)
    assert for_reading(child.pid, os.geteuid(), 14) is None


def test_else_one_on_path(other, process, tmp_path, monkeypatch):
    child, _ = process
    folder = tmp_path / "bin"
    folder.mkdir()
    chosen = folder / "python3.15"
    chosen.write_text("#!/bin/sh")
    chosen.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert for_reading(child.pid, os.geteuid() + 1, 15) == str(chosen)


def test_its_own_compiles_unless_ours_is_of_its_version(process, monkeypatch):
    child, copy = process
    monkeypatch.setattr(interpreter.sys, "version_info", (3, 14, 1))
    assert for_compiling(child.pid) is None
    monkeypatch.setattr(interpreter.sys, "version_info", (3, 99, 0))
    assert for_compiling(child.pid) == str(copy)
    copy.chmod(0o757)
    assert for_compiling(child.pid) is None
    assert for_compiling(2**30) is None
