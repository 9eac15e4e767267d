"""What `looptop ps` tells of a process without asking it."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from fake_probe import announce
from interpreters import find_python
from waiting import wait_until

from monitor.attach import watchability as module
from monitor.attach.injector import Injector
from monitor.attach.memory_maps import Mapped, judge_maps
from monitor.attach.programs import Program, as_tree, inspect, programs, short_command
from monitor.attach.targets import resolve
from monitor.attach.watchability import access

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
            {"/home/ann/.pyenv/versions/3.11.7/bin/python3.11", f"{LIB}/_asyncio.cpython-311-x.so"},
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
    without, with_ = inspect(waiting("pass")), inspect(waiting("import asyncio"))
    version = ".".join(map(str, sys.version_info[:3]))
    for program in (without, with_):
        assert (program.python.split(".")[:2], program.name) == (version.split(".")[:2], None)
    assert (without.how, without.asyncio, without.loop, without.reason) == (None, False, None, "no asyncio loaded")
    assert (with_.how, with_.asyncio, with_.loop, with_.reason) == ("attach", True, "asyncio", None)
    assert (with_.python, with_.todo) == (version, f"looptop attach {with_.pid}")


def test_a_program_with_a_probe_comes_first(runtime_dir, waiting):
    pids = [waiting("pass"), waiting("import asyncio"), waiting("pass")]
    announce(runtime_dir, pids[2], name="[/x]", python="3.13.0")
    ours = [program for program in programs() if program.pid in pids]
    assert [program.pid for program in ours] == [pids[2], pids[1], pids[0]]
    first = ours[0]
    assert (first.how, first.name, first.reason, first.python) == ("probe", "[/x]", None, "3.13.0")
    assert first.todo == f"looptop attach {pids[2]}"


def test_processes_of_others_are_named_but_not_looked_into(runtime_dir, waiting, monkeypatch):
    pid = waiting("import asyncio")
    monkeypatch.setattr(module.os, "geteuid", lambda: 4711)
    program = inspect(pid)
    assert (program.python, program.asyncio, program.how, program.ports) == (None, None, None, None)
    assert program.reason == f"belongs to {program.owner}"
    assert program.todo == (f"run looptop as {program.owner} or as root" if os.getuid() else "run looptop as root")


def test_what_is_no_python_and_what_is_gone(runtime_dir):
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert inspect(process.pid) is None
    process.communicate()
    assert inspect(process.pid) is None
    assert inspect(os.getpid()) is None


WORKERS = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
if os.fork():
    child = os.spawnl(os.P_NOWAIT, "/bin/sh", "sh", "-c", sys.argv[1] + " -S -c 'import time; time.sleep(60)'; :")
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
else:
    import asyncio
    asyncio.run(asyncio.sleep(60))
"""


