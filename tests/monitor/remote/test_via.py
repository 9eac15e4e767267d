"""Programs on the other side of a command: through Pythons of this machine, through sshd, through bad commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_probe import Peer, announce, well
from sshd import Sshd  # noqa: TC002
from waiting import wait_until

from monitor.cli import main
from monitor.errors import ConnectError, LooptopError, NoProbe, UsageError
from monitor.remote import link, links, place
from monitor.remote.relay import WINDOW


def older(version: str) -> str | None:
    """A Python that is older than looptop's own."""
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


@pytest.fixture(params=["own", "3.8"])
def via(request: pytest.FixtureRequest) -> str:
    found = sys.executable if request.param == "own" else older(request.param)
    if found is None:
        pytest.skip(f"no Python {request.param} on this machine, the oldest that a relay runs under")
    return found


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def command(*args: object) -> tuple[int, str, str]:
        status = main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return status, out, err

    return command


@pytest.fixture
def served(runtime_dir: Path, probe_at: Any) -> Path:
    """The socket of a fake probe that claims to be of this process."""
    runtime_dir.mkdir(mode=0o700, exist_ok=True)
    announce(runtime_dir, os.getpid())
    path = runtime_dir / f"{os.getpid()}.sock"
    probe_at(path, well)
    return path


def one_line(err: str) -> str:
    assert err.startswith("looptop: ")
    assert err.count("\n") == 1
    return err.removeprefix("looptop: ").rstrip("\n")


def test_a_program_by_pid_name_and_socket(run: Any, served: Path, via: str) -> None:
    for target in (os.getpid(), "@api", f"unix:{served}"):
        status, out, err = run("tasks", target, "--via", via, "--json")
        assert (status, err) == (0, "")
        assert [task["name"] for task in json.loads(out)["tasks"]] == ["main", "worker-1", "worker-2"]
    status, out, err = run("watch", "@api", "--via", via, "--duration", "0.3", "--json")
    assert status == 0, err
    status, out, err = run("tasks", "@nobody", "--via", via)
    assert status == 3
    assert one_line(err).startswith(f"{via}: no program is called @nobody: there is @api")
    relay = links.link_to(via)
    pid = relay.hello.pid
    assert psutil.pid_exists(pid)
    links.close_all()
    wait_until(lambda: not psutil.pid_exists(pid), "the end of the relay")
    assert sorted(path.name for path in served.parent.iterdir()) == [f"{os.getpid()}.json", f"{os.getpid()}.sock"]


def test_programs_there_are_listed_like_those_here(run: Any, via: str) -> None:
    program = "import asyncio, sys; asyncio.run(asyncio.wait_for(asyncio.to_thread(sys.stdin.read), 60))"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:

        def of_it(*options: str) -> dict[str, Any] | None:
            status, out, err = run("ps", "--json", *options)
            assert status == 0, err
            listed = json.loads(out)["programs"]
            return next((one for one in listed if one["pid"] == process.pid and one["asyncio"]), None)

        here = wait_until(of_it, "a program that has loaded asyncio")
        there = of_it("--via", via)
        assert there is not None
        assert there.pop("via") == via
        for changing in ("cpu", "rss", "started", "depth", "parent"):
            here.pop(changing), there.pop(changing)
        assert here.pop("todo") == f"looptop attach {process.pid}"
        assert there.pop("todo") == f"looptop attach {process.pid} --via {via}"
        assert here == there
        status, out, err = run("tasks", "--filter", "name:x", process.pid, "--via", "true")
        assert (status, out) == (3, "")
        assert "leads to no Python" in one_line(err)
        _, out, _ = run("ps", "--via", via)
        assert "looptop-relay" not in out


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("no-such-command-at-all HOST", "no-such-command-at-all cannot be run: No such file or directory"),
        ("sh -c 'exit 7'", "sh -c 'exit 7' leads to no Python: it exited with status 7"),
        ("sh -c 'echo no route to host >&2; exit 255'", "leads to no Python: no route to host"),
        ("sh -c 'echo Welcome; exit 1'", "leads to no Python: Welcome"),
        ("sh -c 'exec nowhere/python3'", "no python3 there: "),
        ("sh -c yes", "sh -c yes prints too much on stdout: "),
        ("'", '--via "\'" is no command: No closing quotation'),
    ],
)
def test_a_command_that_leads_nowhere_gets_one_line(run: Any, command: str, line: str) -> None:
    status, out, err = run("tasks", "@api", "--via", command)
    assert (status in (2, 3), out) == (True, "")
    assert line in one_line(err)


def test_a_python_that_is_too_old(run: Any) -> None:
    found = older("3.7") or older("3.6") or older("2.7")
    if found is None:
        pytest.skip("no Python on this machine that is too old for a relay")
    status, _, err = run("tasks", "@api", "--via", found)
    assert status == 3
    assert one_line(err).endswith("there is too old: 3.8 or later is needed: end --via with the path of one")


