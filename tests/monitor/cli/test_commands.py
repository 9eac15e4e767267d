"""The commands from the outside: what they print where, and their exit status."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import fake_probe
import pytest
from fake_probe import NOW, announce, behind_token, event, eventually, hello, static, tick, well
from psutil import Process

from monitor import guard
from monitor.attach import boxes, programs
from monitor.cli import attaching, launching, main
from monitor.errors import NO_CONNECTION, USAGE
from probes.base import protocol
from probes.blackbox import ring

LAST = "the last of that name was 4194304 (killed by SIGSEGV): looptop tasks BOX, or looptop postmortem @svc"


@pytest.fixture
def served(runtime_dir, probe_at):
    """A fake probe that claims to be of this process."""
    announce(runtime_dir, os.getpid())
    return probe_at(runtime_dir / f"{os.getpid()}.sock", well)


@pytest.fixture
def run(capfd):
    """Runs a command in this process: status, stdout, stderr."""

    def command(*args):
        status = main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return status, out, err

    return command


def looptop(*args, **options):
    command = [sys.executable, "-m", "monitor", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def one_line(err):
    assert err.startswith("looptop: ")
    assert err.count("\n") == 1
    return err.removeprefix("looptop: ").rstrip("\n")


def test_no_box_at_all(run, runtime_dir):
    assert run("postmortem")[:2] == (0, f"no program left a black box in {runtime_dir} (set by LOOPTOP_DIR)\n")


def test_files_of_running_programs_do_not_hide_the_dead(run, runtime_dir, monkeypatch):
    monkeypatch.setattr(boxes, "MOST_BOXES", 3)
    runtime_dir.mkdir(mode=0o700, exist_ok=True)
    for number in range(9):
        (runtime_dir / f"{number}.json").touch()
    for name in ("ann", "bob", "eve"):
        facts = {"pid": 4194304, "name": name, "session": name.ljust(32, "0"), "started": 1.0}
        path = runtime_dir / protocol.box_name(name, facts["pid"], facts["session"])
        ring.Ring(str(path), 32 << 10, facts, 0).close(remove=False)
    names = {one["name"] for one in json.loads(run("postmortem", "--json")[1])["boxes"]}
    assert names == {"ann", "bob", "eve"}


# tasks


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, f"{LAST}; one that runs without a probe: looptop attach PID (looptop ps lists them)"),
        (
            {"program": "svc.py --port 80"},
            f"process 12 runs the same command without a probe: looptop attach 12; {LAST}",
        ),
        ({"program": "-m svc"}, f"processes 14, 15 run the same command without a probe: looptop attach PID; {LAST}"),
        ({"pid": None}, "process OWN was, and has no probe now: looptop attach OWN"),
    ],
    ids=["unknown", "one", "several", "itself"],
)
def test_a_name_that_only_a_box_has(run, runtime_dir, monkeypatch, facts, words):
    listed = [
        SimpleNamespace(pid=11, name="other", watchable=True, command="python svc.py --port 80"),
        SimpleNamespace(pid=12, name=None, watchable=True, command="python svc.py --port 80"),
        SimpleNamespace(pid=13, name=None, watchable=True, command="python svc.py --port 81"),
        SimpleNamespace(pid=14, name=None, watchable=True, command="python -m svc"),
        SimpleNamespace(pid=15, name=None, watchable=True, command="python3.12 -u -m svc"),
        SimpleNamespace(pid=16, name=None, watchable=False, command="python -m svc"),
    ]
    monkeypatch.setattr(programs, "programs", lambda: listed)
    facts = {"pid": 4194304, "name": "svc", "session": "0" * 32, "started": Process().create_time(), **facts}
    facts["pid"] = facts["pid"] or os.getpid()
    runtime_dir.mkdir(mode=0o700, exist_ok=True)
    path = runtime_dir / protocol.box_name(facts["name"], facts["pid"], facts["session"])
    ring.Ring(str(path), 32 << 10, facts, 0).close(remove=False)
    boxes.note_status(boxes.inspect(path), -signal.SIGSEGV)
    status, out, err = run("tasks", "@svc")
    assert (status, out) == (NO_CONNECTION, "")
    words = words.replace("BOX", str(path)).replace("OWN", str(os.getpid()))
    assert one_line(err) == f"no running program is called @svc: {words}"
    if facts["pid"] == 4194304:
        err = one_line(run("tasks", "4194304")[2])
        assert err.startswith(f"4194304 has ended (killed by SIGSEGV): looptop tasks {path}")


def test_tasks(run, served):
    status, out, err = run("tasks", "@api")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"app.py --port 80  @api  pid {os.getpid()}  CPython 3.11.7"
    assert lines[1] == "3 tasks: 2 waiting  1 running"
    assert lines[2].startswith("loop 1 asyncio  lag 1.20ms  utilization 50%")
    assert [line.split()[1] for line in lines[5:]] == ["main", "worker-1", "worker-2"]
    assert "lock Lock(locked)" in lines[5]
    assert "\x1b" not in out


def test_tasks_json(run, served):
    status, out, err = run("tasks", os.getpid(), "--json", "--sort", "name", "--filter", "worker", "--limit", "1")
    assert (status, err) == (0, "")
    assert [task["name"] for task in json.loads(out)["tasks"]] == ["worker-1"]


def test_tasks_tree_and_ended(run, served):
    assert "   worker-1" in run("tasks", "@api", "--tree")[1]
    assert json.loads(run("tasks", "@api", "--json", "--ended")[1])["tasks"][0]["name"] == "main"


def test_tasks_over_tcp(run, runtime_dir, probe_on_tcp, tmp_path, monkeypatch):
    port = probe_on_tcp(behind_token("a secret")).port
    (tmp_path / "token").write_text("a secret")
    (tmp_path / "token").chmod(0o600)
    assert run("tasks", f"127.0.0.1:{port}", "--token-file", tmp_path / "token")[0] == 0
    monkeypatch.setenv("LOOPTOP_TOKEN", "other")
    status, out, err = run("tasks", f"127.0.0.1:{port}")
    assert (status, out) == (NO_CONNECTION, "")
    assert "wrong token" in one_line(err)


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["tasks", "4194304"], NO_CONNECTION, "no process has the pid 4194304: looptop ps lists what runs here"),
        (["tasks", "@nobody"], NO_CONNECTION, "no program is called @nobody"),
        (["tasks", "unix:/nowhere"], NO_CONNECTION, "no such socket: /nowhere"),
        (["tasks", "x y"], USAGE, "'x y' is not a target"),
        (["tasks", "old.looptop"], USAGE, "no such file: old.looptop"),
        (["tasks"], USAGE, "Missing argument 'TARGET...': looptop tasks --help"),
        (["tasks", "@a", "--sort", "size"], USAGE, "cannot sort by 'size': try one of id"),
        (["tasks", "@a", "--filter", "busy>x"], USAGE, "not a number in a filter: busy>x"),
        (["tasks", "@a", "--limit", "-1"], USAGE, "-1"),
        (["tasks", "@a", "--colour"], USAGE, "No such option"),
        (["attach", "@nobody"], NO_CONNECTION, "no program is called @nobody"),
        (["detach", "@nobody"], NO_CONNECTION, "no program is called @nobody"),
        (["watch", "@nobody"], NO_CONNECTION, "no program is called @nobody"),
        (["watch", "@a", "--slow", "0.001"], USAGE, "0.001"),
        (["fly"], USAGE, "No such command 'fly'"),
        (["run"], USAGE, "nothing to run"),
        (["run", "nope.py"], USAGE, "no such script: nope.py"),
        (["run", "--listen", "7777", "nope.py"], USAGE, "is not an address to listen on"),
        (["run", "--python", "/none", "-m", "x"], USAGE, "no such interpreter: /none"),
        (["samples", "run", "nope"], USAGE, "nope"),
        (["metrics", "@a", "--once", "--prometheus", "127.0.0.1:0"], USAGE, "and ends, --prometheus is for"),
        (["metrics", "@a", "--once", "--otlp", "http://127.0.0.1:1"], USAGE, "and ends, --otlp is for"),
        (["metrics", "@a", __file__, "--once"], USAGE, "is a file, not a program: name one that runs"),
        (["metrics", __file__], USAGE, "is a file, not a program: name one that runs"),
        (["metrics", "no/such", "--once"], USAGE, "'no/such' is not a target"),
        (["postmortem", "4194304"], USAGE, "no black box of 4194304: no program left one in /"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_status(run, runtime_dir, args, status, words):
    got, out, err = run(*args)
    assert (got, out) == (status, "")
    if args[0] == "attach":
        err = "".join(err.splitlines(keepends=True)[1:])  # before it comes why there is no dashboard
    assert words in one_line(err)


def test_metrics_once_of_nobody_are_one_line(run, runtime_dir, monkeypatch):
    monkeypatch.setattr("monitor.cli.metrics.FIRST_LOOK", 0.1)
    pytest.importorskip("prometheus_client")
    got, out, err = run("metrics", "@nobody", "--once")
    assert (got, out) == (NO_CONNECTION, "") and "no program is called @nobody" in one_line(err)
    assert run("metrics", "--match", "nobody", "--once") == (0, "", "")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.0 200 OK\r\n", "the received data is not a frame of looptop"),
        (hello(protocol=9), "speaks protocol 9"),
        ({"type": "error", "message": "too many\nviewers\x1b[2J"}, "too many viewers␛[2J"),
    ],
)
def test_what_the_other_side_says_is_one_line_too(run, runtime_dir, probe_at, said, words):
    probe_at(runtime_dir / "s", fake_probe.says(said))
    status, out, err = run("tasks", f"unix:{runtime_dir}/s")
    assert (status, out) == (NO_CONNECTION, "")
    assert words in one_line(err)


def test_a_bug_is_one_line_unless_one_wants_more(run, monkeypatch):
    def fail(**_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(attaching.ps, "callback", fail)
    status, _, err = run("ps")
    assert status == guard.BUG
    assert one_line(err) == "looptop itself failed with ZeroDivisionError: by zero: LOOPTOP_DEBUG=1 shows where"
    monkeypatch.setenv("LOOPTOP_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["ps"])


# attach, detach, ps, looptop alone


def test_attach_without_a_terminal_prints_one_table(run, served):
    status, out, err = run("attach", "@api")
    assert status == 0
    assert "worker-1" in out
    assert one_line(err) == "stdout is not a terminal: printing a table instead"


def test_signs_where_the_output_has_no_letters_for_them(served, runtime_dir):
    told = looptop("tasks", f"unix:{runtime_dir}/{os.getpid()}.sock", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert told.returncode == 0
    assert " . waiting" in told.stdout
    assert "?" not in told.stdout


def test_detach(run, served):
    assert run("detach", "@api") == (0, f"the probe of process {os.getpid()} is out\n", "")


def test_detach_where_there_is_no_probe(run, runtime_dir):
    code = "import asyncio; print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdin=-1, stdout=-1) as child:
        child.stdout.readline()
        status, _, err = run("detach", child.pid)
        child.kill()
    assert status == NO_CONNECTION
    assert one_line(err).endswith("has no probe: nothing to remove")


def test_detach_that_is_refused(run, runtime_dir, probe_at):
    def behave(peer):
        peer.send(hello())
        peer.send({"type": "reply", "id": peer.read()["id"], "ok": False, "error": "a hook has something on top"})

    probe_at(runtime_dir / "s", behave)
    status, out, err = run("detach", f"unix:{runtime_dir}/s")
    assert (status, out) == (1, "")
    assert one_line(err) == "the probe of process 4242 stays: a hook has something on top"


def test_ps(run, runtime_dir):
    child = subprocess.Popen([sys.executable, "-S", "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
    child.stdout.readline()
    try:
        announce(runtime_dir, child.pid)
        status, out, err = run("ps")
        assert (status, err) == (0, "")
        line = next(line for line in out.splitlines() if line.split()[:1] == [str(child.pid)])
        assert "  probe" in line
        programs = json.loads(run("ps", "--json")[1])["programs"]
        ours = next(program for program in programs if program["pid"] == child.pid)
        assert list(ours) == [
            "pid", "parent", "owner", "command", "started", "python", "asyncio", "loop", "ports", "name", "how",
            "reason", "todo", "depth", "cpu", "rss", "armed",
        ]  # fmt: skip
        assert (ours["name"], ours["how"], ours["reason"]) == ("api", "probe", None)
        status, out, err = run()
        assert status == 0
        assert str(child.pid) in out
        assert one_line(err) == "next: looptop attach PID"
    finally:
        child.communicate(b"\n")


# watch


def test_watch_json(run, runtime_dir, probe_at):
    slow = event(1, "slow_callback", loop=1, duration=250_000, task=2, name="w", callback="w()", stack=[1], blame=0)

    def behave(peer):
        peer.send(hello())
        peer.read()
        peer.send(fake_probe.static(), slow, event(5, "notice", text="a hook is off"))

    probe_at(runtime_dir / "s", behave)
    status, out, err = run("watch", f"unix:{runtime_dir}/s", "--json")
    assert status == 0
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["slow_callback"]
    assert err.splitlines()[0] == "looptop: 3 events were dropped"
    assert err.splitlines()[1] == "looptop: a hook is off"
    assert "closed the connection" in err.splitlines()[2]


def endless(peer):
    peer.send(hello())
    peer.read()
    peer.send(fake_probe.static())
    number = 0
    while True:
        number += 1
        peer.send(event(number, "slow_callback", loop=1, duration=250_000, callback="w()", stack=[1], blame=0))


def test_nobody_reads_any_more(runtime_dir, probe_at):
    probe_at(runtime_dir / "s", endless)
    command = f"{sys.executable} -m monitor watch unix:{runtime_dir}/s | head -n 2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 3
    assert done.stdout.splitlines()[-1] == str(guard.BROKEN_PIPE)


def test_a_task_is_asked_for_as_it_is_shown(run, tmp_path):
    for task, complaint in (("12", "No such file"), ("#12", "No such file"), ("#x", "'x' is not a valid id")):
        assert complaint.lower() in run("why", tmp_path / "none.looptop", "--task", task)[2].lower()


def test_ctrl_c_ends_the_watching_and_not_the_command(runtime_dir, probe_at):
    asked = []

    def behave(peer):
        peer.send(hello(capabilities=["groups"]))
        asked.append(peer.read()["type"])
        group = [1, 3, 0, 0, 9, 9, 0, 0, 0, [0, 0, 0, 0], [], [], [], []]
        while True:
            peer.send(static(), tick(groups={"since": NOW, "rows": [group]}))
            time.sleep(0.1)

    for name in "st":
        probe_at(runtime_dir / name, behave)
    one = f"unix:{runtime_dir}/s"
    commands = {
        ("watch", one): "",
        ("findings", one, "--duration", "600"): "no known problem pattern detected",
        ("flame", one, "--duration", "600"): "no stacks: no task was found at work or waiting",
        ("groups", one, "--duration", "600"): "worker",
        ("groups", one, f"unix:{runtime_dir}/t", "--duration", "600"): "worker 1",
    }
    started = [
        subprocess.Popen([sys.executable, "-m", "monitor", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for words in commands
    ]
    eventually(lambda: len(asked) == len(commands) + 1)
    for process in started:
        process.send_signal(signal.SIGINT)
    for process, seen in zip(started, commands.values(), strict=True):
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (130, b"")
        assert seen in out.decode()


# run: that the program is started as Python would start it


def test_options_end_where_the_program_begins(tmp_path, monkeypatch):
    started = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    (tmp_path / "app.py").touch()
    (tmp_path / "--x.py").touch()
    monkeypatch.setattr(
        launching, "watch_program", lambda launch, headless, record: started.append((launch, headless)) or 0
    )
    for args, words, headless in [
        (["app.py"], ["app.py"], False),
        (
            ["--headless", "app.py", "--headless", "-m", "x", "--", "--name"],
            ["app.py", "--headless", "-m", "x", "--", "--name"],
            True,
        ),
        (["--name", "n", "--", "app.py", "--help"], ["app.py", "--help"], False),
        (["--slow=0.2", "-m", "http.server", "--bind", "::1"], ["-m", "http.server", "--bind", "::1"], False),
        (["--listen", "[::1]:0", "-mhttp.server", "-h"], ["-m", "http.server", "-h"], False),
        (["--", "--x.py"], ["--x.py"], False),
        (["--", "-m", "pkg", "--headless"], ["-m", "pkg", "--headless"], False),
    ]:
        assert main(["run", *args]) == 0
        launch, was_headless = started.pop()
        assert (list(launch.argv), was_headless) == ([sys.executable, *words], headless)


def test_settings_of_run(tmp_path, monkeypatch):
    started = []
    (tmp_path / "app.py").touch()
    monkeypatch.setattr(
        launching, "watch_program", lambda launch, headless, record: started.append(launch.settings) or 0
    )
    options = ["--name", "api", "--listen", "127.0.0.1:0", "--slow", "0.5", "--token-file", "/t"]
    assert main(["run", *options, str(tmp_path / "app.py")]) == 0
    settings = started[0]
    assert (settings.name, settings.listen, settings.slow, settings.token_file) == ("api", "127.0.0.1:0", 0.5, "/t")
    assert settings.announce


def test_help_of_run_is_ours_before_the_program_only(run):
    status, out, _ = run("run", "--help")
    assert status == 0
    assert "SCRIPT [ARG]... | -m MODULE [ARG]..." in out


def test_samples_list(run):
    status, out, err = run("samples", "list")
    assert (status, err) == (0, "")
    assert "blocking_call" in out
    listed = json.loads(run("samples", "list", "--json")[1])["samples"]
    assert {"name": "demo", "topic": "programs", "fix": None}.items() <= next(
        sample for sample in listed if sample["name"] == "demo"
    ).items()


def test_the_command_is_the_module():
    done = looptop("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"looptop, version {metadata.version('looptop')}\n"


# Streams that are closed or full, and impatience

INTERRUPTED_WHILE_LOADING = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "click": os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
runpy.run_module("monitor", run_name="__main__")
"""


def test_ctrl_c_while_looptop_is_loaded_is_no_traceback():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_WHILE_LOADING], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_that_can_not_be_written(run, served):
    for words in (("tasks", str(os.getpid())), ("ps",), ("ps", "--json"), ("--help",)):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "monitor", *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
            )
        assert done.returncode == guard.UNWRITTEN
        assert one_line(done.stderr) == "the output cannot be written: No space left on device"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_the_shell_has_closed(run, served, closed):
    command = f"{sys.executable} -m monitor tasks {os.getpid()} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("worker" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))


def test_the_list_of_commands_is_not_cut() -> None:
    from click.testing import CliRunner

    from monitor.cli import cli

    for columns in ("80", "200"):
        text = CliRunner().invoke(cli, ["--help"], terminal_width=int(columns)).output
        assert "..." not in text.partition("Commands:")[2]
        assert "whether it was started with looptop or not." in " ".join(text.split())
