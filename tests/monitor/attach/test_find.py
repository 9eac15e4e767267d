"""Probes that announce themselves, and files that only look like it."""

import os
import socket
import subprocess
import sys

import pytest
from fake_probe import announce

from monitor.attach import find
from monitor.attach.find import probes


@pytest.fixture
def ended_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_probe_that_lives(runtime_dir):
    announce(runtime_dir, os.getpid(), listen="127.0.0.1:7777", token_file="/run/token")
    found = probes()
    assert found.problems == []
    probe = found.of_pid(os.getpid())
    assert probe.name == "api"
    assert probe.socket == str(runtime_dir / f"{os.getpid()}.sock")
    assert (probe.listen, probe.token_file) == ("127.0.0.1:7777", "/run/token")
    assert found.of_name("api") == [probe]
    assert found.of_name("other") == []


def test_no_directory_is_no_problem(tmp_path):
    assert probes({"LOOPTOP_DIR": str(tmp_path / "none")}) == find.FoundProbes()


def test_what_an_ended_program_left_is_removed(runtime_dir, ended_pid):
    path = announce(runtime_dir, ended_pid)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path.with_suffix(".sock")))
    path.with_suffix(".token").write_text("a token")
    assert probes().probes == []
    assert list(runtime_dir.iterdir()) == []


def test_another_process_with_the_same_pid_is_not_taken_for_it(runtime_dir):
    announce(runtime_dir, os.getpid(), started=1000.0)
    assert probes().probes == []
    assert list(runtime_dir.iterdir()) == []


def test_the_socket_of_a_container_is_left_alone(runtime_dir, ended_pid, probe_at):
    path = announce(runtime_dir, ended_pid)
    probe_at(path.with_suffix(".sock"))
    assert probes().probes == []
    assert path.exists()


def test_a_probe_that_does_not_know_its_start(runtime_dir):
    announce(runtime_dir, os.getpid(), started=0.0)
    assert len(probes().probes) == 1


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"pid": "1"}', b'{"pid": 1}', b"x" * 100_000], ids=lambda c: c[:12]
)
def test_files_that_are_no_announcement(runtime_dir, content):
    path = runtime_dir / f"{os.getpid()}.json"
    path.write_bytes(content)
    assert probes().probes == []
    assert path.exists()


def test_the_name_of_the_file_must_be_the_pid(runtime_dir):
    announce(runtime_dir, os.getpid()).rename(runtime_dir / "1.json")
    assert probes().probes == []


def test_links_and_pipes_are_not_read(runtime_dir, tmp_path):
    real = announce(tmp_path / "else", os.getpid())
    (runtime_dir / f"{os.getpid()}.json").symlink_to(real)
    os.mkfifo(runtime_dir / "77.json")
    assert probes().probes == []


def test_a_directory_that_is_open_to_others(runtime_dir):
    announce(runtime_dir, os.getpid())
    runtime_dir.chmod(0o755)
    found = probes()
    assert found.probes == []
    assert found.problems == [f"{runtime_dir} is open to others and is not trusted: chmod 700 {runtime_dir}"]


def test_a_directory_of_somebody_else(runtime_dir, monkeypatch):
    announce(runtime_dir, os.getpid())
    mine = os.geteuid()
    monkeypatch.setattr(find.os, "geteuid", lambda: mine + 4711)
    assert probes().problems == [f"{runtime_dir} belongs to {find.user_name(mine)} and is not trusted"]


def test_a_directory_that_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        assert probes({"LOOPTOP_DIR": str(tmp_path / name)}).problems == [f"{tmp_path / name} is not a directory"]


def test_users_without_a_name():
    assert find.user_name(3_999_999) == "user 3999999"