def test_what_a_shell_prints_before_is_skipped(run: Any, served: Path) -> None:
    command = """sh -c 'echo "Welcome to this host"; echo "for all" >&2; exec "$@"' sh"""
    status, out, err = run("tasks", "@api", "--via", command)
    assert (status, err) == (0, "")
    assert "worker-1" in out


FAKE = """
import json, os, sys, time, zlib
inflate, text = zlib.decompressobj(), b""
while not inflate.eof:
    text += inflate.decompress(os.read(0, 65536))
marker = json.loads(text)["marker"].encode()
def frame(kind, channel, content):
    return kind.to_bytes(1, "big") + channel.to_bytes(4, "big") + len(content).to_bytes(4, "big") + content
hello = frame(1, 0, b'{"python": "3.11.7", "host": "there", "machine": "x86_64", "uid": 0, "pid": 1, "now": 0}')
opened = frame(1, 1, b'{"open": true, "pid": 7}')
for piece in (marker, *eval(sys.argv[1])):
    sys.stdout.buffer.write(piece)
    sys.stdout.flush()
    if piece is not marker and not os.read(0, 65536):
        break
while os.read(0, 65536):
    pass
"""


def fake(folder: Path, said: str) -> str:
    """A command whose other side says something else than a relay."""
    path = folder / "fake.py"
    path.write_text(FAKE)
    return f'{sys.executable} {path} "{said}" python3'


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("(b'motd\\n' * 10,)", "something there prints 'motd'"),
        ("(hello, b'Broadcast message from root')", "something there prints"),
        ("(frame(1, 0, b'[]'),)", "an answer is malformed"),
        ("(frame(1, 0, b'{'),)", "an answer is malformed"),
        ("(hello, frame(1, 1, b'nonsense'))", "an answer is malformed"),
        ("(hello, b'\\x01' + b'\\0' * 4 + b'\\x7f' + b'\\0' * 3)", "is not looptop's"),
        ("(hello, frame(1, 1, b'{}'))", "cannot be reached there"),
        (
            """(hello, frame(1, 1, b'{\\"error\\": [\\"ConnectError\\", \\"x\\\\u001b[2Jy\\", \\"z\\"]}'))""",
            "x\ufffd[2Jy: z",
        ),
        ("(hello, opened + frame(2, 1, b'{}\\n'))", "unix:/api via"),
    ],
)
def test_what_the_other_side_says_is_checked(run: Any, tmp_path: Path, said: str, line: str) -> None:
    status, out, err = run("tasks", "unix:/api", "--via", fake(tmp_path, said))
    assert (status, out) == (3, "")
    assert line in one_line(err)


@pytest.mark.parametrize(
    "more",
    ["frame(2, 1, b'x' * 32768) * 100", "opened * 2", "frame(1, 1, b'{}') * 100"],
    ids=["bytes", "opened", "said"],
)
def test_more_than_there_is_room_for_ends_the_link(tmp_path: Path, more: str) -> None:
    command = fake(tmp_path, f"(hello, opened + {more})")
    opened = links.link_to(command).open("@api")
    wait_until(opened.why, "the end of the link")
    assert opened.why() == f"{command} returns data that is not looptop's: more data than was requested"


def test_one_that_prints_and_says_nothing_may_be_a_terminal(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "CONNECT", 1.0)
    status, out, err = run("tasks", "@api", "--via", "sh -c 'echo x; exec sleep 60' python3")
    assert (status, out) == (3, "")
    assert one_line(err).endswith("does the command allocate a terminal (-t)?")


def test_one_that_closes_at_once(tmp_path: Path) -> None:
    opened = links.link_to(fake(tmp_path, "(hello, opened + frame(2, 1, b'last') + frame(4, 1, b''))")).open("@api")
    opened.sock.settimeout(60)
    assert [opened.sock.recv(10), opened.sock.recv(10)] == [b"last", b""]


def test_one_that_falls_silent_is_given_up(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "PING_EVERY", 0.1)
    monkeypatch.setattr(link, "SILENT", 0.5)
    status, _, err = run("tasks", "unix:/api", "--via", fake(tmp_path, "(hello,)"))
    assert status == 3
    assert "does not answer any more: nothing came for 0.5 s" in one_line(err)