def test_a_server_and_its_workers_are_a_tree(runtime_dir):
    """Workers have the listening socket of their parent; a shell between two programs is passed."""
    server = subprocess.Popen(
        [sys.executable, "-S", "-c", WORKERS, sys.executable],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        port = int(server.stdout.readline())

        def tree():
            mine = {process.pid for process in psutil.Process(server.pid).children(recursive=True)} | {server.pid}
            found = [program for program in programs() if program.pid in mine]
            found[1:] = sorted(found[1:], key=lambda program: program.command.endswith("sleep(60)"))  # pids start anew
            ready = len(found) == 3 and found[1].loop and found[2].command.endswith("sleep(60)")
            return found if ready else None

        top, worker, script = wait_until(tree, "two programs below the server")
        assert (top.pid, top.reason) == (server.pid, "no asyncio loaded")
        below = top.depth + 1  # what runs the tests may be a program of its own
        assert (worker.depth, worker.parent, worker.how) == (below, server.pid, "attach")
        assert (script.depth, script.parent, script.how, script.ports) == (below, server.pid, None, ())
        assert top.ports == worker.ports == (f"127.0.0.1:{port}",)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def test_addresses_of_both_families(runtime_dir):
    code = "import socket, sys; s = socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True)"
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    code += "; t = socket.create_server(('::1', 0), family=socket.AF_INET6)"
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", f"{code}; print(s.getsockname()[1], t.getsockname()[1], flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        any_, one = child.stdout.readline().decode().split()
        assert set(inspect(child.pid).ports) == {f"*:{any_}", f"[::1]:{one}"}
    finally:
        child.communicate(b"\n")


def test_why_a_stopped_program_can_not_be_attached(runtime_dir, waiting):
    pid = waiting("import asyncio")
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "it stops")
    program = inspect(pid)
    assert program.reason == "is stopped"
    assert program.todo == f"resume it (fg or kill -CONT {pid})"
    assert program.how is (None if sys.version_info < (3, 14) else "read-only")


@pytest.mark.parametrize("version", ["3.14", "3.15"])
def test_where_remote_debugging_is_disabled_it_can_still_be_read(runtime_dir, version, monkeypatch):
    python = find_python(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine: tests/pythons.sh gets one")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(python).parent), os.environ["PATH"]]))
    child = subprocess.Popen(
        [python, "-S", "-c", "import asyncio; print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHON_DISABLE_REMOTE_DEBUG": "1"},
    )
    try:
        child.stdout.readline()
        program = inspect(child.pid)
        assert (program.how, program.todo) == ("read-only", f"looptop attach {child.pid} --read-only")
        assert program.reason == "remote debugging is disabled (PYTHON_DISABLE_REMOTE_DEBUG)"
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr("monitor.attach.inject.interpreter._its_own", lambda pid, owner: None)
        program = inspect(child.pid)
        if "{}.{}".format(*sys.version_info) != version:
            assert (program.how, program.todo) == (None, f"looptop attach {child.pid} --force")
    finally:
        child.communicate(b"\n")


def test_old_pythons():
    found = access(os.getpid(), os.geteuid(), Mapped("3.9.1", True, False))
    assert (found.how, found.reason, found.todo) == (None, "Python 3.9.1 is too old", "3.11 is needed")


def test_a_probe_that_was_put_in_is_listed_and_has_a_name(runtime_dir, tmp_path):
    if "{} {}".format(*os.uname()[::4]) != "Linux x86_64":
        pytest.skip("only on Linux on x86-64 a probe can be put in")
    script = tmp_path / "a_program_of_the_test.py"
    script.write_text("import asyncio; print(flush=True); asyncio.run(asyncio.sleep(60))")
    child = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        assert inspect(child.pid).how == "attach"
        Injector(stay=True).inject(child.pid)
        program = wait_until(lambda: (found := inspect(child.pid)).how == "probe" and found, "its probe is seen")
        assert program.name == "a_program_of_the_test"
        assert resolve("@a_program_of_the_test").pid == child.pid
    finally:
        child.kill()
        child.communicate()


EMPTY = Program(1, None, "me", "", None, None, None, None, None, None, None, None, "")


def test_the_tree_begins_with_what_can_be_watched_best():
    listed = [
        replace(EMPTY, pid=1),
        replace(EMPTY, pid=2, how="attach"),
        replace(EMPTY, pid=3),
        replace(EMPTY, pid=4, parent=3),
        replace(EMPTY, pid=5, parent=3, how="probe"),
        replace(EMPTY, pid=6, how="read-only"),
    ]
    found = [(program.pid, program.depth) for program in as_tree(listed)]
    assert found == [(3, 0), (5, 1), (4, 1), (2, 0), (6, 0), (1, 0)]


@pytest.mark.parametrize(
    ("command", "short"),
    [
        ("/srv/venv/bin/python3.12 -u /srv/venv/bin/gunicorn app:app -w 4", "gunicorn app:app -w 4"),
        ("python -c from multiprocessing.spawn import spawn_main; spawn_main(8) --x", "child of multiprocessing"),
        (
            "python -c import sys; from multiprocessing.forkserver import main; sys.exit(main(7, 9))",
            "forkserver of multiprocessing",
        ),
        (
            "python -c from multiprocessing.resource_tracker import main;main(6)",
            "resource tracker of multiprocessing",
        ),
        ("python .venv/bin/celery -A app", "celery -A app"),
        ("python -X dev -m uvicorn app:app", "-m uvicorn app:app"),
        ("python3 /srv/shop/api/app.py --port 80", "api/app.py --port 80"),
        ("gunicorn: master [app:app]", "gunicorn: master [app:app]"),
        ("python3 -i", "python3"),
        ("/r/lib/ld-linux-x86-64.so.2 --library-path /r/lib --argv0 p /r/bin/python3.14 -X dev app.py", "app.py"),
        ("/r/lib/ld-linux-x86-64.so.2", "/r/lib/ld-linux-x86-64.so.2"),
        ("", ""),
    ],
)
def test_commands_are_shortened_to_what_differs(command, short):
    assert short_command(command) == short


def test_what_the_kernel_hides_is_unknown_and_not_denied(runtime_dir, waiting, monkeypatch):
    pid = waiting("import asyncio")

    def hidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("monitor.attach.memory_maps._lines_of", hidden)
    program = inspect(pid)
    assert (program.asyncio, program.loop) == (None, None)


@pytest.mark.parametrize(
    ("title", "listed"),
    [("gunicorn: master [app]", True), ("/srv/venv/bin/python app.py", True), ("nginx: worker", False)],
)
def test_others_whose_executable_is_hidden_are_known_by_their_title(runtime_dir, waiting, monkeypatch, title, listed):
    pid = waiting("pass")
    monkeypatch.setattr(module.os, "geteuid", lambda: 4711)

    def hidden(process):
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "exe", hidden)
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: [title])
    program = inspect(pid)
    assert (program is not None) is listed
    if listed:
        assert program.reason == f"belongs to {program.owner}"


