"""A program that is attached to lives on: whoever is killed, forks, and loops that come later."""

from __future__ import annotations

import ast
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from inject_targets import PATIENCE, ROOT, Running, interpreters, reach
from test_matrix import difference, interpreter, look
from waiting import wait_until

from monitor.attach.inject import inject
from monitor.attach.inject.payload import make
from monitor.transport import fd_passing

OWN = interpreters()["own"]


def children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def helper_of(viewer: int) -> int | None:
    """The helper that a command has started, while it lives."""
    for child in children(viewer):
        with suppress(OSError):
            if b"inject.helper" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child
    return None


def test_kills_at_random_moments(tmp_path: Path, runtime_dir: Path) -> None:
    chance = random.Random(3)
    with Running(OWN, "ticking", tmp_path) as target:
        before, files = target.state(), target.files()
        for how in ["helper", "viewer", "Ctrl-C"] * 2:
            command = [sys.executable, "-m", "monitor", "watch", str(target.pid), "--duration", "30"]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as viewer:
                helper = wait_until(lambda: helper_of(viewer.pid) or fd_passing.find(target.pid), "the helper")
                time.sleep(chance.uniform(0, 0.4))
                if how == "helper" and isinstance(helper, int):
                    with suppress(ProcessLookupError):
                        os.kill(helper, signal.SIGKILL)
                    time.sleep(0.05)
                viewer.send_signal(signal.SIGINT if how == "Ctrl-C" else signal.SIGKILL)
                viewer.communicate(timeout=60)
            assert target.alive, f"after a kill of the {how}: {target.stderr}"
            assert target.state()["sys"]
        wait_until(lambda: fd_passing.find(target.pid) is None, "the probe to leave by itself")
        wait_until(lambda: len(target.files()) == len(files), "the same files")
        # What was sent before somebody was killed may still come, and leaves when nobody comes for it.
        with suppress(AssertionError):
            wait_until(lambda: difference(before, target.state()) == {}, "all to be as it was")
        assert difference(before, target.state()) == {}
        assert target.stderr == ""


def test_a_text_that_was_cut_short_is_not_sent(tmp_path: Path, runtime_dir: Path) -> None:
    with Running(OWN, "ticking", tmp_path) as target:
        content = make({}, PATIENCE).for_helper(target.pid)
        command = [sys.executable, "-c", "from monitor.attach.inject.helper import main; raise SystemExit(main())"]
        with subprocess.Popen([*command, str(target.pid)], cwd=ROOT, stdin=subprocess.PIPE) as helper:
            assert helper.stdin is not None
            helper.stdin.write(content[:60_000])
            helper.stdin.close()
            assert helper.wait(60) == 3
        assert target.state()["last"] == "None"
        assert target.stderr == ""


def test_connections_that_break(tmp_path: Path, runtime_dir: Path) -> None:
    with Running(OWN, "ticking", tmp_path) as target:
        result = inject(target.pid, make({"leave": True}, PATIENCE), timeout=PATIENCE)
        with look(result) as viewer:
            for said in (b"", b'{"type": "watch"', b"\xff\n", b'{"type":"watch","rate":20}\n'):
                sock = reach(result)
                sock.sendall(said)
                sock.close()
            assert result.listen_fd is not None
            for _ in range(3):  # nobody sends a socket, or something that is none
                process = os.pidfd_open(target.pid)
                with socket.socket(fileno=fd_passing._take(process, result.listen_fd)) as raw:
                    os.close(process)
                    raw.send(b".")
                    with Path(os.devnull).open() as null:
                        socket.send_fds(raw, [b"."], [null.fileno()])
                        socket.send_fds(raw, [b"."], [null.fileno()] * 3)
            viewer.ticks(2)
            assert len([name for name in target.files() if name == "/dev/null"]) <= 2
        wait_until(lambda: fd_passing.find(target.pid) is None, "the probe to leave with its last viewer")
        assert target.alive
        assert target.stderr == ""