def test_a_viewer_that_does_not_read_holds_up_the_probe_and_no_other_connection(tmp_path: Path, served: Path) -> None:
    sent = 0

    def flood(listener: socket.socket) -> None:
        nonlocal sent
        sock, _ = listener.accept()
        sock.settimeout(0.5)
        try:
            while True:
                sent += sock.send(b"x" * 65536)
        except TimeoutError:
            full.set()
        sock.settimeout(None)
        sock.recv(1)

    full = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "flood"))
        listener.listen()
        thread = threading.Thread(target=flood, args=(listener,), daemon=True)
        thread.start()
        way = links.link_to(sys.executable)
        opened = way.open(f"unix:{tmp_path}/flood")
        assert full.wait(60), "the probe can send no more"
        assert sent < 4 * WINDOW, "the sockets and one window"
        with way.open("@api").sock as other:
            other.settimeout(60)
            assert other.recv(100).startswith(b'{"type": "hello"')
        left = sent
        while left > 0:
            opened.sock.settimeout(60)
            left -= len(opened.sock.recv(1 << 20))
        assert left == 0, "all that was sent came"
        opened.sock.close()
        thread.join(60)
        assert not thread.is_alive(), "the probe hears that the viewer left"


def test_what_looptop_says_first_is_not_lost(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "echo"))
        listener.listen()
        for number in range(20):
            opened = links.link_to(sys.executable).open(f"unix:{tmp_path}/echo")
            opened.sock.sendall(b"first")
            there, _ = listener.accept()
            with there, opened.sock:
                there.settimeout(60)
                assert there.recv(100) == b"first", number


def test_errors_keep_their_kind(served: Path) -> None:
    way = links.link_to(sys.executable)
    with pytest.raises(UsageError, match="is not a target"):
        way.open("what is that")
    with pytest.raises(ConnectError, match="no process has the pid 999999999") as gone:
        way.open("999999999")
    assert type(gone.value).__name__ == "ProcessGone"
    program = "import asyncio\nasyncio.run(asyncio.sleep(60))"
    with subprocess.Popen([sys.executable, "-c", program]) as process:

        def refused() -> LooptopError:
            try:
                way.open(str(process.pid))
            except LooptopError as error:
                return error
            raise AssertionError

        wait_until(lambda: isinstance(refused(), NoProbe), "a program without a probe")
        process.kill()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("4242", None),
        ("@api", None),
        ("4242 via ssh box", ("4242", "ssh box")),
        ("@api via docker exec -i c", ("@api", "docker exec -i c")),
        ("ssh://box/4242", ("4242", "ssh box")),
        ("ssh://me@box:2222/@api", ("@api", "ssh -p 2222 me@box")),
        ("ssh://[::1]:22/unix:/run/x.sock", ("unix:/run/x.sock", "ssh -p 22 ::1")),
    ],
)
def test_where_a_target_is(text: str, parts: tuple[str, str] | None) -> None:
    assert place.split(text) == parts


@pytest.mark.parametrize(
    "text", ["ssh://box", "ssh:///4242", "ssh://-oProxyCommand=x/1", "ssh://a@-x/1", "ssh://b:x/1"]
)
def test_a_url_that_is_none(run: Any, text: str) -> None:
    status, _, err = run("tasks", text)
    assert (status, "is not a target" in one_line(err)) == (2, True)


def test_over_a_real_sshd(
    run: Any, runtime_dir: Path, probe_at: Any, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = threading.Event()

    def behave(peer: Peer) -> None:
        def read() -> dict[str, Any]:
            frame = genuine()
            if frame["type"] == "watch":
                watched.set()
            return frame

        genuine, peer.read = peer.read, read  # type: ignore[method-assign]
        well(peer)

    announce(runtime_dir, os.getpid())
    probe_at(runtime_dir / f"{os.getpid()}.sock", behave)
    status, out, err = run("tasks", "@api", "--via", sshd.command)
    assert (status, err) == (0, "")
    assert "worker-1" in out
    monkeypatch.setenv("PATH", f"{sshd.binaries}:{os.environ['PATH']}")
    url = f"ssh://127.0.0.1:{sshd.port}/{os.getpid()}"
    status, out, err = run("tasks", url)
    assert (status, err) == (0, "")
    assert "worker-1" in out
    # A host that goes away mid-stream.
    way = links.link_to(f"ssh -p {sshd.port} 127.0.0.1")
    relay = psutil.Process(way.hello.pid)
    session = next(one for one in relay.parents() if one.name() == "sshd")
    watched.clear()
    killing = threading.Thread(target=lambda: watched.wait(60) and session.kill())
    killing.start()
    status, out, err = run("watch", url, "--duration", "60")
    killing.join(60)
    assert status == 3
    assert "is out of reach: the connection through ssh" in one_line(err)
    wait_until(lambda: not relay.is_running(), "the end of the relay")
    # A key that is none of ours.
    (sshd.folder / "authorized").write_text("")
    status, out, err = run("tasks", url)
    assert status == 3
    assert "Permission denied (publickey" in one_line(err)


def test_the_relay_ends_with_a_looptop_that_is_killed(served: Path) -> None:
    program = "import sys, time; from monitor.remote import links; print(links.link_to(sys.executable).hello.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        relay = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not relay.is_running(), "the end of the relay")
