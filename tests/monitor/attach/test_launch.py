"""Starting a program: the interpreter, its arguments, its environment."""

import json
import signal
import sys

import pytest

from monitor.attach import launch
from monitor.attach.launch import (
    BOOT,
    Launch,
    Settings,
    check_listen,
    command,
    describe_status,
    exit_status,
    interpreter,
)
from monitor.errors import USAGE, UsageError


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    (tmp_path / "app.py").touch()
    return "app.py"


def failure(*words):
    with pytest.raises(UsageError) as caught:
        command(None, words)
    assert caught.value.status == USAGE
    return str(caught.value)


def test_scripts_and_modules(script):
    assert command(None, ["app.py", "-m", "--x"]) == (sys.executable, "app.py", "-m", "--x")
    assert command(None, ["-m", "http.server", "--bind", "::1"]) == (
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "::1",
    )
    assert command(None, ["-mhttp.server", "8000"]) == (sys.executable, "-m", "http.server", "8000")


def test_what_can_not_be_run(script, tmp_path):
    assert failure() == "nothing to run: looptop run SCRIPT [ARG…], or looptop run -m MODULE [ARG…]"
    assert failure("-m") == "-m without a module: looptop run -m MODULE [ARG…]"
    assert failure("nope.py") == "no such script: nope.py: is the path right?"
    for python in ("python3", "python3.12", sys.executable):
        told = failure(python, "app.py")
        assert told == f"{python} is an interpreter, not a script: looptop run --python {python} app.py"
    assert failure("http") == "no such script: http: to run a module: looptop run -m http"
    (tmp_path / "folder").mkdir()
    assert failure("folder") == "folder is a folder without a __main__.py: name a script"
    (tmp_path / "folder" / "__main__.py").touch()
    assert command(None, ["folder"])[1] == "folder"


def test_a_script_that_can_not_be_read(script, monkeypatch):
    monkeypatch.setattr(launch.os, "access", lambda path, mode: False)
    assert failure("app.py") == "app.py cannot be read: is it yours?"


def test_the_interpreter(script, tmp_path):
    active = tmp_path / "venv" / "bin" / "python"
    active.parent.mkdir(parents=True)
    active.symlink_to(sys.executable)
    environ = {"VIRTUAL_ENV": str(tmp_path / "venv"), "PATH": str(active.parent)}
    assert interpreter(None, {}) == sys.executable
    assert interpreter(None, {"VIRTUAL_ENV": sys.prefix}) == sys.executable
    assert interpreter(None, {"VIRTUAL_ENV": "/nowhere"}) == sys.executable
    assert interpreter(None, environ) == str(active)
    assert interpreter("python", environ) == str(active)
    with pytest.raises(UsageError, match="no such interpreter: pythonx"):
        interpreter("pythonx", environ)


@pytest.mark.parametrize("before", [None, "", "/a:/b"])
def test_the_environment(before):
    environ = {"X": "1", **({} if before is None else {"PYTHONPATH": before})}
    made = Launch(("python", "app.py"), Settings(name="api", expect=10.0, announce=False)).environment(environ)
    assert made["PYTHONPATH"] == (f"{BOOT}:{before}" if before else str(BOOT))
    assert json.loads(made["LOOPTOP_BOOT"]) == {
        "pythonpath": before,
        "settings": {"name": "api", "expect": 10.0, "announce": False},
    }
    assert made["X"] == "1"
    assert (BOOT / "sitecustomize.py").is_file()


def test_the_probes_of_children_take_the_name_and_listen_nowhere():
    def plan(*argv, **settings):
        made = Launch(("python", *argv), Settings(**settings), children=True).environment({})
        return json.loads(made["LOOPTOP_BOOT"])["children"]

    assert plan("-m", "uvicorn", slow=0.2, listen="[::1]:7777") == {
        "name": "uvicorn",
        "slow": 0.2,
        "listen": "",
        "expect": 0.0,
        "announce": False,
    }
    assert [plan("./a/app.py")["name"], plan("app.py", name="shop")["name"]] == ["app", "shop"]


def test_workers_have_a_probe_if_the_command_line_asks_for_them():
    def given(*argv, children=None):
        return "children" in json.loads(Launch(("python", *argv), Settings(), children).environment({})["LOOPTOP_BOOT"])

    uvicorn = ("-m", "uvicorn", "app:app", "--workers", "3")
    assert given(*uvicorn) and given("-m", "hypercorn", "-w", "3") and given("app.py", children=True)
    assert (
        not given("-m", "uvicorn", "app:app", "--workers=1") and not given("app.py", "-w", "3") and not given("app.py")
    )
    assert not given(*uvicorn, children=False)
    # One is a process, too, and so is one that is started anew when a file changes.
    assert given("-m", "hypercorn", "app:app") and given("-m", "uvicorn", "app:app", "--reload")
    assert not given("-m", "hypercorn", "--workers", "0", "app:app") and not given("-m", "uvicorn", "app:app")
    assert not given("-m", "gunicorn", "-w", "3") and not given("-m", "granian", "--workers", "3")


def test_workers_that_would_have_no_probe():
    def lost(*argv, children=None):
        return Launch(("python", *argv), Settings(), children).lost_workers

    uvicorn = ("-m", "uvicorn", "app:app", "--workers", "3")
    assert lost(*uvicorn) == lost(*uvicorn, children=True) == lost("-m", "hypercorn", "-w", "3") == ""
    assert lost(*uvicorn, children=False) == "looptop run without --no-children"
    assert lost("-m", "uvicorn", "app:app", "--workers=1", children=False) == lost("app.py", "-w", "3") == ""
    assert "probes.install()" in lost("/venv/bin/gunicorn", "-w", "3", children=True)
    assert "probes.install()" in lost("-m", "granian", "--workers", "3", children=True)
    assert "probes.install()" in lost("-m", "granian", "app:app") and "probes.install()" in lost("-m", "gunicorn")


@pytest.mark.parametrize("address", ["127.0.0.1:7777", "[::1]:0", "0.0.0.0:65535"])
def test_addresses_to_listen_on(address):
    check_listen(address, insecure=True)
    check_listen(None)


@pytest.mark.parametrize("address", ["", "7777", ":7777", "host:", "host:x", "host:65536", "host:-1", "host:²"])
def test_addresses_that_are_none(address):
    with pytest.raises(UsageError, match="is not an address to listen on"):
        check_listen(address)


def test_how_a_program_ended():
    assert [exit_status(code) for code in (0, 7, -2, -9)] == [0, 7, 130, 137]
    assert describe_status(3) == "the program ended with status 3"
    assert describe_status(-15) == "the program was ended by SIGTERM"
    assert describe_status(-64) in ("the program was ended by SIGRTMAX", "the program was ended by signal 64")
    assert describe_status(-63) == "the program was ended by signal 63"


def test_an_interpreter_that_can_not_be_started(tmp_path):
    (tmp_path / "python").touch()
    with pytest.raises(UsageError, match="cannot be started: Permission denied"):
        Launch((str(tmp_path / "python"), "x.py"), Settings()).become()
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
