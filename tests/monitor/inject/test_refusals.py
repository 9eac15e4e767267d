"""What is left alone: the message names the cause and the next step, soon, and the process does not notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from inject_targets import PATIENCE, ROOT, Running, interpreters
from test_matrix import difference, interpreter, look, settled
from waiting import wait_until

from monitor.attach.inject import inject, payload
from monitor.attach.inject.target import look as preflight
from monitor.errors import ConnectError


def refused(pid: int, timeout: float = PATIENCE, force: bool = False) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        inject(pid, payload.make({}, timeout), timeout=timeout, force=force)
    assert caught.value.status == 3
    return caught.value


def test_no_such_process() -> None:
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    error = refused(ended.pid)
    assert (error.message, error.hint) == (f"no process has the pid {ended.pid}", "looptop ps lists what runs here")


def test_no_process_at_all() -> None:
    assert refused(2**31 - 1).message == f"no process has the pid {2**31 - 1}"


def test_looptop_itself() -> None:
    assert "is looptop itself" in refused(os.getpid()).message


def test_a_stopped_process_stays_stopped_and_goes_on(tmp_path: Path) -> None:
    with Running(sys.executable, "idle", tmp_path) as target:
        os.kill(target.pid, signal.SIGSTOP)
        wait_until(lambda: "State:\tT" in Path(f"/proc/{target.pid}/status").read_text(), "it is stopped")
        error = refused(target.pid)
        assert str(error) == f"PID {target.pid} is stopped: resume it (fg or kill -CONT {target.pid})"
        os.kill(target.pid, signal.SIGCONT)
        assert target.state()["sys"]
        assert target.alive


def test_a_traced_process(tmp_path: Path) -> None:
    code = "import sys; from monitor.attach.inject.ptrace import Thread; "
    code += "Thread(int(sys.argv[1])); print(flush=True); input()"
    with Running(sys.executable, "idle", tmp_path) as target:
        command = [sys.executable, "-c", code, str(target.pid)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as tracer:
            assert tracer.stdout is not None
            tracer.stdout.readline()
            error = refused(target.pid)
            assert error.message.startswith(f"PID {target.pid} is already traced by python")
            assert error.message.endswith(f"(PID {tracer.pid})")
            assert error.hint == "detach it first"
            tracer.communicate(b"\n", timeout=60)
        assert target.state()["sys"]


def test_a_zombie() -> None:
    ended = subprocess.Popen(["/bin/true"])
    wait_until(lambda: "State:\tZ" in Path(f"/proc/{ended.pid}/status").read_text(), "a zombie")
    error = refused(ended.pid)
    assert error.message == f"process {ended.pid} has ended"
    assert str(os.getpid()) in error.hint
    ended.wait()


def test_not_python() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as sleeper:
        wait_until(lambda: b"sleep" in Path(f"/proc/{sleeper.pid}/cmdline").read_bytes(), "the program")
        assert refused(sleeper.pid).message == f"PID {sleeper.pid} is not a CPython process"
        assert sleeper.poll() is None
        sleeper.kill()


def test_a_kernel_thread() -> None:
    with suppress(OSError):
        if Path("/proc/2/cmdline").read_bytes() == b"":
            assert refused(2).message == "PID 2 is not a CPython process"


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10"])
def test_too_old(version: str, tmp_path: Path) -> None:
    found = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
    if not found:
        pytest.skip(f"no Python {version} here")
    code = "print(flush=True); import time; time.sleep(60)"
    with subprocess.Popen([str(found[0]), "-c", code], stdout=subprocess.PIPE) as target:
        assert target.stdout is not None
        target.stdout.readline()
        error = refused(target.pid)
        assert str(error) == f"PID {target.pid} runs Python {version}: 3.11+ needed"
        assert target.poll() is None
        target.kill()


def test_a_thread(tmp_path: Path) -> None:
    with Running(sys.executable, "second_thread", tmp_path) as target:
        thread = next(path.name for path in Path(f"/proc/{target.pid}/task").iterdir() if path.name != str(target.pid))
        assert refused(int(thread)).message == f"{thread} is a thread of process {target.pid}"


@pytest.mark.parametrize("version", ["own", "3.13", "3.14"])
def test_no_asyncio(version: str, tmp_path: Path, runtime_dir: Path) -> None:
    with Running(interpreter(version), "no_asyncio", tmp_path) as target:
        threads, files = target.threads(), target.files()
        error = refused(target.pid)
        assert error.message == f"no asyncio loop is running in PID {target.pid}"
        settled(target, threads, files)
        assert target.stderr == ""
        assert target.alive
        assert list(runtime_dir.iterdir()) == []


def in_another_user(uid: int, work: Callable[[], str]) -> str:
    """What a process of another user gets to hear."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            said = work()
        except ConnectError as error:
            said = str(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_somebody_elses(tmp_path: Path) -> None:
    def work() -> str:
        preflight(target.pid)
        return "allowed"

    with Running(sys.executable, "idle", tmp_path) as target:
        said = in_another_user(65534, work)
        assert said == (
            f"no permission to attach to PID {target.pid} (owner root, you are nobody): run with sudo, or as root"
        )


@pytest.mark.parametrize("how", ["variable", "option"])
def test_remote_debugging_disabled(how: str, tmp_path: Path) -> None:
    python = interpreter("3.14")
    options = ("-X", "disable-remote-debug") if how == "option" else ()
    environ = {"PYTHON_DISABLE_REMOTE_DEBUG": "1"} if how == "variable" else {}
    with Running(python, "idle", tmp_path, *options, **environ) as target:
        error = refused(target.pid)
        assert "with remote debugging disabled (" in error.message
        assert error.hint == "not attaching; --force injects by ptrace"
        result = inject(target.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE, force=True)
        assert result.method == "ptrace"
        look(result).close()
        assert target.alive


def test_no_descriptors_left(tmp_path: Path) -> None:
    program = (
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))\nready()\nimport time\ntime.sleep(60)"
    )
    with Running(sys.executable, program, tmp_path) as target:
        error = refused(target.pid)
        assert "of at most 12 files open" in error.message


