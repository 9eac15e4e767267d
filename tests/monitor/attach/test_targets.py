"""What a person may call a program, and what is said where nothing can be found."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from fake_probe import announce

from monitor.attach import find, targets, watchability
from monitor.attach.find import Announcement
from monitor.attach.inject.result import Result
from monitor.attach.injector import Injector
from monitor.attach.target_connector import TargetConnector
from monitor.attach.targets import NoProbe, ProcessGone, recording, resolve
from monitor.errors import NO_CONNECTION, USAGE, ConnectError, UsageError
from monitor.transport import fd_passing


@pytest.fixture
def child(tmp_path):
    """Starts processes that wait, and ends them."""
    started = []

    def start(*argv, ready=b"r"):
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        if ready:
            assert process.stdout.read(1) == ready
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()


def failure(text, kind=ConnectError):
    with pytest.raises(kind) as caught:
        resolve(text)
    assert caught.value.status == (USAGE if kind is UsageError else NO_CONNECTION)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


def test_by_pid_and_by_name(runtime_dir):
    announce(runtime_dir, os.getpid())
    for text in (str(os.getpid()), "@api"):
        address = resolve(text)
        assert address.path == str(runtime_dir / f"{os.getpid()}.sock")
        assert address.pid == os.getpid()


def test_by_socket(runtime_dir):
    assert str(resolve("unix:/tmp/x.sock")) == "unix:/tmp/x.sock"
    assert resolve("unix:~/x.sock").path == str(Path("~/x.sock").expanduser())


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("localhost:7777", "localhost", 7777, "localhost:7777"),
        ("10.0.0.1:1", "10.0.0.1", 1, "10.0.0.1:1"),
        ("[::1]:65535", "::1", 65535, "[::1]:65535"),
        (":7777", "localhost", 7777, "localhost:7777"),
    ],
)
def test_by_host_and_port(runtime_dir, text, host, port, shown):
    address = resolve(text)
    assert (address.host, address.port, address.token_file) == (host, port, None)
    assert str(address) == shown


def test_the_token_file_of_a_local_program(runtime_dir, monkeypatch):
    announce(runtime_dir, os.getpid(), listen="127.0.0.1:7777", token_file="/run/token")
    assert resolve("localhost:7777").token_file == "/run/token"
    assert resolve("localhost:7778").token_file is None
    assert resolve("example.org:7777").token_file is None
    monkeypatch.setenv("LOOPTOP_TOKEN", "x")
    assert resolve("localhost:7777").token_file is None


@pytest.mark.parametrize("text", ["", "app", "4242x", "-1", "host:port", "a b:1", "²", "[x]:1"])
def test_what_is_no_target(runtime_dir, text):
    assert "is not a target: a TARGET is a pid, unix:PATH, HOST:PORT, @NAME or a recording" in failure(text, UsageError)


def test_ports_that_are_none(runtime_dir):
    assert "0 is not a port" in failure("localhost:0", UsageError)
    assert "65536 is not a port" in failure("localhost:65536", UsageError)
    assert "without a path" in failure("unix:", UsageError)


def test_a_recording_is_no_program(runtime_dir, tmp_path):
    (tmp_path / "recorded").touch()
    for text in ("yesterday.looptop", str(tmp_path / "recorded")):
        assert "is a file, not a program: name one that runs" in failure(text, UsageError)


def test_what_is_a_recording(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("4242", "@api", "plain", "unix:x"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "ring.d").mkdir()
    (tmp_path / "ring.d" / "1.segment").touch()
    assert [
        recording(text) for text in ("4242", "@api", "unix:x", "app", "", ".", "folder", "h:80", "\0", "x" * 5000)
    ] == [None] * 10
    for text in ("./4242", "./@api", "plain", "gone.looptop", "ring.d"):
        assert recording(text) == Path(text)


def test_a_name_that_nobody_has(runtime_dir, monkeypatch):
    monkeypatch.setattr(fd_passing, "everywhere", list)  # other tests attach to programs meanwhile
    assert failure("@web") == "no program is called @web: looptop ps lists what runs here"
    announce(runtime_dir, os.getpid())
    assert failure("@web") == "no program is called @web: there is @api"


def test_a_name_that_two_have(runtime_dir, child):
    other = child(sys.executable, "-c", "print('r', flush=True); input()")
    for pid in (os.getpid(), other):
        announce(runtime_dir, pid)
    pids = ", ".join(str(pid) for pid in sorted((os.getpid(), other)))
    assert failure("@api") == f"2 programs are called @api: use one of their pids: {pids}"


def test_a_pid_that_does_not_exist(runtime_dir):
    for pid in ("4194304", "99999999999999999999"):
        assert failure(pid, ProcessGone) == f"no process has the pid {pid}: looptop ps lists what runs here"


def test_what_is_no_python(runtime_dir, child):
    pid = child("cat", ready=b"")
    assert failure(str(pid)) == f"process {pid} (cat) is not a Python program: looptop ps lists those that are"


def test_python_without_asyncio(runtime_dir, child):
    pid = child(sys.executable, "-S", "-c", "print('r', flush=True); input()")
    assert "is Python but has not loaded asyncio: there is no event loop to watch" in failure(str(pid))


def test_asyncio_without_a_probe(runtime_dir, child):
    pid = child(sys.executable, "-S", "-c", "import asyncio; print('r', flush=True); input()")
    assert "has no probe: looptop attach puts one in" in failure(str(pid))
    runtime_dir.chmod(0o755)
    assert failure(str(pid)).endswith(
        f"has no probe: {runtime_dir} is open to others and is not trusted: chmod 700 {runtime_dir}"
    )


def test_a_program_that_was_attached_to_and_executed_another_one(runtime_dir, child):
    pid = child(sys.executable, "-S", "-c", "import asyncio; print('r', flush=True); input()")
    with pytest.raises(NoProbe) as said:
        TargetConnector(str(pid), injector=Injector()).reconnect()
    assert str(said.value) == f"{pid} no longer has a probe: q, then looptop attach {pid}"


def test_a_process_of_somebody_else(runtime_dir, child, monkeypatch):
    pid = child("cat", ready=b"")
    name = psutil.Process(pid).username()
    monkeypatch.setattr(watchability.os, "geteuid", lambda: 4711)
    whom = f"{name} or as root" if os.getuid() else "root"
    assert failure(str(pid)) == f"process {pid} (cat) belongs to {name}: run looptop as {whom}"


def test_root_finds_the_probes_of_others(runtime_dir, child, monkeypatch):
    pid = child("cat", ready=b"")
    owner = os.getuid()
    theirs = Announcement(pid, 1.0, "api", "s", "app.py", "3.11.7", "/theirs", None, None)
    monkeypatch.setattr(find, "probe_of", lambda pid, environ=None, uid=None: theirs if uid == owner else None)
    monkeypatch.setattr(watchability, "is_own", lambda uid: True)
    monkeypatch.setattr(targets.os, "geteuid", lambda: owner + 4711)
    assert resolve(str(pid)).path == "/theirs"


def test_a_probe_that_could_make_no_socket_is_reported_as_such(monkeypatch):
    there = Result(4711, "3.12.1", "ptrace", "", 0.0, 0.0, found=True)
    monkeypatch.setattr(Injector, "_run", lambda *_, **__: there)
    with pytest.raises(ConnectError, match="the probe of process 4711 could make no socket"):
        Injector().inject(4711)
