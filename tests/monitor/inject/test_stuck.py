"""Programs that are stuck in a system call: they are attached to, and the call ends as it would have without us."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from inject_targets import PATIENCE, Running, interpreters
from test_matrix import look, settled
from waiting import wait_until

from monitor.attach import inject as package
from monitor.attach.inject import interruptible_threads, payload
from monitor.errors import ConnectError
from monitor.transport import mailbox

MUCH = 10_000_000

STUCK = """
import ctypes, fcntl, socket, struct, subprocess
libc = ctypes.CDLL(None, use_errno=True)  # Python's own would try again
peer = socket.socket(socket.AF_UNIX)
peer.connect("peer")
room = ctypes.create_string_buffer(64)

def recvfrom(flags=0):
    return libc.recv(peer.fileno(), room, 5, flags)

def recvfrom_with_a_limit():
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 3600, 0))
    return recvfrom()

def recvfrom_all():
    return recvfrom(socket.MSG_WAITALL)

def read():
    return libc.read(peer.fileno(), room, 5)

def write():
    return libc.write(peer.fileno(), bytes({much}), {much})

def accept():
    server = socket.socket(socket.AF_UNIX)
    server.bind("listen_fd")
    server.listen()
    return libc.accept(server.fileno(), None, None) > 0

def wait4():
    child = subprocess.Popen(["cat"], stdin=peer, stdout=subprocess.DEVNULL)
    return libc.waitpid(child.pid, None, 0) == child.pid

async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{{i}}") for i in range(5)]
    await asyncio.sleep(0)
    ready()
    result = {what}()
    os.write(1, ascii([result, ctypes.get_errno()]).encode() + b"\\n")
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@contextmanager
def stuck(python: str, what: str, folder: Path) -> Iterator[tuple[Running, socket.socket]]:
    """A program that is in that call, and the other end of its socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "peer"))
        listener.listen()
        with Running(python, STUCK.format(what=what, much=MUCH), folder) as target:
            peer = listener.accept()[0]
            with peer:
                numbers = {
                    name: number
                    for number, name in (interruptible_threads.SAFE | interruptible_threads.PARTIAL).items()
                }
                call = str(numbers[what.partition("_")[0]])
                path = Path(f"/proc/{target.pid}/syscall")
                wait_until(lambda: path.read_text().split()[0] == call, "the call")
                yield target, peer


def unblock(what: str, peer: socket.socket, folder: Path) -> str:
    """Ends the call; what the program says then."""
    if what == "accept":
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "listen_fd"))
        return "[True, 0]"
    if what == "wait4":
        peer.shutdown(socket.SHUT_WR)
        return "[True, 0]"
    peer.sendall(b"hello")
    return "[5, 0]"


@pytest.mark.parametrize("what", ["recvfrom", "recvfrom_with_a_limit", "read", "accept", "wait4"])
@pytest.mark.parametrize("version", ["own", "3.13"])
def test_stuck_in_a_call(version: str, what: str, tmp_path: Path, runtime_dir: Path) -> None:
    found = interpreters().get(version)
    if found is None:
        pytest.skip(f"no Python {version} here")
    with stuck(found, what, tmp_path) as (target, peer):
        threads, files = target.threads(), target.files()
        result = package.inject(target.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)
        assert result.how == "a new thread"
        with look(result) as viewer:
            viewer.until(lambda: "worker-4" in viewer.names(), "the tasks")
            assert viewer.ask("detach")[-1]["ok"]
            viewer.until_end()
        settled(target, threads, files)
        expected = unblock(what, peer, tmp_path)
        assert target.line() == expected
        assert target.stderr == ""


def test_a_call_that_would_be_cut_short_is_left_alone(tmp_path: Path, runtime_dir: Path) -> None:
    for what in ("write", "recvfrom_all"):
        folder = tmp_path / what
        folder.mkdir()
        with stuck(interpreters()["own"], what, folder) as (target, peer):
            if what == "recvfrom_all":
                peer.sendall(b"he")
            with pytest.raises(ConnectError, match=r"its main thread waits in \w+, which would be cut short"):
                package.inject(target.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)
            if what == "write":
                taken = 0
                while taken < MUCH:
                    taken += len(peer.recv(1 << 20))
                assert target.line() == f"[{MUCH}, 0]"
            else:
                peer.sendall(b"llo")
                assert target.line() == "[5, 0]"
            assert target.stderr == ""


SHORT_CALLS = """
import posix, time
calls, waits, genuine = 0, 0, posix.pread

def pread(file, size, at):
    global waits
    before = calls
    found = genuine(file, size, at)
    waits += at >= {parts_at} and calls > before  # it had to wait for the end of a call
    return found

posix.pread = pread
signal.signal(signal.SIGUSR2, lambda *_: os.write(1, b"%d\\n" % waits))

async def main():
    global calls
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{{i}}") for i in range(5)]
    await asyncio.sleep(0)
    number = 100_000
    while True:  # how much is a fifth of a second
        began = time.monotonic()
        sum(range(number))
        if time.monotonic() - began > 0.1: break
        number *= 2
    ready()
    while True:
        sum(range(number))
        calls += 1
asyncio.run(main())
"""


def test_a_busy_loop_of_short_calls(tmp_path: Path, runtime_dir: Path) -> None:
    """Whoever wants the GIL waits for the end of a call, each time: what makes a probe is read in a few pieces."""
    program = SHORT_CALLS.format(parts_at=mailbox.LONGEST)
    with Running(interpreters()["own"], program, tmp_path) as target:
        result = package.inject(target.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)
        with look(result) as viewer:
            viewer.until(lambda: "worker-4" in viewer.names(), "the tasks")
        target.process.send_signal(signal.SIGUSR2)
        # Two of the index, one of a module, and one of all the others: there are about eighty.
        assert int(target.line()) <= 5
        assert target.alive
        assert target.stderr == ""