def test_nowhere_to_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload.fd_passing, "possible", lambda: False)
    with Running(sys.executable, "idle", tmp_path, LOOPTOP_DIR="/proc/nowhere") as target:
        before, threads, files = target.state(), target.threads(), target.files()
        error = refused(target.pid)
        assert error.message == f"the probe cannot work in PID {target.pid}"
        assert "LOOPTOP_DIR" in error.hint
        settled(target, threads, files)
        assert difference(before, target.state()) == {}
        assert target.stderr == ""


def test_a_probe_that_fails_says_why_to_us_and_not_to_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = {path.stem: path for path in payload.FETCHED}
    modules = {**brought, "base.settings": tmp_path / "settings.py", "start": tmp_path / "start.py"}
    modules["base.settings"].write_text("")
    modules["start"].write_text("def make(given, pass_fds):\n    return 1 / 0\n")
    monkeypatch.setattr(payload, "sources", lambda: modules)
    with Running(sys.executable, "idle", tmp_path) as target:
        before, threads, files = target.state(), target.threads(), target.files()
        error = refused(target.pid)
        assert error.message == f"the probe did not start in PID {target.pid}"
        assert error.hint == "ZeroDivisionError: division by zero"
        settled(target, threads, files)
        assert difference(before, target.state()) == {}
        assert target.stderr == ""


def test_a_text_that_comes_too_late_does_nothing(tmp_path: Path, runtime_dir: Path) -> None:
    with Running(sys.executable, "idle", tmp_path) as target:
        before, threads, files = target.state(), target.threads(), target.files()
        with pytest.raises(ConnectError, match=r"has not started the probe after 0\.3 s"):
            inject(target.pid, payload.make({}, -1), timeout=0.3)
        settled(target, threads, files)
        assert difference(before, target.state()) == {}
        assert list(runtime_dir.iterdir()) == []


def test_the_interpreter_is_kept_by_one_call(tmp_path: Path, runtime_dir: Path) -> None:
    program = "async def main():\n    ready()\n    sum(range(10**12))\n    ready()\nasyncio.run(main())"
    with Running(sys.executable, program, tmp_path) as target:
        error = refused(target.pid, timeout=0.5)  # not after the call, which takes hours
        assert (
            error.message == f"PID {target.pid} has not started the probe after 0.5 s" or "safe point" in error.message
        )
        assert target.alive


def test_an_interrupt_ends_the_waiting_and_not_the_program(tmp_path: Path) -> None:
    program = "async def main():\n    ready()\n    sum(range(10**12))\nasyncio.run(main())"
    with Running(sys.executable, program, tmp_path) as target:
        command = [sys.executable, "-m", "monitor.attach.inject", str(target.pid), "--timeout", "3600"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as attaching:
            children = Path(f"/proc/{attaching.pid}/task/{attaching.pid}/children")
            helper = wait_until(lambda: children.read_text().split(), "the helper")[0]
            wait_until(lambda: b"helper" in Path(f"/proc/{helper}/cmdline").read_bytes(), "the helper's own program")
            attaching.send_signal(signal.SIGINT)
            attaching.communicate(timeout=60)
            wait_until(lambda: not Path(f"/proc/{helper}").exists(), "the end of the helper")
        assert target.alive


def test_files_of_the_program_that_are_called_like_ours(tmp_path: Path) -> None:
    for name in ("json", "wire", "probes", "dataclasses", "hmac"):
        (tmp_path / f"{name}.py").write_text("import os\nos.write(2, b'loaded!')\nloaded = True\n")
    program = "import wire, json\nasync def main():\n    ready()\n    await asyncio.sleep(60)\nasyncio.run(main())"
    with Running(interpreters()["own"], program, tmp_path) as target:
        before = target.state()
        assert target.stderr == "loaded!loaded!"
        result = inject(target.pid, payload.make({}, PATIENCE), timeout=PATIENCE)
        with look(result) as viewer:
            assert viewer.names()
            viewer.ask("detach")
        wait_until(lambda: difference(before, target.state()) == {}, "nothing of the probe to be left")
        assert target.stderr == "loaded!loaded!"