FORKING = """
def fork(*_):
    child = os.fork()
    if child == 0:
        os.write(1, repr({"probe": hasattr(sys, "_looptop_probe"), "threads": len(os.listdir("/proc/self/task")),
                          "files": len(os.listdir("/proc/self/fd"))}).encode() + b"\\n")
        _report()
        os._exit(0)
    os.waitpid(child, 0)
def execute(*_):
    child = os.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", "import os; print(len(os.listdir('/proc/self/fd')))"])
    os.waitpid(child, 0)
async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, fork)
    loop.add_signal_handler(signal.SIGHUP, execute)
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    loop.call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


@pytest.mark.parametrize("version", ["own", "3.12", "3.13", "3.14", "3.15"])
def test_a_child_of_the_program_is_clean(version: str, tmp_path: Path, runtime_dir: Path) -> None:
    def said(sig: int) -> object:
        os.kill(target.pid, sig)
        return ast.literal_eval(target.line())

    def forked() -> tuple[object, dict[str, object]]:
        first = said(signal.SIGUSR2)
        state = ast.literal_eval(target.line())
        del state["ours"], state["umask"]  # what is left in the child's memory is not collected while it is in its fork
        return first, state

    with Running(interpreter(version), FORKING, tmp_path) as target:
        before, executed = forked(), said(signal.SIGHUP)
        result = inject(target.pid, make({"leave": True}, PATIENCE), timeout=PATIENCE)
        with look(result) as viewer:
            during = forked()
            assert during[0] == before[0]
            assert difference(before[1], during[1]) == {}
            assert said(signal.SIGHUP) == executed
            viewer.ticks(2)
        assert target.alive
        assert "Exception" not in target.stderr


LATER = """
def start(*_):
    async def serve():
        kept = [asyncio.create_task(asyncio.sleep(3600), name=f"late-{len(threads)}-{i}") for i in range(3)]
        await asyncio.sleep(3600)
    def by_hand():
        loop = new_loop()
        loop.create_task(serve())
        loop.run_forever()
    thread = threading.Thread(target=by_hand if threads else lambda: asyncio.run(serve()), daemon=True)
    threads.append(thread)
    thread.start()
new_loop = asyncio.new_event_loop
if sys.argv[1:] == ["uvloop"] or os.environ.get("WITH_UVLOOP"):
    import uvloop
    new_loop = uvloop.new_event_loop
import time
threads = []
signal.signal(signal.SIGUSR2, start)
ready()
while True: time.sleep(1)
"""


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_loops_that_start_later_in_all_threads(kind: str, tmp_path: Path, runtime_dir: Path) -> None:
    environ = {}
    if kind == "uvloop":
        pytest.importorskip("uvloop")
        environ["WITH_UVLOOP"] = "1"
    with Running(OWN, LATER, tmp_path, **environ) as target:
        result = inject(target.pid, make({"leave": True}, PATIENCE), timeout=PATIENCE)
        assert result.loops == 0
        with look(result) as viewer:
            assert not viewer.loops
            viewer.until(lambda: any("no event loop runs" in told["text"] for told in viewer.of_kind("notice")), "it")
            os.kill(target.pid, signal.SIGUSR2)
            viewer.until(lambda: "late-1-2" in viewer.names(), "the tasks of a loop that came later")
            os.kill(target.pid, signal.SIGUSR2)
            viewer.until(lambda: "late-2-2" in viewer.names(), "the tasks of another loop")
            assert {facts["kind"] for facts in viewer.loops.values()} == {"asyncio", kind}
            assert len({facts["thread"] for facts in viewer.loops.values()}) == 2
        assert target.stderr == ""


def test_a_command_says_that_there_is_no_loop_yet(tmp_path: Path, runtime_dir: Path) -> None:
    with Running(OWN, LATER, tmp_path) as target:
        command = [sys.executable, "-m", "monitor", "tasks", str(target.pid)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0
        assert f"no event loop runs in process {target.pid} yet" in done.stderr