def test_elsewhere_than_linux(runtime_dir, monkeypatch):
    monkeypatch.setattr(module.sys, "platform", "darwin")
    found = access(os.getpid(), os.geteuid(), Mapped("3.12.1", True, False))
    assert (found.how, found.todo) == (None, "looptop run SCRIPT")


@pytest.mark.parametrize(
    ("command", "own"),
    [
        ("/srv/venv/bin/python /srv/venv/bin/looptop attach 7", True),
        ("/srv/venv/bin/python -m monitor", True),
        ("python3 -I -S -c import sys; from monitor.attach.inject.helper import main; sys.exit(main()) 7", True),
        ("/srv/venv/bin/python -m monitoring", False),
        ("python looptop.py", False),
        ("python -m sample_apps.demo", False),
    ],
)
def test_what_is_looptop_itself(command, own):
    shown = Program(1, None, "root", command, None, None, None, None, None, None, None, None, "")
    assert shown.is_looptop is own


def test_looptops_own_processes_are_listed_only_when_all_are_wanted(runtime_dir, waiting):
    with subprocess.Popen(
        [sys.executable, "-m", "monitor", "watch", str(waiting("import asyncio"))],
        cwd=Path(__file__).resolve().parents[3],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as own:
        wait_until(lambda: inspect(own.pid) is not None, "it is a Python")
        try:
            assert own.pid not in {program.pid for program in programs()}
            assert own.pid in {program.pid for program in programs(everything=True)}
        finally:
            own.kill()


def test_no_folder_that_another_user_names_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "lib/python3.99/lib-dynload"
    folder.mkdir(parents=True)
    (folder / "_asyncio.cpython-399-x86_64-linux-gnu.so").touch()
    files = {str(tmp_path / "bin/python3.99")}
    assert judge_maps(files).asyncio is False
    assert judge_maps(files, foreign=True).asyncio is None, "it cannot be told"
